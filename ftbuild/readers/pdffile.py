"""A PDF opened by pdfium and read page by page, in a process apart (`ftbuild.readers.apart`).

In: its bytes.  Out: a document.  Before each page it says that it is alive, so that a page that would take for ever takes
seconds.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ftbuild.errors import SourceError
from ftbuild.readers.blocks import document, listed, meta_of
from ftbuild.readers.pdfblocks import blocks
from ftbuild.readers.pdflines import Line, lines
from ftbuild.records import Document

_WRITTEN_BY_PROGRAMS = re.compile(
    r"(?i)microsoft \w+ - |untitled|^\(?anonymous\)?$|^无标题|^about:blank|\.(docx?|pdf|tex|dvi|indd|qxd|html?|rtf|odt)$|^.$"
)
_MOST_PAGES = 20_000
_MOST_BOOKMARKS = 5000


def read(data: bytes, name: str, alive: Callable[..., None]) -> Document:
    """Return the document that a PDF holds, telling `alive` what is done next.  SourceError for what cannot be read."""
    import logging

    import pypdfium2

    logging.getLogger("pypdfium2").setLevel(logging.CRITICAL)
    alive("the file")
    try:
        opened = pypdfium2.PdfDocument(data)
        count = len(opened)
    except pypdfium2.PdfiumError as error:
        if "password" in str(error).lower():
            raise SourceError(f"{name}: is protected by a password", hint="save it without one") from error
        raise SourceError(f"{name}: cannot be read: {error}", hint="is it damaged?") from error
    try:
        if not 0 < count <= _MOST_PAGES:
            raise SourceError(f"{name}: has {count:,} pages")
        found, heights, empty, broken = _pages(opened, count, pypdfium2.PdfiumError, alive)
        if not found:
            raise SourceError(
                f"{name}: holds no text on its {count} {'page' if count == 1 else 'pages'} (a scan?)",
                hint="make its text readable first, with a program such as ocrmypdf",
            )
        facts = {str(k): str(v) for k, v in opened.get_metadata_dict(skip_empty=True).items()}
        title = facts.get("Title", "")
        meta: dict[str, Any] = meta_of(author=facts.get("Author"), date=_date(facts.get("CreationDate", "")), pages=count)
        lost = [f"no text on pages {listed(empty)}"] if empty else []
        lost += [f"damaged pages {listed(broken)}"] if broken else []
        meta |= {"lost": "; ".join(lost)} if lost else {}
        title = "" if _WRITTEN_BY_PROGRAMS.search(title) else title
        alive("the outline")
        outline = _outline(opened)
        alive("the text", len(found) / 1000)
        return document(blocks(found, outline, heights), name, title=title, meta=meta)
    finally:
        opened.close()


def _pages(
    opened: Any, count: int, failure: type[Exception], alive: Callable[..., None]
) -> tuple[list[Line], list[float], list[int], list[int]]:
    """Return the lines and the heights of all pages, and the numbers of those without text and of those that cannot be read."""
    found, heights, empty, broken = list[Line](), [0.0] * count, list[int](), list[int]()
    for n in range(count):
        alive(f"page {n + 1}")
        try:
            page = opened[n]
            try:
                here = lines(page, n)
                heights[n] = float(page.get_height())
            finally:
                page.close()
        except failure:
            broken.append(n + 1)
            continue
        found += here
        if not here:
            empty.append(n + 1)
    return found, heights, empty, broken


def _outline(opened: Any) -> list[tuple[int, str, int]]:
    """Return the bookmarks: depth, title, page."""
    found: list[tuple[int, str, int]] = []
    for mark in opened.get_toc(max_depth=8):
        target = mark.get_dest()
        page = target.get_index() if target else None
        if title := mark.get_title():
            found.append((mark.level, title, -1 if page is None else page))
        if len(found) > _MOST_BOOKMARKS:
            break
    return found


def _date(told: str) -> str:
    match = re.match(r"D:(\d{4})(\d\d)?(\d\d)?", told)
    return "-".join(part for part in match.groups() if part) if match else ""
