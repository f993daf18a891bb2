"""Second step, first half: where each bracket of two characters ends, matched with a stack in one pass."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

# The pattern begins with a class of characters, which the engine looks for much faster than for a choice of beginnings.
_BRACKET = re.compile(
    r"[\[\]{}|<](?:(?<=\{)(\{+)|(?<=\})(\}+)|(?<=\[)(\[)|(?<=\])(\](?!\](?!\])))|(?<=\{)(\|)|(?<=\|)(\}(?:(?=\}\}(?!\}))|(?!\})))"
    r"|(?<=<)((?:table|TABLE)\b)|(?<=<)(/(?:table|TABLE)\s*>))"
)
_BRACES, _BRACES_END, _LINK, _LINK_END, _TABLE, _TABLE_END, _HTML, _HTML_END = range(1, 9)
_OPENING, _OF_LINES = (_LINK, _TABLE, _HTML), (_TABLE, _TABLE_END)
_INDENT = 40
_PARAMETER = 3  # braces of one


@dataclass
class Pairs:
    """Where each bracket that is closed ends: its start → the position after its end."""

    braces: dict[int, tuple[int, int]] = field(default_factory=dict)
    """With how many braces: `{{{` is a parameter."""
    links: dict[int, int] = field(default_factory=dict)
    tables: dict[int, int] = field(default_factory=dict)
    html: dict[int, int] = field(default_factory=dict)


def pairs(text: str) -> Pairs:
    """Match all brackets of a text, each kind by itself, runs of braces as MediaWiki's preprocessor does."""
    found = Pairs()
    ends = {_LINK_END: found.links, _TABLE_END: found.tables, _HTML_END: found.html}
    opened: dict[int, list[int]] = {kind: [] for kind in _OPENING}
    braces: list[list[int]] = []
    for match in _BRACKET.finditer(text):
        kind = match.lastindex or 0
        if kind == _BRACES:
            braces.append([match.start(), match.end() - match.start()])
        elif kind == _BRACES_END:
            _close_braces(braces, match.start(), match.end() - match.start(), found.braces)
        elif kind in _OF_LINES and not begins_line(text, match.start()):
            continue
        elif kind in _OPENING:
            opened[kind].append(match.start())
        elif opened[kind - 1]:
            ends[kind][opened[kind - 1].pop()] = match.end()
    return found


def _close_braces(braces: list[list[int]], position: int, left: int, found: dict[int, tuple[int, int]]) -> None:
    """Match a run of closing braces with the runs that are open: three with three, or else two with two."""
    while left > 1 and braces:
        start, count = braces[-1]
        size = _PARAMETER if left >= _PARAMETER and count >= _PARAMETER else 2
        position, left = position + size, left - size
        found[start + count - size] = (position, size)
        braces[-1][1] -= size
        if count - size < 2:  # noqa: PLR2004 - one brace is text
            braces.pop()


def begins_line(text: str, position: int) -> bool:
    """Say whether nothing but spaces and the marks of a list stands before a position on its line."""
    before = text[max(0, position - _INDENT) : position]
    return not before.rpartition("\n")[2].strip(" \t:*#") and (position < _INDENT or "\n" in before)
