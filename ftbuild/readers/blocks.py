"""Blocks: a document as headings and texts in order, and how they become a `Document` in plain Markdown.

The same text gives the same headings, whichever format it came in.  The only heading of the highest level, where it stands
before everything else, is the document's title and no section; the levels that are left are counted from 1, without gaps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from ftbuild.errors import SourceError
from ftbuild.plain import escape, heading, joined, one_line
from ftbuild.records import Document

_BEFORE_A_TITLE = 200
"""Characters that may stand before a title: a date, a number, the name of whoever published it."""


@dataclass(frozen=True)
class Block:
    """A heading of a level from 1, or with level 0 a paragraph, a list or a table, whose lines are final."""

    text: str
    level: int = 0


def document(blocks: Iterable[Block], name: str, *, title: str = "", meta: Mapping[str, Any] | None = None) -> Document:
    """Return blocks as a document.  `title` is what the file says of itself; `name` stands in.  SourceError if it is empty."""
    kept = [block for block in blocks if block.text.strip()]
    if not kept:
        raise SourceError(f"{name}: holds no text", hint="drop it, or let on_error: skip pass over it")
    place = next((n for n, block in enumerate(kept) if block.level), 0)
    first = one_line(kept[place].text) if kept[place].level and sum(len(b.text) for b in kept[:place]) < _BEFORE_A_TITLE else ""
    headings = [b for b in kept if b.level]
    alone = sum(b.level <= kept[place].level for b in headings) == 1
    if first and alone and len(kept) > 1 and (place == 0 or len(headings) > 1):
        title = first
        del kept[place]
    levels = {level: n for n, level in enumerate(sorted({b.level for b in kept if b.level}), start=1)}
    lines = [heading(levels[b.level], b.text) if b.level else escape(b.text) for b in kept]
    title = one_line(title) or first or PurePosixPath(name.replace("\\", "/")).stem or name
    return Document(
        "", title, joined(lines), "markdown", {k: v for k, v in (meta or {}).items() if v not in (None, "", [], ())}
    )


def meta_of(**facts: Any) -> dict[str, Any]:
    """Return what a file tells of itself, without what it leaves open."""
    return {k: one_line(v) if isinstance(v, str) else v for k, v in facts.items() if v}


def listed(values: Sequence[int], most: int = 8) -> str:
    """Return numbers as a person would list them: `3, 7 and 12 more`."""
    shown = ", ".join(map(str, values[:most]))
    return shown if len(values) <= most else f"{shown} and {len(values) - most} more"
