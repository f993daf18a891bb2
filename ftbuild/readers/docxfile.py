"""A Word document, read by mammoth in a process apart, with headings found by outline level, in any language of Word.

mammoth knows headings by the names of their styles.  Here a paragraph is a heading if it, its style or a style that this is
based on has an outline level, or is called what Word calls headings in some language; it is told so before mammoth sees it.

Source: ECMA-376, part 1, 17.3.1.20 (outlineLvl) and 17.7.4 (styles).
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

from ftbuild.errors import SourceError
from ftbuild.readers.archive import Archive
from ftbuild.readers.blocks import document, meta_of
from ftbuild.readers.markup import blocks, parse
from ftbuild.records import Document

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_STRICT = b"http://purl.oclc.org/ooxml/wordprocessingml/main"
_HEADING = re.compile(
    r"(?i)(?:heading|überschrift|标题|標題|見出し|제목|titre|título|titolo|kop|rubrik|overskrift|nagłówek|заголовок|nadpis|otsikko"
    r"|başlık|cabeçalho|encabezado|επικεφαλίδα) ?([1-9])"
)
_TITLE = re.compile(r"(?i)title|titel|titre|título|titolo|标题|標題|表題|제목|название|tytuł|başlık|tittel|otsikko")
_CONTENTS = re.compile(r"(?i)toc ?(\d|heading)|目录 ?\d?|目次 ?\d?|verzeichnis ?\d|tm ?\d")
_DEEPEST = 9
_NAME = "FtHeading"
_STYLE_MAP = "\n".join(f"p.{_NAME}{n} => h{n}:fresh" for n in range(1, _DEEPEST + 1))
_MANY = 50
_SECONDS = 0.9  # of CPU time for each megabyte; mammoth takes about 0.55


def read(data: bytes, name: str, alive: Callable[..., None]) -> Document:
    """Return the document that a DOCX holds.  SourceError for what cannot be read."""
    import mammoth

    package = Archive(data, name, what="Word document")
    if "word/document.xml" not in package:
        raise SourceError(f"{name}: is no Word document", hint="is it damaged, or of another kind?")
    package.refuse_entities()
    alive("its text", _SECONDS * package.work(".xml"))
    try:
        made = mammoth.convert_to_html(
            io.BytesIO(_prepared(package)), style_map=_STYLE_MAP, convert_image=mammoth.images.img_element(lambda _: {})
        )
    except SourceError:
        raise
    except Exception as error:  # mammoth raises what its parts do
        problem = str(error).partition("\n")[0][:200] or type(error).__name__
        raise SourceError(f"{name}: cannot be read: {problem}", hint="is it damaged?") from error
    root = parse(f"<body>{made.value}</body>")
    if root is not None:
        _place_notes(root)
    facts = _facts(package)
    return document(blocks(root), name, title=facts.pop("title", ""), meta=facts)


def _prepared(package: Archive) -> bytes:
    """Return the document with its headings marked in a way that mammoth knows, and without its pictures."""
    from lxml import etree

    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as into:
        for part in package:
            if not part.endswith((".xml", ".rels")) or part.startswith(("word/theme", "customXml")):
                continue
            content = package.read(part)
            if part == "word/document.xml" and _STRICT not in content:
                root = package.xml(part)
                _mark(root, _Styles(package))
                content = etree.tostring(root, encoding="utf-8", xml_declaration=True)
            into.writestr(part, content)
    return made.getvalue()


def _mark(root: Any, styles: _Styles) -> None:
    titled = False
    for paragraph in list(root.iter(f"{_W}p")):
        properties = paragraph.find(f"{_W}pPr")
        style = _value(properties, "pStyle")
        if styles.is_contents(style):
            for run in list(paragraph):
                if run is not properties:
                    paragraph.remove(run)
            continue
        outline = _value(properties, "outlineLvl")
        level = int(outline) + 1 if outline.isdigit() else styles.level(style)
        if styles.is_title(style) and not titled:
            titled, level = True, 1
        elif 1 <= level <= _DEEPEST and titled:
            level = min(level + 1, _DEEPEST)
        if 1 <= level <= _DEEPEST:
            _set(paragraph, properties, f"{_NAME}{level}")
        elif (
            properties is not None and properties.find(f"{_W}numPr") is None and (numbers := styles.numbers(style)) is not None
        ):
            from copy import deepcopy

            properties.append(deepcopy(numbers))


def _set(paragraph: Any, properties: Any, style: str) -> None:
    from lxml import etree

    if properties is None:
        properties = etree.Element(f"{_W}pPr")
        paragraph.insert(0, properties)
    for old in [*properties.findall(f"{_W}pStyle"), *properties.findall(f"{_W}numPr")]:
        properties.remove(old)
    new = etree.Element(f"{_W}pStyle")
    new.set(f"{_W}val", style)
    properties.insert(0, new)


def _value(element: Any, name: str) -> str:
    found = element.find(f"{_W}{name}") if element is not None else None
    return "" if found is None else str(found.get(f"{_W}val") or "")


class _Styles:
    """The paragraph styles of a document: which are headings, titles, lines of a table of contents, or list items."""

    def __init__(self, package: Archive) -> None:
        part = "word/styles.xml"
        found = package.xml(part).iter(f"{_W}style") if part in package else ()
        self._styles = {str(s.get(f"{_W}styleId")): s for s in found if s.get(f"{_W}type") == "paragraph"}

    def _chain(self, style: str) -> Iterator[Any]:
        for _ in range(_MANY):
            element = self._styles.get(style)
            if element is None:
                return
            yield element
            style = _value(element, "basedOn")

    def level(self, style: str) -> int:
        """Return the level of headings of a style, or 0 if it is no style of headings."""
        for element in self._chain(style):
            outline = _value(element.find(f"{_W}pPr"), "outlineLvl")
            if outline.isdigit():
                return int(outline) + 1
            if named := _HEADING.fullmatch(_value(element, "name")):
                return int(named[1])
        named = _HEADING.fullmatch(style)
        return int(named[1]) if named else 0

    def is_title(self, style: str) -> bool:
        """Say whether a style is that of a document's title."""
        element = self._styles.get(style)
        return bool(_TITLE.fullmatch(_value(element, "name") if element is not None else style))

    def is_contents(self, style: str) -> bool:
        """Say whether a style is that of a table of contents."""
        element = self._styles.get(style)
        return bool(_CONTENTS.fullmatch(_value(element, "name") if element is not None else style))

    def numbers(self, style: str) -> Any:
        """Return what makes the paragraphs of a style items of a list, or None."""
        for element in self._chain(style):
            properties = element.find(f"{_W}pPr")
            if properties is not None and (found := properties.find(f"{_W}numPr")) is not None:
                return found if found.find(f"{_W}numId") is not None else None
        return None


def _place_notes(root: Any) -> None:
    """Move each note to where it is referred to, as a paragraph of its own after that paragraph."""
    notes = {n.get("id"): n for n in root.iter("li") if re.match(r"(foot|end)note-\d", n.get("id") or "")}
    last: dict[Any, Any] = {}
    for link in list(root.iter("a")):
        note = notes.pop((link.get("href") or "").removeprefix("#"), None)
        if re.match(r"#(foot|end)note", link.get("href") or ""):
            link.set("hidden", "")
        if note is None:
            continue
        block: Any = link
        while block.getparent() is not None and block.getparent().tag != "body":
            block = block.getparent()
        note.tag = "div"
        tail, note.tail = note.tail, None
        del tail
        last.get(block, block).addnext(note)
        last[block] = note


def _facts(package: Archive) -> dict[str, Any]:
    if "docProps/core.xml" not in package:
        return {}
    told = {
        str(e.tag).rpartition("}")[2]: e.text or "" for e in package.xml("docProps/core.xml").iter() if isinstance(e.tag, str)
    }
    return meta_of(title=told.get("title"), author=told.get("creator"), date=told.get("modified") or told.get("created"))
