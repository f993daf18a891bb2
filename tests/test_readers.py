"""Readers: one text gives one tree of sections, whatever it is written in."""

from __future__ import annotations

import re
from typing import Any

import pytest

from ftbuild.errors import SourceError
from ftbuild.plain import HEADING
from ftbuild.readers.choose import read
from ftbuild.records import Document
from tests import fivefold

FORMATS = {
    "a.md": fivefold.markdown,
    "a.html": fivefold.html,
    "a.docx": fivefold.docx,
    "b.docx": lambda: fivefold.docx(localised=True),
    "a.epub": fivefold.epub,
    "a.rst": fivefold.rst,
    "a.pdf": fivefold.pdf,
    "b.pdf": lambda: fivefold.pdf(outline=True),
    "c.pdf": lambda: fivefold.pdf(columns=2, running=False),
}


def one(data: bytes | str, name: str, **given: Any) -> Document:
    """Return the one document that some bytes hold."""
    (document,) = read(data if isinstance(data, bytes) else data.encode(), name, **given)
    return document


def tree(document: Document) -> list[tuple[int, str]]:
    """Return the headings of a document with their levels."""
    assert document.format == "markdown"
    return [(len(m[1]), m[2]) for m in HEADING.finditer(document.text)]


@pytest.mark.parametrize("name", FORMATS)
def test_one_text_gives_one_tree(name: str) -> None:
    document = one(FORMATS[name](), name)
    assert tree(document) == fivefold.TREE
    assert document.title == fivefold.TITLE
    paragraphs = document.text.split("\n\n")
    for kind, what in fivefold.TEXT:
        if kind == "p":
            assert what in paragraphs
        elif kind in ("ul", "ol"):
            marks = ["- "] * len(what) if kind == "ul" else [f"{n}. " for n in range(1, len(what) + 1)]
            assert "\n".join(mark + item for mark, item in zip(marks, what, strict=True)) in [p.strip() for p in paragraphs]
        elif kind == "table":
            assert "\n".join(f"| {' | '.join(row)} |" for row in what) in paragraphs
    for stranger in ("Home page", "cookies", "Imprint", "var x", "**", "](", "Hollin Ferry Company", "- 1 -"):
        assert stranger not in document.text


def test_sections_are_in_order_and_nothing_is_lost() -> None:
    words = [re.findall(r"\w+", one(FORMATS[name](), name).text) for name in FORMATS]
    assert all(w == words[0] for w in words[1:])


# ---- PDF ----


def test_a_long_pdf_in_two_columns() -> None:
    document = one(fivefold.pdf(columns=2, times=4), "a.pdf")
    assert tree(document) == fivefold.TREE * 4
    assert document.meta["pages"] > 3
    assert "Hollin Ferry Company" not in document.text
    assert not re.search(r"- \d -", document.text)
    assert document.text.count(fivefold.TEXT[7][1]) == 4


def drawn(*lines: tuple[float, float, str, float, str], pages: int = 1) -> bytes:
    """Return a PDF of lines drawn one after another: x, y, text, size, font."""
    import io

    from reportlab.pdfgen.canvas import Canvas

    file = io.BytesIO()
    canvas = Canvas(file, pagesize=(600, 800))
    for _ in range(pages):
        for x, y, text, size, font in lines:
            canvas.setFont(font, size)
            canvas.drawString(x, y, text)
        canvas.showPage()
    canvas.save()
    return file.getvalue()


LEFT = "the left column tells of boats and of the weather"
RIGHT = "the right column tells of the people on the quay"


def test_columns_that_are_drawn_line_by_line_are_read_one_after_the_other() -> None:
    lines = [(x, 700 - 14 * n, text, 11, "Times-Roman") for n in range(20) for x, text in ((50, LEFT), (320, RIGHT))]
    text = one(drawn((50, 740, "Two columns", 20, "Helvetica-Bold"), *lines), "a.pdf").text
    assert text.count(LEFT) == text.count(RIGHT) == 20
    assert text.rindex(LEFT) < text.index(RIGHT)


def test_words_parted_at_the_end_of_a_line_are_whole_again() -> None:
    lines = ["The harbour master kept his records in a hand that nobody else could under-", "stand, in well-",
             "known English words."]  # fmt: skip
    made = drawn(*[(50, 700 - 14 * n, line, 11, "Times-Roman") for n, line in enumerate(lines)])
    assert "could understand" in one(made, "a.pdf").text


def test_bold_lines_are_headings_where_the_text_is_not_bold() -> None:
    body = "This sentence is part of a paragraph which is set in the usual way and goes on."
    made = drawn(
        (50, 720, "Opening hours", 11, "Helvetica-Bold"), (50, 700, body, 11, "Helvetica"), (50, 686, body, 11, "Helvetica"),
        (50, 650, "Prices", 11, "Helvetica-Bold"), (50, 630, body, 11, "Helvetica"),
    )  # fmt: skip
    document = one(made, "prices.pdf")
    assert tree(document) == [(1, "Opening hours"), (1, "Prices")]
    assert document.title == "Opening hours"


def test_a_scan_says_so() -> None:
    with pytest.raises(SourceError, match=r"^scan\.pdf: holds no text on its 3 pages \(a scan\?\)$") as caught:
        read(drawn(pages=3), "scan.pdf")
    assert "ocrmypdf" in caught.value.hint


def test_pages_without_text_are_told() -> None:
    import io

    from reportlab.pdfgen.canvas import Canvas

    file = io.BytesIO()
    canvas = Canvas(file)
    for page in range(4):
        if page != 2:
            canvas.drawString(50, 700, f"The text of a page that can be read, number {page + 1}.")
        canvas.showPage()
    canvas.save()
    assert one(file.getvalue(), "a.pdf").meta["lost"] == "no text on pages 3"


def test_a_locked_pdf_says_so() -> None:
    with pytest.raises(SourceError, match=r"^a\.pdf: is protected by a password$"):
        read(fivefold.pdf(password="secret"), "a.pdf")
