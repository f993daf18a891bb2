"""Hostile documents: each ends soon, with a result or with one clear error that names it."""

# ruff: noqa: E501

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable

import pytest

from ftbuild.errors import SourceError
from ftbuild.readers.choose import read
from tests import fivefold

LAUGHS = b'<!DOCTYPE x [<!ENTITY a "ha">' + b"".join(
    b'<!ENTITY %c "%s">' % (letter, b"&%c;" % (letter - 1) * 20) for letter in range(ord("b"), ord("k"))
) + b"]>"  # fmt: skip
W = b'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def zipped(data: bytes, **replaced: bytes | None) -> bytes:
    """Return a ZIP file with some of its parts replaced, added or, where they are None, left out."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new:
        for part in old.namelist():
            if part not in replaced:
                new.writestr(part, old.read(part))
        for part, content in replaced.items():
            if content is not None:
                new.writestr(part, content)
    return file.getvalue()


def with_entities(part: str, made: Callable[[], bytes]) -> bytes:
    """Return a document of which a part declares entities that grow beyond measure, and uses the largest."""
    with zipfile.ZipFile(io.BytesIO(made())) as old:
        content = old.read(part)
    head, _, rest = content.partition(b"?>")
    return zipped(made(), **{part: head + b"?>" + LAUGHS + rest.replace(b"</", b"&j;</", 1)})


def broken_pdf(cut: int = 0, replaced: dict[str, bytes] | None = None) -> bytes:
    data = fivefold.pdf()
    for old, new in (replaced or {}).items():
        data = data.replace(old.encode(), new)
    return data[:-cut] if cut else data


HOSTILE: dict[str, tuple[str, Callable[[], bytes]]] = {
    "nested html": ("a.html", lambda: b"<div>" * 100_000 + b"The text within." + b"</div>" * 100_000),
    "nested html with parts": ("a.html", lambda: b"<nav>x</nav>" + b"<div>" * 100_000 + b"The text within." + b"</div>" * 100_000),
    "nested lists": ("a.html", lambda: b"<ul><li>The text within" * 20_000),
    "nested tables": ("a.html", lambda: b"<table><tr><td>The text within" * 20_000),
    "unclosed tags": ("a.html", lambda: b"<b><p>The text within " * 20_000),
    "unclosed formatting": ("a.html", lambda: b"<b><i><font>The text within " * 20_000),
    "attributes": ("a.html", lambda: b"<p " + b"a=b " * 1_000_000 + b">The text within</p>"),
    "html on one line": ("a.html", lambda: b"<p>" + b"The text within goes on. " * 400_000 + b"</p>"),
    "page on one line": ("a.html", lambda: b"<nav>x</nav><p>" + b"The text within goes on. " * 400_000 + b"</p>"),
    "unclosed comments": ("a.html", lambda: b"<p>The text within</p>" + b"<!-- " * 200_000),
    "many tables": ("a.html", lambda: b"<table><tr><td rowspan=9999 colspan=9999>The text within</td><td>x</td></tr></table>" * 2000),
    "text on one line": ("a.txt", lambda: b"The text within goes on. " * 400_000),
    "markdown on one line": ("a.md", lambda: b"The text within goes on. " * 400_000),
    "stars on one line": ("a.md", lambda: b"The text within " + b"*a **a _a " * 300_000),
    "brackets": ("a.md", lambda: b"The text within " + b"[" * 200_000),
    "brackets on lines": ("a.md", lambda: b"The text within " + b"[[[[[[[[![a\n" * 20_000),
    "links": ("a.md", lambda: b"The text within " + b"[a](<b\n" * 20_000),
    "backticks": ("a.md", lambda: b"The text within " + b"".join(b"`" * n + b" " for n in range(1, 600))),
    "quotes": ("a.md", lambda: b">" * 200_000 + b" The text within"),
    "lists": ("a.md", lambda: b"The text within\n\n" + b"".join(b" " * (n % 100) + b"- a\n" for n in range(10_000))),
    "markdown tables": ("a.md", lambda: b"The text within\n\n" + b"|a" * 2000 + b"\n" + b"|-" * 2000 + b"\n" + b"|\n" * 2000),
    "yaml bomb": ("a.md", lambda: b"---\na: &a [x,x]\n" + b"".join(b"%c: &%c [*%c,*%c,*%c]\n" % (c, c, c - 1, c - 1, c - 1) for c in range(98, 120)) + b"---\nThe text within\n"),
    "rst": ("a.rst", lambda: b"The text within\n\n" + b"`a **a |a " * 3_000),
    "rst lines": ("a.rst", lambda: b"The text within " * 60_000),
    "rst include": ("a.rst", lambda: b".. include:: /etc/passwd\n\n.. raw:: html\n   :file: /etc/passwd\n\nThe text within.\n"),
    "docx entities": ("a.docx", lambda: with_entities("word/document.xml", fivefold.docx)),
    "docx bomb": ("a.docx", lambda: zipped(fivefold.docx(), **{"word/document.xml": b"<a>" + b" " * 60_000_000})),
    "docx large": (
        "a.docx",
        lambda: zipped(
            fivefold.docx(),
            **{"word/document.xml": b"<w:document %s><w:body>" % W + b"<w:p><w:r><w:t>The text %d</w:t></w:r></w:p>" * 1_500_000},
        ),
    ),
    "docx cut": ("a.docx", lambda: fivefold.docx()[:-400]),
    "docx nested": ("a.docx", lambda: zipped(fivefold.docx(), **{"word/document.xml": b"<w:document %s><w:body>" % W + b"<w:p>" * 20_000})),
    "docx without text": ("a.docx", lambda: zipped(fivefold.docx(), **{"word/document.xml": None, "word/other.xml": b"<a/>"})),
    "epub entities": ("a.epub", lambda: with_entities("OPS/book.opf", fivefold.epub)),
    "epub bomb": ("a.epub", lambda: fivefold.epub(**{"OPS/more.xhtml": b" " * 60_000_000})),
    "epub paths": ("a.epub", lambda: zipped(fivefold.epub(), **{"OPS/book.opf": b'<package xmlns="x"><manifest><item id="a" href="../../../../etc/passwd" media-type="text/html"/></manifest><spine><itemref idref="a"/></spine></package>'})),
    "pdf cut": ("a.pdf", lambda: broken_pdf(cut=900)),
    "pdf without a table": ("a.pdf", lambda: broken_pdf(replaced={"startxref": b"startxxxx", "trailer": b"trialer"})),
    "pdf loop of pages": ("a.pdf", lambda: b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[2 0 R 2 0 R]/Count 9999999>>endobj\ntrailer<</Root 1 0 R>>"),
    "pdf loop of bookmarks": ("a.pdf", lambda: b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R/Outlines 3 0 R>>endobj 2 0 obj<</Type/Pages/Kids[4 0 R]/Count 1>>endobj 3 0 obj<</First 5 0 R/Last 5 0 R/Count 1>>endobj 5 0 obj<</Title(a)/Next 5 0 R/First 5 0 R/Parent 3 0 R>>endobj 4 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Resources<</Font<</F 6 0 R>>>>/Contents 7 0 R>>endobj 6 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj 7 0 obj<</Length 48>>stream\nBT /F 12 Tf 50 700 Td (The text within.) Tj ET \nendstream endobj\ntrailer<</Root 1 0 R>>"),
    "pdf form in itself": ("a.pdf", lambda: b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[4 0 R]/Count 1>>endobj 4 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Resources<</XObject<</X 5 0 R>>>>/Contents 7 0 R>>endobj 5 0 obj<</Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</X 5 0 R>>>>/Length 10>>stream\n/X Do /X Do\nendstream endobj 7 0 obj<</Length 6>>stream\n/X Do \nendstream endobj\ntrailer<</Root 1 0 R>>"),
    "no pdf": ("a.pdf", lambda: b"<html><body>404 The text within</body></html>"),
    "zeros": ("a.txt", lambda: b"\0" * 1000),
    "zeros as html": ("a.html", lambda: b"<p>The text within\0\0</p>" * 10),
    "a picture": ("a.md", lambda: b"\x89PNG\r\n\x1a\n" + b"\0" * 100),
}  # fmt: skip


@pytest.mark.parametrize("which", HOSTILE)
def test_a_hostile_document_gives_its_text_or_one_clear_error(which: str) -> None:
    name, made = HOSTILE[which]
    try:
        (document,) = read(made(), name)
    except SourceError as error:
        said = error.message
        assert said.startswith(f"{name}: ")
        assert "\n" not in said
        assert len(said) < 400
        assert not which.startswith(("nested", "unclosed", "text", "html", "markdown"))
    else:
        assert len(document.text) > 10
        assert "root:" not in document.text
        assert "ha" * 1000 not in document.text
        if name.endswith((".html", ".md", ".rst", ".txt")):
            assert "The text within" in document.text
