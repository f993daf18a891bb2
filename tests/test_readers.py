"""Readers: one text gives one tree of sections, whatever it is written in."""

# ruff: noqa: E501

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Any

import pytest

from ftbuild.errors import ConfigError, SourceError
from ftbuild.plain import HEADING
from ftbuild.readers.choose import read
from ftbuild.records import Document
from tests import fivefold

FORMATS: dict[str, Callable[[], bytes]] = {
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


def test_gaps_beside_chinese_are_no_spaces() -> None:
    import io

    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.pdfgen.canvas import Canvas

    pdfmetrics.registerFont(UnicodeCIDFont("STSong-Light"))
    file = io.BytesIO()
    canvas = Canvas(file)
    for x, text, font in ((50, "渡轮于", "STSong-Light"), (89, "1911", "Times-Roman"), (116, "年开航。", "STSong-Light")):
        canvas.setFont(font, 12)
        canvas.drawString(x, 700, text)
    canvas.save()
    assert one(file.getvalue(), "a.pdf").text == "渡轮于1911年开航。\n"


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


# ---- what a file is ----


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf-8", "水獭生活在河流和湖泊的岸边。"),
        ("utf-8-sig", "Der Dom steht in Köln."),
        ("utf-16", "Der Dom steht in Köln."),
        ("gb18030", "水獭生活在河流和湖泊的岸边，以鱼为食，冬天也不冬眠。这种动物的皮毛很密。"),
        ("big5", "水獺生活在河流和湖泊的岸邊，以魚為食，冬天也不冬眠。這種動物的皮毛很密。"),
        ("shift_jis", "カワウソは川や湖の岸に住み、魚を食べて暮らしている。冬も眠らない。"),
        ("euc_jp", "カワウソは川や湖の岸に住み、魚を食べて暮らしている。冬も眠らない。"),
        ("euc_kr", "수달은 강이나 호수의 기슭에 살며 물고기를 먹고 겨울에도 잠을 자지 않는다."),
        ("cp1252", "Der Fluß, an dem die Otter leben, führt im Frühjahr viel Wasser – und Eis. Später wird es für sie wärmer."),
        ("cp1251", "Выдра живёт на берегах рек и озёр, питается рыбой и не спит зимой. Её мех очень густой."),
    ],
)
def test_encodings_are_told_apart(encoding: str, text: str) -> None:
    assert one(text.encode(encoding), "a.txt").text == text
    assert one(f"<html><body><p>{text}</p></body></html>".encode(encoding), "a.html").text == f"{text}\n"


def test_a_page_that_declares_its_encoding_is_believed() -> None:
    page = "<html><head><meta charset='iso-8859-2'></head><body><p>Příliš žluťoučký kůň</p></body></html>"
    assert one(page.encode("iso-8859-2"), "a.html").text == "Příliš žluťoučký kůň\n"


def test_a_text_in_an_encoding_that_the_recipe_names() -> None:
    assert one("Köln".encode("cp850"), "a.txt", options={"text": {"encoding": "cp850"}}).text == "Köln"
    with pytest.raises(SourceError, match=r"^a\.txt: is not utf-8 \(byte 1\)$"):
        read("Köln".encode("cp850"), "a.txt", options={"text": {"encoding": "utf-8"}})


@pytest.mark.parametrize(
    ("name", "data", "title"),
    [
        ("report", fivefold.pdf, fivefold.TITLE),
        ("page.pdf", fivefold.docx, fivefold.TITLE),
        ("book.bin", fivefold.epub, fivefold.TITLE),
        ("page", fivefold.html, fivefold.TITLE),
        ("notes", lambda: b"Just text.", "notes"),
    ],
)
def test_what_a_file_holds_counts_more_than_its_name(name: str, data: Any, title: str) -> None:
    assert one(data(), name).title == title


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.md", b"  \n", "a.md: the file is empty"),
        ("a.md", b"---\ntitle: x\n---\n", "a.md: holds no text"),
        ("a.doc", b"\xd0\xcf\x11\xe0" + b"\0" * 600, "a.doc: is a file of an old office program"),
        ("a.docx", b"\xd0\xcf\x11\xe0" + b"\0" * 600, "a.docx: is a Word document of the old kind"),
        ("a.docx", b"\xd0\xcf\x11\xe0" + "EncryptedPackage".encode("utf-16-le"), "a.docx: is protected by a password"),
        ("a.zip", b"PK\x03\x04" + b"\0" * 600, "a.zip: there is no reader for .zip files"),
        ("a.epub", b"PK\x03\x04" + b"\0" * 600, "a.epub: is no EPUB"),
        ("a.docx", b"hello", "a.docx: is no Word document"),
        ("a.html", b"<html><script>x</script></html>", "a.html: holds no text"),
    ],
)
def test_what_cannot_be_read_is_named(name: str, data: bytes, said: str) -> None:
    with pytest.raises(SourceError) as caught:
        read(data, name)
    assert caught.value.message.startswith(said)


# ---- what is kept and what is not ----


def test_markdown_keeps_its_marks_only_if_asked() -> None:
    text = "---\ntitle: Otters\nauthor: me\n---\n\nThey *swim* [well](x).\n\n```py\n# a comment\n```\n\n> quoted\n"
    plain = one(text, "a.md")
    assert (plain.title, plain.meta) == ("Otters", {"author": "me"})
    assert plain.text == "They swim well.\n\n\\# a comment\n\nquoted\n"
    assert tree(plain) == []
    assert "comment" not in one(text, "a.md", options={"markdown": {"code": False}}).text
    assert "*swim*" in one(text, "a.md", options={"markdown": {"marks": True}}).text


def test_chinese_lines_are_joined_without_spaces() -> None:
    assert one("水獭生活在河流\n和湖泊的岸边，\n以鱼为食。\n", "a.md").text == "水獭生活在河流和湖泊的岸边，以鱼为食。\n"
    assert one("They live\nby rivers.\n", "a.md").text == "They live by rivers.\n"


def test_a_short_page_keeps_its_headings_beside_navigation() -> None:
    parts = "".join(
        f"<h2>Part {n}</h2><p>The pump number {n} was built in 187{n} by Ada Rennick of Hull.</p>" for n in range(3)
    )
    page = (
        f"<title>Pumps – a site</title><nav><a href=/>Home</a></nav><h1>Pumps</h1>{parts}<footer>All rights reserved</footer>"
    )
    made = one(page, "pumps.html")
    assert [line for line in made.text.splitlines() if line.startswith("#")] == ["# Part 0", "# Part 1", "# Part 2"]
    assert "Home" not in made.text
    assert "rights" not in made.text


def test_a_page_is_read_without_what_it_hides() -> None:
    page = (
        "<html><body><p hidden>one</p><p style='display: none'>two</p><noscript>three</noscript><button>four</button>"
        "<p>seen<br>twice <ruby>漢<rt>かん</rt></ruby></p><dl><dt>Term</dt><dd>what it is</dd></dl></body></html>"
    )
    assert one(page, "a.html").text == "seen\ntwice 漢\n\nTerm\n\nwhat it is\n"


def test_tables_and_lists_within_others() -> None:
    page = (
        "<ol start=3><li>three<ul><li>a</li><li>b<p>more</p></li></ul></li><li>four</li></ol>"
        "<table><caption>Fares</caption><tr><th rowspan=2>x</th><td>1</td></tr><tr><td>2 | 3</td></tr></table>"
        "<table role=presentation><tr><td><h2>Inside</h2><p>text</p></td><td>beside</td></tr></table><h2>Next</h2>"
    )
    assert one(page, "a.html").text.split("\n\n") == [
        "3. three\n  - a\n  - b\n    more\n4. four",
        "| x | 1 |\n| x | 2 / 3 |",
        "# Inside",
        "text",
        "beside",
        "# Next\n",
    ]


def test_the_only_heading_of_the_highest_level_is_the_title() -> None:
    assert (one("# T\n\n## A\n\na\n\n### B\n\nb\n", "x.md").title, tree(one("# T\n\n## A\n\na\n", "x.md"))) == ("T", [(1, "A")])
    assert tree(one("# A\n\na\n\n# B\n\nb\n", "x.md")) == [(1, "A"), (1, "B")]
    assert tree(one("## A\n\na\n\n#### B\n\nb\n\n## C\n\nc\n", "x.md")) == [(1, "A"), (2, "B"), (1, "C")]


def test_notes_of_a_word_document_follow_their_paragraphs() -> None:
    from ftbuild.readers.docxfile import _place_notes
    from ftbuild.readers.markup import blocks, parse

    root = parse(
        '<p>One<sup><a href="#footnote-1" id="footnote-ref-1">[1]</a></sup> text.</p><p>Two.</p>'
        '<ol><li id="footnote-1"><p>The note. <a href="#footnote-ref-1">up</a></p></li></ol>'
    )
    _place_notes(root)
    assert [b.text for b in blocks(root)] == ["One text.", "The note.", "Two."]


def test_a_book_takes_missing_headings_from_its_contents() -> None:
    data = zip_of({
        "META-INF/container.xml": '<container><rootfiles><rootfile full-path="b.opf"/></rootfiles></container>',
        "b.opf": '<package><metadata><title>Book</title></metadata><manifest><item id="n" href="nav.xhtml" properties="nav" '
        'media-type="application/xhtml+xml"/><item id="b" href="two.xhtml" media-type="application/xhtml+xml"/><item id="a" '
        'href="one.xhtml" media-type="application/xhtml+xml"/></manifest><spine><itemref idref="a"/><itemref idref="b"/></spine></package>',
        "nav.xhtml": '<html><body><ol><li><a href="one.xhtml">First</a></li><li><a href="two.xhtml#x">Second</a></li></ol></body></html>',
        "one.xhtml": "<html><body><p>one</p></body></html>",
        "two.xhtml": "<html><body><p>two</p></body></html>",
    })  # fmt: skip
    book = one(data, "a.epub")
    assert (book.title, tree(book)) == ("Book", [(1, "First"), (1, "Second")])


def zip_of(parts: dict[str, str]) -> bytes:
    """Return a ZIP file that begins as an EPUB does."""
    import io
    import zipfile

    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("mimetype", "application/epub+zip")
        for name, content in parts.items():
            made.writestr(name, content)
    return file.getvalue()


def test_a_table_of_contents_and_headers_that_change_are_dropped() -> None:
    import io

    from reportlab.pdfgen.canvas import Canvas

    file = io.BytesIO()
    canvas = Canvas(file, pagesize=(600, 800))
    canvas.setFont("Times-Roman", 11)
    for n, line in enumerate(["Contents", "1 Boats . . . . . . . . . 2", "2 Weather ........... 3"]):
        canvas.drawString(50, 700 - 14 * n, line)
    canvas.drawString(50, 500, "This text stands on the first page.")
    canvas.showPage()
    for page in range(2, 6):
        canvas.setFont("Times-Roman", 11)
        canvas.drawString(50, 770, f"Chapter {page // 2}: {'Boats' if page < 4 else 'Weather'} {page}")
        canvas.drawString(50, 600, f"This is what page {page} says about it in 20{page}0.")
        canvas.showPage()
    canvas.save()
    text = one(file.getvalue(), "a.pdf").text
    assert "Chapter" not in text
    assert "Contents" not in text
    assert ". . ." not in text
    assert text.count("This is what page") == 4
    assert "This text stands on the first page." in text


@pytest.mark.parametrize(
    ("package", "name"),
    [("mammoth", "a.docx"), ("pypdfium2", "a.pdf"), ("docutils.core", "a.rst"), ("trafilatura", "a.html"), ("lxml", "a.epub")],
)
def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, package: str, name: str) -> None:
    data = FORMATS[name]()
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=rf"^{name}: reading it as \w+ needs {package}") as caught:
        read(data, name)
    assert caught.value.hint == "pip install 'ftbuild[documents]'"
