"""The registries: every kind of thing that a recipe calls by name, and the package in which its members live."""

from __future__ import annotations

from typing import Any

from ftbuild.registry import Registry

SOURCES: Registry[Any] = Registry("source", home="ftbuild.sources")
"""`(*, …) -> iterable of Document or Pair`: where texts and ready rows come from."""

RULES: Registry[Any] = Registry("rule", home="ftbuild.rules")
"""`(text, *, …) -> text`, or `Cleaned`: one step of cleaning.

One with a second positional parameter is given what is known of the document: its `meta`, with `title` and `format`.  One
with `readings=` is given the texts of all documents, and yields as many: `(texts, *, …) -> iterator of texts`.
`depends` is given None.
"""


READERS: Registry[Any] = Registry("reader", home="ftbuild.readers")
"""`(data, name, *, …) -> iterable of Document`: how the bytes of a file become text.

`formats` are the endings (`.pdf`) and media types (`application/pdf`) that it is for.
"""


PARSERS: Registry[Any] = Registry("parser", home="ftbuild.parsers")
"""`(reply) -> Parsed`: how a teacher's reply becomes pairs.

Traits: `schema`, the JSON Schema of a reply in structured output; `many`, whether it holds as many pairs as were asked for.
"""

KINDS: Registry[Any] = Registry("kind", home="ftbuild.kinds")
"""`(sections, language, *, …) -> iterable of Pair`: rows that are made from the text itself and ask no teacher.

`depends` is given the recipe.
"""

FILTERS: Registry[Any] = Registry("filter", home="ftbuild.filters")
"""`(pairs, *, …) -> iterable of (Pair, reason to reject or "")`: what may become training data."""

CHECKS: Registry[Any] = Registry("check", home="ftbuild.checking")
"""`(about) -> Watch`: what may be wrong with training rows; run over every file of them before it is sent."""

GRADERS: Registry[Any] = Registry("grader", home="ftbuild.graders")
"""`(answer, expected, *, …) -> Grade`: whether an answer is right.

With a trait `asks`, `(question, answer, expected, *, …) -> values`, a judge is asked, and the grader is given its reply.
"""

EXPORTERS: Registry[Any] = Registry("exporter", home="ftbuild.exporting")
"""`(export) -> {file name: text}`: a recipe's dataset and hyperparameters for somebody else's trainer."""

PROVIDERS: Registry[Any] = Registry("provider", home="ftbuild.providers")
"""`(provider, state, console) -> context manager of Connection`: who answers and trains.

`depends` is given the name of a model.
"""

TRAINERS: Registry[Any] = Registry("trainer", home="ftbuild.providers")
"""`(client, provider, seconds) -> Training`: how a provider trains, by the same names as in `PROVIDERS`."""
