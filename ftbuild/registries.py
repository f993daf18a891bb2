"""The registries: every kind of thing that a recipe calls by name, and the package in which its members live."""

from __future__ import annotations

from typing import Any

from ftbuild.registry import Registry

SOURCES: Registry[Any] = Registry("source", home="ftbuild.sources")
"""`(*, …) -> iterable of Document or Pair`: where texts and ready rows come from."""

RULES: Registry[str] = Registry("rule", home="ftbuild.rules")
"""`(text, *, …) -> text`: one step of cleaning."""

PARSERS: Registry[Any] = Registry("parser", home="ftbuild.parsers")
"""`(reply) -> Parsed`: how a teacher's reply becomes pairs."""

KINDS: Registry[Any] = Registry("kind", home="ftbuild.kinds")
"""`(sections, language, *, …) -> iterable of Pair`: rows that are made from the text itself and ask no teacher.

`depends` is given the recipe.
"""

FILTERS: Registry[Any] = Registry("filter", home="ftbuild.filters")
"""`(pairs, *, …) -> iterable of (Pair, reason to reject or "")`: what may become training data."""

GRADERS: Registry[Any] = Registry("grader", home="ftbuild.graders")
"""`(answer, expected, *, …) -> Grade`: whether an answer is right."""

PROVIDERS: Registry[Any] = Registry("provider", home="ftbuild.providers")
"""`(provider, state, console) -> context manager of Connection`: who answers and trains.

`depends` is given the name of a model.
"""

TRAINERS: Registry[Any] = Registry("trainer", home="ftbuild.providers")
"""`(client, provider, seconds) -> Training`: how a provider trains, by the same names as in `PROVIDERS`."""
