"""Cleaning rules: pure functions from text to text, run in the order that a recipe gives.  Importing registers all of them.

A rule is `(text, *, …) -> text`; its keyword parameters are what the recipe sets.  One that is registered with `formats=` is
passed over for documents of any other format.
"""

from ftbuild.rules import general, html, wikitext

__all__ = ["general", "html", "wikitext"]
