"""Sources: where documents and ready-made rows come from.  Importing this package registers all of them.

A source is a function `(*, …) -> iterable of Document or Pair`; its keyword parameters are what the recipe sets.
"""

from ftbuild.sources import file, files, function, mediawiki, pairs, web, wikidump

__all__ = ["file", "files", "function", "mediawiki", "pairs", "web", "wikidump"]
