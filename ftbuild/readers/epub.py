"""Books: EPUB 2 and 3, chapter by chapter in the order of the spine.  Only a ZIP file and HTML: nothing else is needed.

Source: EPUB 3.3, https://www.w3.org/TR/epub-33/.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urldefrag

from ftbuild.errors import SourceError
from ftbuild.plain import one_line
from ftbuild.readers.archive import Archive
from ftbuild.readers.blocks import Block, document, listed, meta_of
from ftbuild.readers.decode import decoded
from ftbuild.readers.markup import blocks, parse
from ftbuild.records import Document
from ftbuild.registries import READERS

_PAGES = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml", "text/x-oeb1-document")
_LOCKED = ("META-INF/rights.xml", "META-INF/license.lcpl")
_FONTS = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")


@READERS("epub", formats=(".epub", "application/epub+zip"))
def epub(data: bytes, name: str, *, code: bool = True) -> Iterator[Document]:
    """Read a book as one document, its chapters in order under the headings that they or the table of contents give."""
    book = Archive(data, name, what="EPUB")
    if any(part in book for part in _LOCKED) or _encrypted(book):
        raise SourceError(f"{name}: is locked (DRM)", hint="a copy that is not locked can be read")
    package_name = _package(book)
    package = book.xml(package_name)
    home = posixpath.dirname(package_name)
    items = {e.get("id"): e for e in _all(package, "item")}
    contents = _contents(book, home, items)
    found: list[Block] = []
    lost = []
    for reference in _all(package, "itemref"):
        item = items.get(reference.get("idref"))
        if item is None or (item.get("media-type") or "") not in _PAGES or "nav" in (item.get("properties") or "").split():
            continue
        part = _path(home, item.get("href") or "")
        if part not in book:
            lost.append(part)
            continue
        found += _chapter(book, part, contents.get(part), code=code)
    if lost and not found:
        raise SourceError(f"{name}: names chapters that it does not hold: {', '.join(lost[:3])}", hint="is it damaged?")
    facts = meta_of(
        author=", ".join(one_line(t) for e in _all(package, "creator") if (t := e.text)),
        date=next((e.text for e in _all(package, "date") if e.text), ""),
        language=next((e.text for e in _all(package, "language") if e.text), ""),
        lost=f"chapters that the file does not hold: {', '.join(lost[:5])} ({listed([len(lost)])})" if lost else "",
    )
    yield document(found, name, title=next((e.text for e in _all(package, "title") if e.text), ""), meta=facts)


def _chapter(book: Archive, part: str, told: tuple[int, str] | None, *, code: bool) -> list[Block]:
    """Return the blocks of a chapter; one without a heading of its own has that of the table of contents."""
    root = parse(decoded(book.read(part), f"{book.name}: {part}"))
    for element in [] if root is None else list(root.iter("a", "sup", "aside")):
        kind = f"{element.get('epub:type') or ''} {element.get('role') or ''}"
        if "noteref" in kind:
            element.set("hidden", "")
    read = blocks(root.find("body") if root is not None and root.find("body") is not None else root, code=code)
    read = [b for b in read if b.text.strip()]
    if told and read and not any(b.level for b in read[:3]):
        read = [Block(told[1], told[0]), *read]
    return read


def _all(root: Any, name: str) -> list[Any]:
    return [e for e in root.iter() if isinstance(e.tag, str) and e.tag.rpartition("}")[2] == name]


def _path(home: str, href: str) -> str:
    return posixpath.normpath(posixpath.join(home, unquote(urldefrag(href)[0]))).lstrip("/")


def _package(book: Archive) -> str:
    if "META-INF/container.xml" in book:
        for root in _all(book.xml("META-INF/container.xml"), "rootfile"):
            if (path := _path("", root.get("full-path") or "")) in book:
                return path
    for part in book:
        if str(part).endswith(".opf"):
            return str(part)
    raise SourceError(f"{book.name}: is no EPUB: it has no package", hint="is it damaged?")


def _encrypted(book: Archive) -> bool:
    """Say whether more than fonts is encrypted."""
    if "META-INF/encryption.xml" not in book:
        return False
    ways = [e.get("Algorithm") for e in _all(book.xml("META-INF/encryption.xml"), "EncryptionMethod")]
    return any(way not in _FONTS for way in ways)


def _contents(book: Archive, home: str, items: dict[str, Any]) -> dict[str, tuple[int, str]]:
    """Return the first entry of the table of contents for each chapter: its depth and its title."""
    for item in items.values():
        href = item.get("href") or ""
        part = _path(home, href)
        if part not in book:
            continue
        if "nav" in (item.get("properties") or "").split():
            return _links(parse(decoded(book.read(part), f"{book.name}: {part}")), posixpath.dirname(part))
        if item.get("media-type") == "application/x-dtbncx+xml":
            return _points(book.xml(part), posixpath.dirname(part))
    return {}


def _links(root: Any, home: str) -> dict[str, tuple[int, str]]:
    found: dict[str, tuple[int, str]] = {}
    for link in [] if root is None else root.iter("a"):
        depth = sum(1 for _ in link.iterancestors("ol"))
        if title := one_line("".join(link.itertext())):
            found.setdefault(_path(home, link.get("href") or ""), (max(1, depth), title))
    return found


def _points(root: Any, home: str) -> dict[str, tuple[int, str]]:
    found: dict[str, tuple[int, str]] = {}
    for point in _all(root, "navPoint"):
        depth = 1 + sum(1 for e in point.iterancestors() if str(e.tag).endswith("navPoint"))
        label = next((one_line(e.text) for e in _all(point, "text") if e.text), "")
        target = next((e.get("src") or "" for e in _all(point, "content")), "")
        if label:
            found.setdefault(_path(home, target), (depth, label))
    return found
