"""From the lines of a PDF to blocks: without what is repeated on every page, with headings by their size, weight and outline.

In: `Line`s in reading order, and the outline.  Out: `Block`s, whose paragraphs are put together again over lines, columns and
pages.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

from ftbuild.plain import one_line, table
from ftbuild.readers.blocks import Block
from ftbuild.readers.markup import WIDE
from ftbuild.readers.pdflines import Line, body_size

_LARGER = 1.12
_NEAR = 50  # lines that tell where a paragraph begins
_MARGIN = 0.1  # of the height of a page
_LONGEST_HEADING = 200
_ENDS = re.compile(r"[.!?:;…。！？：；”\"'’）)\]]\s*$")
_SENTENCE_ENDS = re.compile(r"[.!?…。！？][”\"'’）)\]」』]*\s*$")
_BULLET = re.compile(r"[•‣◦∙·▪■□●○–—*\-\uf0a7\uf0b7\uf02d]\s+(?=\S)")
_NUMBER = re.compile(r"(\(?(?:\d{1,3}|[a-zA-Z])[.)])\s+(?=\S)")
_PAGE_NUMBER = re.compile(
    r"(?i)\W*(page|seite|第)?\s*(\d{1,4}|[ivxlc]{1,7})\s*((/|of|von|页|頁).*)?\W*|(file|https?)://\S+( \d+ ?/ ?\d+)?"
    r"|\d{1,4}[/.-]\d{1,2}[/.-]\d{1,4}, \d{1,2}:\d\d.*"
)
_ROMAN = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}
_CJK = re.compile(f"[{WIDE}]")
_SPACED = re.compile(rf"[{WIDE}] [A-Za-z0-9]|[A-Za-z0-9] [{WIDE}]")
_LEADER = re.compile(r"(?:[.…·] ?){4,}\s*(?:\d{1,5}|[ivxlc]{1,7})\s*$")
_CONTENTS = re.compile(
    r"(?i)\W*(table of )?contents\W*|目\s*[录錄次]|inhalt(sverzeichnis)?|table des matières|índice|sommario|содержание"
)
_ANY = "\0"
_SOFT = "\u00ad"
Outline = Sequence[tuple[int, str, int]]
"""Depth from 0, title, page from 0 of each bookmark."""


@dataclass
class _Group:
    """Lines that belong together: a heading, a paragraph, an item, or the rows of a table."""

    lines: list[Line]
    kind: str = "text"
    mark: str = ""
    level: int = 0
    text: str = field(default="")
    larger: bool = False


def blocks(found: Sequence[Line], outline: Outline, heights: Sequence[float]) -> list[Block]:
    """Return the blocks of a whole document.  `heights` are those of its pages."""
    kept = _without_contents(without_margins(found, heights))
    body = body_size(kept)
    titles = {_bare(title) for _, title, _ in outline}
    groups = list(_groups(kept, body, titles))
    for group in groups:
        group.text = joined_lines([line.text for line in group.lines])
    _levels(groups, outline)
    return list(_merged(groups))


# ---- what is repeated ----


def without_margins(found: Sequence[Line], heights: Sequence[float]) -> list[Line]:
    """Return lines without running headers, running footers and page numbers.

    Those stand in the margin, among the two highest or lowest of their page, and are the same on others, or count up with them.
    """
    pages = len(heights)
    by_page: dict[int, list[Line]] = defaultdict(list)
    for line in found:
        by_page[line.page].append(line)
    edges: dict[int, tuple[list[Line], list[Line]]] = {}
    for page, lines in by_page.items():
        sorted_ = sorted(lines, key=lambda line: -line.y)
        edge = _MARGIN * heights[page]
        high, low = sorted_[:2], sorted_[-2:]
        edges[page] = ([k for k in high if k.y > heights[page] - edge], [k for k in low if k.y < edge])
    counts = Counter(key for ends in edges.values() for end in ends for line in end for key in _keys(line))
    dropped: set[int] = set()
    for ends in edges.values():
        for end in ends:
            for line in end:
                alone = pages == 1 and bool(_PAGE_NUMBER.fullmatch(line.text))
                if alone or any(counts[key] >= (3 if key[0][:1] == _ANY else 2) for key in _keys(line)):
                    dropped.add(id(line))
    return [line for line in found if id(line) not in dropped]


def _keys(line: Line) -> list[tuple[str, int]]:
    """Return what a line has in common with its like on other pages, at about the same height: its text, or its counting up."""
    height, text = round(line.y / 4), line.text
    keys = [(text, height)]
    if numbers := [m for m in re.finditer(r"\d+", text) if len(m[0]) < 6]:  # noqa: PLR2004
        for number in (numbers[0], numbers[-1]):
            keys.append((f"{text[: number.start()]}#{int(number[0]) - line.page}{text[number.end() :]}", height))
            if number.start() == 0 or number.end() == len(text):
                keys.append((f"{_ANY}{int(number[0]) - line.page}", height))  # whatever else it says, it counts the pages
        keys = list(dict.fromkeys(keys))
    elif re.fullmatch(r"\W*[ivxlc]+\W*", text):
        keys.append((f"#{_roman(text) - line.page}", height))
    return keys


def _without_contents(found: Sequence[Line]) -> list[Line]:
    """Return lines without those of a table of contents, which lead to page numbers by rows of dots, nor its heading."""
    kept: list[Line] = []
    for n, line in enumerate(found):
        before, after = (found[m].text if 0 <= m < len(found) else "" for m in (n - 1, n + 1))
        if _LEADER.search(line.text) and (_LEADER.search(before) or _LEADER.search(after) or _CONTENTS.fullmatch(before)):
            continue
        if _CONTENTS.fullmatch(line.text) and _LEADER.search(after):
            continue
        kept.append(line)
    return kept


def _roman(text: str) -> int:
    values = [_ROMAN[c] for c in text.lower() if c in _ROMAN]
    return sum(-v if any(w > v for w in values[n + 1 :]) else v for n, v in enumerate(values))


# ---- what belongs together ----


def _groups(found: Sequence[Line], body: float, titles: set[str]) -> Iterator[_Group]:
    heavy = sum(len(line.text) for line in found if line.bold) > sum(len(line.text) for line in found) / 2
    pitch = _pitch(found, body)
    edges = _edges(found)
    group: _Group | None = None
    for n, line in enumerate(found):
        if _in_table(found, n):
            if group and group.kind == "table" and len(group.lines[-1].cells) == len(line.cells):
                group.lines.append(line)
                continue
            kind, mark = "table", ""
        else:
            kind, mark = _kind(line, body, titles, heavy=heavy)
            if group and _continues(group, line, kind, mark, pitch, edges):
                group.lines.append(line)
                continue
        if group:
            yield group
        group = _Group([line], kind, mark, larger=line.size >= body * _LARGER)
    if group:
        yield group


def _in_table(found: Sequence[Line], n: int) -> bool:
    """Say whether a line is a row of a table: one beside it has as many cells, in the same places."""
    line = found[n]
    if len(line.cells) < 2:  # noqa: PLR2004
        return False
    near = [found[m] for m in (n - 1, n + 1) if 0 <= m < len(found)]
    return any(len(other.cells) == len(line.cells) for other in near)


def _kind(line: Line, body: float, titles: set[str], *, heavy: bool) -> tuple[str, str]:
    words = re.search(r"[^\W\d_]", line.text)
    if words and len(line.text) <= _LONGEST_HEADING:
        if line.size >= body * _LARGER and len(line.text) > 1:
            return "heading", ""
        told = _bare(line.text) in titles
        set_apart = line.bold and not heavy and line.size > 0.9 * body and len(line.text) < 120 and not _BULLET.match(line.text)  # noqa: PLR2004
        if told or (set_apart and not re.search(r"[.,;。，；]$", line.text)):
            return "heading", ""
    if match := _BULLET.match(line.text):
        return "item", match[0]
    if match := _NUMBER.match(line.text):
        return "item", match[0]
    return "text", ""


def _continues(group: _Group, line: Line, kind: str, mark: str, pitch: float, edges: dict[tuple[int, int, int], float]) -> bool:
    """Say whether a line goes on with what the lines before it began."""
    last = group.lines[-1]
    same_place = line.page == last.page and line.column == last.column
    down = last.y - line.y
    if group.kind == "table":
        return False
    if kind == "heading" or group.kind == "heading":
        near = 0 < down < 1.7 * max(line.size, last.size)
        return kind == group.kind and same_place and near and abs(line.size - last.size) < 0.3 and line.bold == last.bold  # noqa: PLR2004
    if abs(line.size - last.size) > 0.15 * last.size and not same_place:
        return False
    if mark and (not mark.strip()[:1].isalnum() or group.mark or _ENDS.search(last.text)):
        return False
    if not same_place or down < 0:
        return not _SENTENCE_ENDS.search(last.text) and (line.text[0].islower() or bool(_CJK.match(line.text)))
    if down > 1.35 * max(pitch, last.size):
        return False
    edge = edges[_edge_of(last)]
    first = line.text.split(" ", 1)[0]
    width = line.size if _CJK.match(first) else (len(first) + 1) * (line.x1 - line.x0) / max(1, len(line.text))
    if last.x1 + width < edge - 0.7 * last.size and not last.text.endswith(("-", _SOFT)):
        return False  # the next word would have stood on the line before
    indented = line.x0 > min(k.x0 for k in group.lines[-_NEAR:]) + 0.8 * line.size
    return bool(group.mark) or not (indented and _ENDS.search(last.text))


def _pitch(found: Sequence[Line], body: float) -> float:
    """Return the usual distance from one line of running text to the next."""
    downs = [
        round(a.y - b.y, 1)
        for a, b in pairwise(found)
        if a.page == b.page and abs(a.size - body) < 0.6 and abs(b.size - body) < 0.6 and 0.8 * body < a.y - b.y < 2.2 * body  # noqa: PLR2004
    ]
    return median(downs) if downs else 1.2 * body


def _edge_of(line: Line) -> tuple[int, int, int]:
    return line.page, line.column, round(line.x0 / 3)


def _edges(found: Sequence[Line]) -> dict[tuple[int, int, int], float]:
    """Return how far to the right lines go that begin in the same place; where they are few, how far their column goes."""
    groups: dict[tuple[int, int, int], list[Line]] = defaultdict(list)
    whole: dict[tuple[int, int], float] = defaultdict(float)
    for line in found:
        groups[_edge_of(line)].append(line)
        whole[line.page, line.column] = max(whole[line.page, line.column], line.x1)
    return {
        key: max(line.x1 for line in lines) if len(lines) > 4 else whole[key[0], key[1]]  # noqa: PLR2004
        for key, lines in groups.items()
    }


# ---- levels ----


def _levels(groups: Sequence[_Group], outline: Outline) -> None:
    """Give headings their levels: by the outline, if its titles are found in the text, and by size and weight."""
    headings = [g for g in groups if g.kind == "heading"]
    for group in headings:
        if len(group.text) > _LONGEST_HEADING or len(group.lines) > 4:  # noqa: PLR2004
            group.kind = "text"
    headings = [g for g in headings if g.kind == "heading"]
    styles = sorted({_look(g) for g in headings}, reverse=True)
    rank = {look: n for n, look in enumerate(styles)}
    told = {(_bare(title), page): depth for depth, title, page in outline}
    depths = {id(g): told.get((_bare(g.text), g.lines[0].page)) for g in headings}
    matched = [g for g in headings if depths[id(g)] is not None]
    if len(matched) < 2 or len(matched) < 0.6 * len(outline):  # noqa: PLR2004
        for group in headings:
            group.level = 1 + rank[_look(group)]
        return
    of_style: dict[tuple[float, bool], Counter[int]] = defaultdict(Counter)
    for group in matched:
        of_style[_look(group)][depths[id(group)] or 0] += 1
    highest = min(rank[_look(g)] for g in matched)
    for group in headings:
        depth, look = depths[id(group)], _look(group)
        if depth is None and look in of_style:
            depth = of_style[look].most_common(1)[0][0]
        if depth is not None:
            group.level = 10 + depth
        else:
            group.level = 1 + rank[look] if rank[look] < highest else 100 + rank[look]


def _look(group: _Group) -> tuple[float, bool]:
    line = group.lines[0]
    return round(line.size * 2) / 2, line.bold and not group.larger


def _bare(title: str) -> str:
    return re.sub(r"[\W_]+", "", title).casefold()


# ---- text ----


def joined_lines(lines: Sequence[str]) -> str:
    """Return lines of a paragraph as one: words that were parted at a line's end are whole again."""
    text, spaced = "", any(_SPACED.search(line) for line in lines)
    for line in (one_line(part) for part in lines):
        if not text or not line:
            text += line
        elif text.endswith(_SOFT):
            text = text[:-1] + ("" if line[0].islower() else "-") + line
        elif re.search(r"[^\W\d_]-$", text) and line[0].islower():
            text = text[:-1] + line
        elif (_CJK.match(text[-1]) and _CJK.match(line[0])) or ((_CJK.match(text[-1]) or _CJK.match(line[0])) and not spaced):
            text += line
        else:
            text += f" {line}"
    return text.replace(f"{_SOFT} ", "-").replace(_SOFT, "-")


def _merged(groups: Sequence[_Group]) -> Iterator[Block]:
    """Yield blocks, the items of a list together as one."""
    items: list[str] = []
    for group in groups:
        if group.kind == "item":
            rest = group.text[len(one_line(group.mark)) :].strip()
            number = group.mark.strip(" ()\t")
            items.append(f"{number.removesuffix('.')}. {rest}" if number[:1].isdigit() else f"- {rest}")
            continue
        if items:
            yield Block("\n".join(items))
            items = []
        if group.kind == "table":
            yield Block(table([line.cells for line in group.lines]))
        else:
            yield Block(group.text, group.level if group.kind == "heading" else 0)
    if items:
        yield Block("\n".join(items))
