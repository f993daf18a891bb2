"""The units of text that one request sees: a document's section, a paragraph or a sentence.

In: sections in their order.  Out: units, each of which knows its section and its place in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ftbuild.records import Section


@dataclass(frozen=True)
class Unit:
    """A piece of one section's text, numbered from 0 within the section."""

    section: Section
    text: str
    index: int = 0


def sentences(text: str, language: str) -> list[str]:
    """Split running text into sentences, by the rules of a language given by its ISO code (source: Wikimedia's sentencex)."""
    from sentencex import segment

    return [s for p in text.splitlines() for s in (piece.strip() for piece in segment(language, p)) if s]


def paragraphs(text: str) -> list[str]:
    """Split a section's text at its line breaks."""
    return [p.strip() for p in text.splitlines() if p.strip()]


def units(sections: Iterable[Section], kind: str, language: str) -> Iterator[Unit]:
    """Yield the units of a kind: `section`, `paragraph` or `sentence`."""
    for section in sections:
        match kind:
            case "paragraph":
                pieces = paragraphs(section.text)
            case "sentence":
                pieces = sentences(section.text, language)
            case _:
                pieces = [section.text]
        yield from (Unit(section, piece, index) for index, piece in enumerate(pieces))
