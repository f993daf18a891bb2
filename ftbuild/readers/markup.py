"""From a tree of HTML elements to blocks: headings, paragraphs, lists and tables, as they are read from top to bottom.

Every other markup comes this way: Markdown, reStructuredText, Word and EPUB are turned into HTML by libraries that know them.
No step is recursive, and a page that nests deeper than the parser goes is flattened before, so that nothing of it is lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from ftbuild.plain import one_line, table
from ftbuild.readers.blocks import Block

_SKIPPED = frozenset(
    [
        "script",
        "style",
        "noscript",
        "template",
        "head",
        "svg",
        "iframe",
        "object",
        "embed",
        "canvas",
        "audio",
        "video",
        "map",
        "select",
        "option",
        "button",
        "textarea",
        "input",
        "dialog",
        "rt",
        "rp",
        "annotation",
        "annotation-xml",
    ]
)
_BLOCKS = frozenset(
    [
        "address",
        "article",
        "aside",
        "blockquote",
        "body",
        "caption",
        "center",
        "dd",
        "details",
        "dialog",
        "div",
        "dl",
        "dt",
        "fieldset",
        "figcaption",
        "figure",
        "footer",
        "form",
        "header",
        "hgroup",
        "hr",
        "html",
        "legend",
        "main",
        "menu",
        "nav",
        "ol",
        "p",
        "pre",
        "section",
        "summary",
        "table",
        "tbody",
        "td",
        "tfoot",
        "th",
        "thead",
        "tr",
        "ul",
    ]
)
_HEADING = re.compile(r"h([1-9])")
_HIDDEN = re.compile(r"(?i)display\s*:\s*none|visibility\s*:\s*hidden")
WIDE = "\u2e80-\u303f\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60"
"""Characters of scripts that are written without spaces, and their punctuation, for a character class."""

_WRAPPED = re.compile(rf"(?<=[{WIDE}])[ \t]*\n[ \t]*(?=[{WIDE}])")
_LARGEST_SPAN = 50
_LONGEST_CELL = 2000


def parse(html: str) -> Any:
    """Return the root element of a page, whatever is wrong with its markup; None if there is nothing in it."""
    from lxml import etree

    html = re.sub(r"[\x00\ud800-\udfff]", "", html)
    for attempt in (html, None):
        parser = etree.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True, no_network=True, huge_tree=True)
        source = flattened(html) if attempt is None else attempt
        if not source.strip():
            return None
        root = etree.fromstring(source.encode(), parser)
        if not any(entry.type_name == "ERR_RESOURCE_LIMIT" for entry in parser.error_log):
            return root
    return root


_FLAT = re.compile(r"<(/?)(h[1-6]|p|li|td|th|tr|table|title)\b[^<>]*>|</?[a-zA-Z!?][^<>]*>", re.IGNORECASE)
_UNSEEN = re.compile(r"(?is)<(script|style|noscript|template)\b.*?</\1\s*>|<!--.*?-->")


def flattened(html: str) -> str:
    """Return a page without nesting: its headings, paragraphs and list items one after another."""
    parts, position, within = list[str](), 0, ""
    html = _UNSEEN.sub(" ", html)
    for match in _FLAT.finditer(html):
        parts.append(html[position : match.start()])
        position = match.end()
        kind = (match[2] or "").lower()
        if kind:
            parts.append(f"</{within}>" if within else "")
            within = ("h2" if kind == "title" else "p" if kind in ("td", "th", "tr", "table") else kind) if not match[1] else ""
            parts.append(f"<{within}>" if within else "")
    parts.append(html[position:])
    return "".join(parts)


def collapsed(text: str) -> str:
    """Return running text with single spaces; a line break between Chinese or Japanese characters is none."""
    return one_line(_WRAPPED.sub("", text))


def hidden(element: Any) -> bool:
    """Say whether a page keeps an element from its readers."""
    get = element.get
    return get("hidden") is not None or get("aria-hidden") == "true" or bool(_HIDDEN.search(get("style") or ""))


def remove(element: Any) -> None:
    """Take an element out of its tree, and leave the text that follows it."""
    parent, before, tail = element.getparent(), element.getprevious(), element.tail or ""
    if before is not None:
        before.tail = (before.tail or "") + tail
    else:
        parent.text = (parent.text or "") + tail
    parent.remove(element)


def blocks(root: Any, *, code: bool = True) -> list[Block]:
    """Return what stands below an element as blocks.  `code` keeps passages of code, as plain lines."""
    return list(_Walk(code).over(root)) if root is not None else []


class _Walk:
    """A walk over a tree: the text gathered so far, the lists that it is in, and whether it is in a heading or in code."""

    def __init__(self, code: bool) -> None:  # noqa: FBT001
        self.code = code
        self.text: list[str] = []
        self.lists: list[int] = []  # of each list around, 0 for bullets, or the number of its next item
        self.items: list[str] = []
        self.mark = ""
        self.level = 0
        self.verbatim = 0

    def over(self, root: Any) -> Iterator[Block]:
        """Yield the blocks below an element."""
        from lxml import etree

        walker = etree.iterwalk(root, events=("start", "end"))
        skipping: Any = None
        for event, element in walker:
            tag = _tag(element)
            if event == "start":
                if tag in _SKIPPED or not tag or hidden(element) or (tag == "pre" and not self.code):
                    skipping = element
                    walker.skip_subtree()
                    continue
                yield from self._open(element, tag)
                if tag == "table" and is_data(element):
                    yield from self._end_list()
                    yield Block(table(rows(element)))
                    skipping = element
                    walker.skip_subtree()
                    continue
                self.text.append(element.text or "")
            else:
                if skipping is not element:
                    yield from self._close(tag)
                skipping = None
                if element is not root:
                    self.text.append(element.tail or "")
        yield from self._flush()
        yield from self._end_list()

    def _open(self, element: Any, tag: str) -> Iterator[Block]:
        if tag == "br":
            self.text.append("\v")
        elif heading := _HEADING.fullmatch(tag):
            yield from self._flush()
            yield from self._end_list()
            self.level = int(heading[1])
        elif tag == "li":
            yield from self._flush()
            number = self.lists[-1] if self.lists else 0
            if number:
                self.lists[-1] = number + 1
            self.mark = "  " * max(0, len(self.lists) - 1) + (f"{number}. " if number else "- ")
        elif tag in _BLOCKS:
            yield from self._flush()
            if tag in ("ul", "ol", "menu"):
                self.lists.append(_start(element) if tag == "ol" else 0)
            self.verbatim += tag == "pre"

    def _close(self, tag: str) -> Iterator[Block]:
        if _HEADING.fullmatch(tag):
            yield from self._flush()
            self.level = 0
        elif tag == "li" or tag in _BLOCKS:
            yield from self._flush()
            self.mark = "" if tag == "li" else self.mark
            self.verbatim -= tag == "pre"
            if tag in ("ul", "ol", "menu") and self.lists:
                self.lists.pop()
                if not self.lists:
                    yield from self._end_list()

    def _flush(self) -> Iterator[Block]:
        """End the block whose text was gathered."""
        raw, self.text = "".join(self.text), []
        if self.verbatim:
            text = raw.replace("\v", "\n").strip("\n")
        else:
            text = "\n".join(filter(None, map(collapsed, raw.split("\v"))))
        if not text.strip():
            return
        if self.level:
            yield Block(one_line(text), self.level)
        elif (self.lists or self.mark) and not self.verbatim:
            self.items.append((self.mark or "  " * len(self.lists)) + one_line(text))
            self.mark = ""
        else:
            yield from self._end_list()
            yield Block(text)

    def _end_list(self) -> Iterator[Block]:
        if self.items:
            yield Block("\n".join(self.items))
            self.items = []


def _tag(element: Any) -> str:
    tag = element.tag
    return tag.rpartition("}")[2].lower() if isinstance(tag, str) else ""


def _start(element: Any) -> int:
    told = element.get("start") or ""
    return int(told) if told.isdigit() and len(told) < 7 else 1  # noqa: PLR2004


def is_data(element: Any) -> bool:
    """Say whether a table holds data, and is not there to lay out a page."""
    if element.get("role") == "presentation":
        return False
    shape, cells = list[int](), 0
    for inner in element.iterdescendants():
        tag = _tag(inner)
        if tag == "table" or _HEADING.fullmatch(tag):
            return False
        if tag == "tr":
            shape.append(0)
        elif tag in ("td", "th"):
            cells += 1
            if shape:
                shape[-1] += 1
            if sum(map(len, inner.itertext())) > _LONGEST_CELL:
                return False
    return bool(cells) and max(shape, default=0) > 1


def rows(element: Any) -> list[list[str]]:
    """Return a table's rows of cells.  A cell that spans rows is told in each of them, so that each can be read alone."""
    found: list[list[str]] = []
    above: dict[int, tuple[int, str]] = {}
    for row in (r for r in element.iterdescendants() if _tag(r) == "tr"):
        line: list[str] = []
        cells: Iterable[Any] = [c for c in row if _tag(c) in ("td", "th")]
        for cell in cells:
            _spanned(line, above)
            text = _cell(cell)
            down, across = _span(cell, "rowspan"), _span(cell, "colspan")
            if down > 1:
                above[len(line)] = (down - 1, text)
            line += [text, *[""] * (across - 1)]
        _spanned(line, above)
        found.append(line)
    return found


def _spanned(line: list[str], above: dict[int, tuple[int, str]]) -> None:
    while (n := len(line)) in above:
        left, text = above.pop(n)
        if left > 1:
            above[n] = (left - 1, text)
        line.append(text)


def _span(cell: Any, name: str) -> int:
    told = cell.get(name) or ""
    return max(1, min(int(told), _LARGEST_SPAN)) if told.isdigit() and len(told) < 5 else 1  # noqa: PLR2004


def _cell(cell: Any) -> str:
    """Return the text of a cell in order, with a space where a block or a line ends."""
    from lxml import etree

    parts = list[str]()
    walker = etree.iterwalk(cell, events=("start", "end"))
    for event, element in walker:
        tag = _tag(element)
        space = " " if tag in _BLOCKS or tag in ("br", "li") else ""
        if event == "start":
            if not tag or tag in _SKIPPED or hidden(element):
                walker.skip_subtree()
                continue
            parts += [space, element.text or ""]
        else:
            parts += [space, (element.tail or "") if element is not cell else ""]
    return collapsed("".join(parts))
