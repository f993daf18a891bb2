"""One text in five formats: the same headings, paragraphs, lists and tables as PDF, Word, EPUB, Markdown and HTML.

The text was written for these tests.
"""

# ruff: noqa: E501, ISC004

from __future__ import annotations

import io
import zipfile
from html import escape
from typing import Any

TITLE = "The ferry at Hollin Sound"
Part = tuple[str, Any]

TEXT: list[Part] = [
    ("p", "The ferry has crossed the sound since 1911. It carries people, bicycles, and in the summer months two cars at a time, "
          "from the stone quay at Hollin to the island of Marr, which has no bridge and no airfield."),
    ("h1", "History"),
    ("p", "The first boat was rowed by two brothers who asked a penny for each passenger and nothing for a dog. They kept a book "
          "in which every crossing was written down, with the weather and the names of those who were sick."),
    ("h2", "The years of steam"),
    ("p", "A steam launch was bought in 1926. It was too large for the quay, which had to be lengthened by eleven metres, and it "
          "burned more coal in a week than the whole village did in a month."),
    ("ul", ["the boiler, which came from a mill", "a brass bell", "benches for forty people"]),
    ("h3", "Losses"),
    ("p", "The launch sank at its moorings in 1931, empty."),
    ("h2", "渡轮的今天"),
    ("p", "现在的渡轮由电池驱动，每天往返十二次。船长住在岛上，清晨六点开出第一班船，晚上八点收班。冬天海上起雾的时候，渡轮会停航，"
          "居民们便在码头旁边的小屋里喝茶等候，直到能够看见对岸的灯光为止。"),
    ("h1", "Fares"),
    ("p", "Children under six travel without a ticket. For all others these are the prices in pence."),
    ("table", [["Ticket", "Single", "Return"], ["Adult", "340", "600"], ["Child", "170", "300"]]),
    ("p", "Tickets are sold on board, and only there."),
    ("h1", "Rules"),
    ("ol", ["Wait behind the line.", "Keep dogs on a lead.", "Do not feed the gulls."]),
]  # fmt: skip

TREE = [
    (1, "History"),
    (2, "The years of steam"),
    (3, "Losses"),
    (2, "渡轮的今天"),
    (1, "Fares"),
    (1, "Rules"),
]
"""What every format has to give: levels and headings."""


def html_body(*, title: bool = True) -> str:
    """Return the text as elements of HTML."""
    made = [f"<h1>{escape(TITLE)}</h1>"] if title else []
    for kind, what in TEXT:
        if kind == "p":
            made.append(f"<p>{escape(what)}</p>")
        elif kind in ("ul", "ol"):
            made.append(f"<{kind}>{''.join(f'<li>{escape(i)}</li>' for i in what)}</{kind}>")
        elif kind == "table":
            rows = "".join("<tr>" + "".join(f"<td>{escape(c)}</td>" for c in row) + "</tr>" for row in what)
            made.append(f"<table>{rows}</table>")
        else:
            level = int(kind[1]) + 1
            made.append(f"<h{level}>{escape(what)}</h{level}>")
    return "\n".join(made)


def html() -> bytes:
    """Return the text as a page, with navigation and a banner around it, of which nothing may be read."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{TITLE} | Hollin</title></head><body>'
        '<nav><ul><li><a href="/">Home page</a></li><li><a href="/all">All pages</a></li></ul></nav>'
        f'<div class="cookie-banner">We use cookies.</div><main><article>{html_body()}</article></main>'
        "<footer>Imprint and privacy</footer><script>var x = 1;</script></body></html>"
    ).encode()


def markdown() -> bytes:
    """Return the text as Markdown with marks in it."""
    made = [f"# {TITLE}"]
    for kind, what in TEXT:
        if kind == "p":
            made.append(what.replace("1911", "**1911**").replace("brass", "*brass*"))
        elif kind == "ul":
            made.append("\n".join(f"* {item}" for item in what))
        elif kind == "ol":
            made.append("\n".join(f"{n}. {item}" for n, item in enumerate(what, start=1)))
        elif kind == "table":
            rows = ["| " + " | ".join(row) + " |" for row in what]
            made.append("\n".join([rows[0], "|---|---|---|", *rows[1:]]))
        else:
            made.append(f"{'#' * (int(kind[1]) + 1)} [{what}](https://example.org)")
    return "\n\n".join(made).encode()


def docx(*, localised: bool = False) -> bytes:
    """Return the text as a Word document; `localised` names the styles as a German Word might, and gives outline levels alone."""
    from docx import Document
    from docx.oxml import OxmlElement
    from docx.oxml.ns import qn

    made = Document()
    made.core_properties.author = "A. Writer"
    styles = {}
    if localised:
        from docx.enum.style import WD_STYLE_TYPE

        for level in (1, 2, 3):
            style = made.styles.add_style(f"Kapitel{level}", WD_STYLE_TYPE.PARAGRAPH)
            outline = OxmlElement("w:outlineLvl")
            outline.set(qn("w:val"), str(level - 1))
            style.element.get_or_add_pPr().append(outline)
            styles[level] = style
    made.add_heading(TITLE, level=0)
    for kind, what in TEXT:
        if kind == "p":
            made.add_paragraph(what)
        elif kind in ("ul", "ol"):
            for item in what:
                made.add_paragraph(item, style="List Bullet" if kind == "ul" else "List Number")
        elif kind == "table":
            table = made.add_table(rows=0, cols=3)
            for row in what:
                for cell, text in zip(table.add_row().cells, row, strict=True):
                    cell.text = text
        elif localised:
            made.add_paragraph(what, style=styles[int(kind[1])])
        else:
            made.add_heading(what, level=int(kind[1]))
    file = io.BytesIO()
    made.save(file)
    return file.getvalue()


def epub(**more: bytes) -> bytes:
    """Return the text as a book of one chapter a section, whose headings begin anew in each.  `more` are further parts."""
    body = html_body()
    parts = [p for p in body.replace("<h2>", "\0<h2>").split("\0") if p.strip()]
    items = "".join(
        f'<item id="c{n}" href="text/c%20{n}.xhtml" media-type="application/xhtml+xml"/>' for n in range(len(parts))
    )
    spine = "".join(f'<itemref idref="c{n}"/>' for n in range(len(parts)))
    package = (
        '<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf" version="3.0">'
        f'<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{TITLE}</dc:title><dc:creator>A. Writer</dc:creator>'
        f"</metadata><manifest>{items}</manifest><spine>{spine}</spine></package>"
    )
    container = (
        '<?xml version="1.0"?><container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
        '<rootfile full-path="OPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
    )
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("mimetype", "application/epub+zip", zipfile.ZIP_STORED)
        book.writestr("META-INF/container.xml", container)
        book.writestr("OPS/book.opf", package)
        for n, part in enumerate(parts):
            page = f'<?xml version="1.0" encoding="utf-8"?><!DOCTYPE html><html xmlns="http://www.w3.org/1999/xhtml"><body>{part}</body></html>'
            book.writestr(f"OPS/text/c {n}.xhtml", page)
        for name, content in more.items():
            book.writestr(name, content)
    return file.getvalue()


def rst() -> bytes:
    """Return the text as reStructuredText."""
    marks = {"h1": "-", "h2": "~", "h3": "^"}
    made = [f"{TITLE}\n{'=' * len(TITLE)}"]
    for kind, what in TEXT:
        if kind == "p":
            made.append(what.replace("1911", "**1911**"))
        elif kind == "ul":
            made.append("\n".join(f"* {item}" for item in what))
        elif kind == "ol":
            made.append("\n".join(f"{n}. {item}" for n, item in enumerate(what, start=1)))
        elif kind == "table":
            made.append(".. list-table::\n\n" + "\n".join("   * - " + "\n     - ".join(row) for row in what))
        else:
            made.append(f"{what}\n{marks[kind] * 2 * len(what)}")
    return "\n\n".join(made).encode()


def pdf(*, columns: int = 1, times: int = 1, outline: bool = False, password: str = "", running: bool = True) -> bytes:
    """Return the text as a PDF with running headers and page numbers, `times` over, in one column or two."""
    from reportlab.lib.pagesizes import A5
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.platypus import BaseDocTemplate, Frame, ListFlowable, PageTemplate, Paragraph, Spacer, Table

    pdfmetrics.registerFont(UnicodeCIDFont("STSong-Light"))
    file = io.BytesIO()
    wide, high = A5
    made = BaseDocTemplate(file, pagesize=(wide, high), title="untitled", encrypt=password or None)
    inner = (wide - 80 - 20 * (columns - 1)) / columns
    frames = [Frame(40 + n * (inner + 20), 60, inner, high - 120, 0, 0, 0, 0) for n in range(columns)]

    def around(canvas: Any, document: Any) -> None:
        canvas.setFont("Helvetica", 8)
        canvas.drawString(40, high - 40, "Hollin Ferry Company" if running else "")
        canvas.drawCentredString(wide / 2, 36, f"- {document.page} -")

    def marked(canvas: Any, text: str, level: int) -> None:
        canvas.bookmarkPage(text)
        canvas.addOutlineEntry(text, text, level)

    made.addPageTemplates(PageTemplate(frames=frames, onPage=around))
    plain = ParagraphStyle("plain", fontName="Times-Roman", fontSize=10, leading=13, spaceAfter=7, alignment=4)
    heads = {"title": 22, "h1": 16, "h2": 13, "h3": 11.5}

    def paragraph(text: str, kind: str = "") -> Any:
        wide_ = any(ord(c) > 0x2E80 for c in text)
        if not kind:
            font = "STSong-Light" if wide_ else "Times-Roman"
            return Paragraph(escape(text), ParagraphStyle("p", parent=plain, fontName=font, wordWrap="CJK" if wide_ else None))
        size = heads[kind]
        font = "STSong-Light" if wide_ else "Helvetica-Bold"
        style = ParagraphStyle(
            kind, fontName=font, fontSize=size, leading=size * 1.2, spaceBefore=9, spaceAfter=5, keepWithNext=1
        )
        return Paragraph(escape(text), style)

    story: list[Any] = [paragraph(TITLE, "title")]
    for kind, what in TEXT * times:
        if kind == "p":
            story.append(paragraph(what))
        elif kind in ("ul", "ol"):
            items = [Paragraph(escape(item), ParagraphStyle("item", parent=plain, spaceAfter=0)) for item in what]
            story.append(
                ListFlowable(items, bulletType="bullet" if kind == "ul" else "1", bulletFormat=None if kind == "ul" else "%s.")
            )
            story.append(Spacer(1, 8))
        elif kind == "table":
            story.append(Table(what, colWidths=[60, 50, 50]))
        else:
            story.append(paragraph(what, kind))
    if outline:
        entries = iter([(1, TITLE), *((level + 1, text) for level, text in TREE * times)])

        def after(flowable: Any) -> None:
            if getattr(flowable, "style", None) and flowable.style.name in heads:
                level, text = next(entries)
                marked(made.canv, text, level - 1)

        made.afterFlowable = after
    made.build(story)
    return file.getvalue()
