"""Cleaning rules: pure functions from text to text, run in the order that a recipe gives.

A rule is `(text, *, …) -> text`, or `(text, meta, *, …)` if it wants to know more of the document; its keyword parameters are
what the recipe sets.  One that is registered with `formats=` is passed over for documents of any other format; one with
`readings=` is given the texts of all documents and yields as many.  A rule that does not want a document raises `Unwanted`.
"""

from ftbuild.rules import general  # most recipes use these

__all__ = ["general"]
