"""Readers: from the bytes of a file to documents.

A reader is `(data, name, *, …) -> iterable of Document`: `name` is what to call the file in an error, the keyword parameters
are what a recipe sets under `options:`.  It gives plain Markdown (`ftbuild.plain`), unless the format has rules of its own for
cleaning, as wikitext has.  The `id` of what it gives is empty for the only document of a file.
"""
