"""Sources: where documents and ready-made rows come from.

A source is a function `(*, …) -> iterable of Document or Pair`; its keyword parameters are what the recipe sets.
"""
