"""Kinds of rows that are made from the text itself and ask no teacher.  Importing this package registers all of them.

A kind is a function `(sections, language, *, …) -> iterable of Pair`; its keyword parameters are what the recipe sets.
"""

from ftbuild.kinds import asked, told

__all__ = ["asked", "told"]
