"""Cleaning rules: pure functions from text to text, run in the order that a recipe gives.  Importing registers all of them.

A rule is `(text, *, …) -> text`; its keyword parameters are what the recipe sets.
"""

from ftbuild.rules import general, wikitext

__all__ = ["general", "wikitext"]
