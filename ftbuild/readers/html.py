"""Web pages: the main text of a page, with its headings, lists and tables.

What is main text is trafilatura's judgement, in its precise mode (Apache-2.0; A. Barbaresi, "Trafilatura", ACL 2021).  A page
that has no navigation, no banner and no other parts around its text is taken whole: nothing of a document is guessed away.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal

from ftbuild.readers.blocks import Block, document, meta_of
from ftbuild.readers.decode import decoded
from ftbuild.readers.markup import blocks, parse, remove
from ftbuild.records import Document
from ftbuild.registries import READERS

Main = Literal["auto", "always", "never"]

_CHARSET = re.compile(rb"""(?i)<meta[^>]+charset\s*=\s*["']?\s*([\w:.-]+)|<\?xml[^>]+encoding\s*=\s*["']([\w.-]+)""")
_AROUND = frozenset(["nav", "aside", "footer"])
_PARTS = re.compile(
    r"(?i)(^|[\s_-])(nav(igation|bar)?|menu|side-?bar|cookies?|consent|share|sharing|social|breadcrumbs?|advert\w*|ads?|banner|related"
    r"|newsletter|subscribe|comments?|popup|modal|footer|masthead)($|[\s_-])"
)
_LARGEST = 2_000_000
_NAMES = {"list": "ul", "item": "li", "row": "tr", "cell": "td", "quote": "blockquote", "lb": "br", "code": "pre"}
"""Trafilatura's names for elements, which are TEI's, and those of HTML."""


@READERS("html", formats=(".html", ".htm", ".xhtml", "text/html", "application/xhtml+xml"))
def html(data: bytes, name: str, *, encoding: str = "", main: Main = "auto", code: bool = True) -> Iterator[Document]:
    """Read a web page: its main text, where it has other parts too.

    `main` says whether to look for the main text; `auto` does where a page has navigation and the like.
    """
    declared = _CHARSET.search(data[:4096])
    said = (declared[1] or declared[2]).decode("ascii", "replace") if declared else ""
    text = decoded(data, name, declared=said, given=encoding)
    root = parse(text)
    facts = _facts(root)
    title = facts.pop("title", "")
    yield document(found_in(text, main=main, code=code, root=root), name, title=title, meta=facts)


def found_in(text: str, *, main: Main, code: bool = True, root: Any = None) -> list[Block]:
    """Return the blocks of a page: of its main text, or of all of it.  `root` is its tree, if it was parsed already."""
    root = parse(text) if root is None else root
    if root is None:
        return []
    found = list[Block]()
    if main == "always" or (main == "auto" and _has_parts(root)):
        found = main_text(text, code=code) if len(text) < _LARGEST else []
        if not any(block.level for block in found):
            rest = blocks(_without_parts(root), code=code)
            found = _under_headings(found, rest) if found else rest
    return found if any(block.text.strip() for block in found) else blocks(_body(root), code=code)


def _under_headings(found: list[Block], page: list[Block]) -> list[Block]:
    """Put the headings of a page over a main text without any: trafilatura takes short pages by their paragraphs alone."""
    over, waiting = dict[str, list[Block]](), list[Block]()
    for block in page:
        if block.level:
            waiting.append(block)
        elif block.text.strip():
            over.setdefault(block.text.strip(), waiting)
            waiting = []
    return [one for block in found for one in (*over.pop(block.text.strip(), ()), block)]


def main_text(text: str, *, code: bool = True) -> list[Block]:
    """Return the main text of a page as blocks; none if there is not enough of it to tell."""
    import logging

    import trafilatura

    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)  # it logs what it can do nothing with
    try:
        found = trafilatura.bare_extraction(
            text,
            favor_precision=True,
            include_comments=False,
            include_tables=True,
            include_formatting=False,
            with_metadata=False,
        )
    except Exception:  # noqa: BLE001 - a page that it trips over is read by its elements alone
        return []
    body = getattr(found, "body", None)
    if body is None:
        return []
    for element in body.iter():
        if isinstance(element.tag, str):
            element.tag = _name(element)
    return blocks(body, code=code)


def _name(element: Any) -> str:
    rend = element.get("rend") or ""
    if element.tag == "head":
        return rend if re.fullmatch(r"h[1-6]", rend) else "h2"
    if element.tag == "list" and rend == "ol":
        return "ol"
    if element.tag == "code" and "\n" not in "".join(element.itertext()):
        return "span"
    return _NAMES.get(element.tag, str(element.tag))


def _body(root: Any) -> Any:
    found = root.find("body")
    return root if found is None else found


def _part(element: Any) -> bool:
    tag = element.tag if isinstance(element.tag, str) else ""
    if tag in ("html", "body", "main", "article", "h1"):
        return False
    named = f"{element.get('class') or ''} {element.get('id') or ''}"
    return tag in _AROUND or element.get("role") in ("navigation", "banner", "search") or bool(_PARTS.search(named))


def _has_parts(root: Any) -> bool:
    return any(_part(element) for element in root.iter())


def _without_parts(root: Any) -> Any:
    """Take the navigation and the like out of a page."""
    for element in [e for e in root.iter() if _part(e)]:
        if element.getparent() is not None:
            remove(element)
    return _body(root)


def _facts(root: Any) -> dict[str, Any]:
    """Return what the head of a page says: title, author, date, language."""
    if root is None:
        return {}
    named: dict[str, str] = {}
    for element in root.iter("meta"):
        key = (element.get("name") or element.get("property") or "").lower()
        named.setdefault(key, element.get("content") or "")
    title = named.get("og:title") or "".join(root.findtext(".//title") or "")
    date = named.get("article:published_time") or named.get("date") or named.get("dc.date") or ""
    return meta_of(title=title, author=named.get("author"), date=date, language=root.get("lang"))
