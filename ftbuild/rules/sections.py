"""Cleaning rules that drop or keep whole sections, by what their headings say, in any format that has headings.

A pattern is a heading, or a path of them such as `History/Early *`; `*` stands for anything, `**` for any headings between.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ftbuild.headings import Heading, named, paths
from ftbuild.headings import headings as headings_of
from ftbuild.registries import RULES


def _found(text: str, meta: Mapping[str, Any]) -> list[Heading]:
    return headings_of(text, str(meta.get("format", "wikitext")))


@RULES("cut_after_heading")
def cut_after_heading(text: str, meta: Mapping[str, Any] = {}, *, headings: tuple[str, ...], deepest: int = 2) -> str:
    """Drop the first of these headings and everything after it.  Upper and lower case are the same.

    Headings with more marks than `deepest` are passed over.
    """
    for heading in _found(text, meta):
        if heading.level <= deepest and named((heading.text.strip("'* "),), headings):
            return text[: heading.start]
    return text


@RULES("drop_sections")
def drop_sections(text: str, meta: Mapping[str, Any] = {}, *, headings: tuple[str, ...]) -> str:
    """Drop the sections with these headings, and all that is below them."""
    return "".join(part for path, part in _parts(text, meta) if not named(path, headings))


@RULES("keep_sections")
def keep_sections(text: str, meta: Mapping[str, Any] = {}, *, headings: tuple[str, ...], lead: bool = True) -> str:
    """Drop all sections but those with these headings, what is below them, and the text before the first (`lead`).

    The headings above what is kept stay where they are.
    """
    kept: list[str] = []
    above: list[tuple[int, str]] = []
    parts = list(_parts(text, meta))
    for path, part in parts:
        if not path:
            kept += [part] if lead else []
            continue
        above = [(depth, line) for depth, line in above if depth < len(path)]
        if named(path, headings):
            kept += [*(line for _, line in above), part]
            above = []
        else:
            above.append((len(path), part.partition("\n")[0] + "\n"))
    return "".join(kept)


def _parts(text: str, meta: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield a text in pieces, each of which begins with a heading but the first, with the path of headings."""
    found = _found(text, meta)
    ends = [heading.start for heading in found[1:]] + [len(text)]
    yield (), text[: found[0].start] if found else text
    for path, heading, end in zip(paths(found), found, ends, strict=False):
        yield path, text[heading.start : end]
