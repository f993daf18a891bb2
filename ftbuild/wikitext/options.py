"""What to do with each kind of wiki markup, and the book in which the removed pieces are kept by kind."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Choice = Literal["drop", "keep"]


@dataclass(frozen=True)
class Options:
    """One choice for each kind of markup; `ftbuild.rules.wikitext` tells what each means."""

    references: Choice = "drop"
    tables: Literal["drop", "text"] = "drop"
    galleries: Literal["drop", "captions"] = "drop"
    files: Literal["drop", "captions"] = "drop"
    math: Literal["drop", "simple", "latex"] = "simple"
    code: Choice = "drop"
    quotes: Choice = "keep"
    poems: Choice = "keep"
    lists: Choice = "keep"
    urls: Choice = "drop"
    tail: Choice = "drop"
    unknown_templates: Literal["drop", "first"] = "drop"
    variant: str = ""
    title: str = ""


Book = dict[str, list[str]]
"""What was removed: pieces of the source by the name of their kind."""


def new_book() -> Book:
    """Return an empty book, which opens a page for whatever kind is written to it."""
    return defaultdict(list)


PROTECTED = "[]{}|'=*#:;<>&_-!\n"
"""Characters that mean something in wikitext."""

_BASE = 0xF0000
PROTECT: Mapping[int, int] = {ord(c): _BASE + n for n, c in enumerate(PROTECTED)}
"""Their stand-ins, from a private plane, for text that is to stay as it is: `<nowiki>`, formulas."""

RELEASE: Mapping[int, str] = {_BASE + n: c for n, c in enumerate(PROTECTED)}
"""And back."""

PIPE = chr(_BASE + PROTECTED.index("|"))
EQUALS = chr(_BASE + PROTECTED.index("="))
OUTSIDE = {code: None for code in RELEASE}
"""Stand-ins that were in the source already, which would be taken for ours."""


def protected(text: str) -> str:
    """Return a text in which nothing is markup until the stand-ins are taken back."""
    return text.translate(PROTECT)


