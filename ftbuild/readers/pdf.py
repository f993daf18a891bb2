"""PDF: the text of its pages, read by pdfium (BSD and Apache-2.0), with its headings, paragraphs, lists and tables found again.

A PDF says where letters stand, and little else.  What is a heading is told by the document's outline, by size and by weight; running
headers, footers and page numbers are known by being on page after page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ftbuild.errors import SourceError
from ftbuild.readers.blocks import document, listed, meta_of
from ftbuild.readers.pdfblocks import blocks
from ftbuild.readers.pdflines import Line, lines
from ftbuild.records import Document
from ftbuild.registries import READERS

_WRITTEN_BY_PROGRAMS = re.compile(r"(?i)microsoft \w+ - |untitled|^about:blank|\.(docx?|pdf|tex|dvi|indd|qxd|html?|rtf|odt)$|^.$")
_MOST_PAGES = 20_000
_MOST_BOOKMARKS = 5000


@READERS("pdf", formats=(".pdf", "application/pdf"))
def pdf(data: bytes, name: str) -> Iterator[Document]:
    """Read a PDF: its headings, paragraphs, lists and tables, in the order of its columns."""
    if b"%PDF-" not in data[:2000]:
        raise SourceError(f"{name}: is no PDF", hint="is it damaged, or of another kind?")
    import pypdfium2

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
        found, heights, empty, broken = _pages(opened, count, pypdfium2.PdfiumError)
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
        yield document(blocks(found, _outline(opened), heights), name, title=title, meta=meta)
    finally:
        opened.close()


def _pages(opened: Any, count: int, failure: type[Exception]) -> tuple[list[Line], list[float], list[int], list[int]]:
    """Return the lines and the heights of all pages, and the numbers of those without text and of those that cannot be read."""
    found, heights, empty, broken = list[Line](), [0.0] * count, list[int](), list[int]()
    for n in range(count):
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
