"""Kinds of rows that are made from the text itself and ask no teacher.

A kind is a function `(sections, language, *, …) -> iterable of Pair`; its keyword parameters are what the recipe sets.
"""
