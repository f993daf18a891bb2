"""Cleaning rules for web pages that a source gives as they are, with `format: html`.

`html_drop` takes parts out of a page, and `html_text` turns what is left into plain Markdown, for which the general rules are.
Pages that the sources `files` and `web` read need none of them.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from ftbuild.plain import escape, heading, joined
from ftbuild.readers.markup import blocks, hidden, parse, remove
from ftbuild.registries import RULES
from ftbuild.versions import versions


def _depends(_: Any) -> dict[str, str]:
    return versions("lxml", "trafilatura")


@RULES("html_drop", formats=("html",), depends=_depends)
def html_drop(
    text: str,
    *,
    tags: tuple[str, ...] = (),
    named: tuple[str, ...] = (),
    roles: tuple[str, ...] = (),
    saying: str = "",
    unseen: bool = False,
) -> str:
    """Drop elements of a page with all that is in them: by tag, by a word of their class or id, by role, by what they say.

    `named: [cookie]` means `class="cookie"` and `id="cookie-banner"`, but not `class="cookies"`; `saying` is a regular
    expression for the whole text of a short element, such as `Share this.*`; `unseen` are those that the page itself hides.
    """
    from lxml import etree

    root = parse(text)
    if root is None:
        return ""
    wanted, words = {t.lower() for t in tags}, {n.lower() for n in named}
    pattern = re.compile(saying, re.IGNORECASE) if saying else None
    for element in [e for e in root.iter() if isinstance(e.tag, str) and e.getparent() is not None]:
        called = set(re.split(r"[\s_-]+", f"{element.get('class') or ''} {element.get('id') or ''}".lower()))
        drop = (
            element.tag.lower() in wanted
            or (bool(words & called) and element.tag not in ("body", "main", "article"))
            or (element.get("role") or "").lower() in roles
            or (unseen and hidden(element))
            or (pattern is not None and _says(element, pattern))
        )
        if drop and element.getparent() is not None:
            remove(element)
    return str(etree.tostring(root, encoding="unicode", method="html"))


@RULES("html_text", formats=("html",), depends=_depends)
def html_text(text: str, *, main: Literal["auto", "always", "never"] = "never", code: bool = True) -> str:
    """Turn a page into plain Markdown: headings, paragraphs, lists and tables.

    `main` says whether to look for the page's main text first: `auto` does where there is navigation and the like.
    """
    from ftbuild.readers.html import found_in

    found = blocks(parse(text), code=code) if main == "never" else found_in(text, main=main, code=code)
    return joined(heading(block.level, block.text) if block.level else escape(block.text) for block in found)


_LONGEST = 300


def _says(element: Any, pattern: re.Pattern[str]) -> bool:
    """Say whether all that a short element says matches a pattern."""
    said, size = [], 0
    for piece in element.itertext():
        size += len(piece)
        if size > _LONGEST:
            return False
        said.append(piece)
    return pattern.fullmatch(" ".join("".join(said).split())) is not None
