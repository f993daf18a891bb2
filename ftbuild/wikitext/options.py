"""What to do with each kind of wiki markup, and the book in which the removed pieces are kept by kind."""

from __future__ import annotations

from collections import defaultdict
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
_PROTECT = {ord(c): _BASE + n for n, c in enumerate(PROTECTED)}
_STAND_INS = {chr(code): chr(c) for c, code in _PROTECT.items()}

PIPE = chr(_BASE + PROTECTED.index("|"))
EQUALS = chr(_BASE + PROTECTED.index("="))


def protected(text: str) -> str:
    """Return a text in which nothing is markup, by stand-ins from a private plane: for `<nowiki>`, formulas, `{{!}}`."""
    return text.translate(_PROTECT)


def released(text: str) -> str:
    """Return a text with the characters that stand-ins were put for."""
    for stand_in, character in _STAND_INS.items():
        if stand_in in text:
            text = text.replace(stand_in, character)
    return text


def without_stand_ins(text: str) -> str:
    """Return a source without characters that would be taken for stand-ins."""
    for stand_in in _STAND_INS:
        if stand_in in text:
            text = text.replace(stand_in, "")
    return text
