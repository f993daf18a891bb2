"""A page of a PDF as lines in the order in which they are read: where each stands, how large and how heavy it is.

In: a page of pdfium.  Out: `Line`s.  A line is what stands at one height, in one column; one with wide gaps keeps its pieces as
cells, for they may be the row of a table.  Sizes and places are in points, from the lower left corner of the page.
"""

from __future__ import annotations

import ctypes
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median
from typing import Any

from ftbuild.readers.markup import WIDE

_HEAVY = re.compile(r"(?i)bold|black|heavy|semibold|demi|simhei|heiti|-hei|黑体")
_BOLD = 600
_HYPHENS = "\x02\ufffe\u00ad"
_SOFT = "\u00ad"
_MADE = "\x1f"  # stands for a space that pdfium made of a gap
_APART = re.compile(rf"(?<=[{WIDE}]){_MADE}|{_MADE}(?=[{WIDE}])")
"""The little gap that programs put between Chinese and Latin letters, where nobody wrote a space."""

_GAP = 1.5  # of the size of the letters: what is wider is no space between words
_MARKS = re.compile(r"[•‣◦∙·▪■□●○–—*\-\uf0a7\uf0b7\uf02d]|\(?(?:\d{1,3}|[a-zA-Z])[.)]|\d{1,2}(?:\.\d{1,2})*\.?|§ ?\d+")
"""What may stand before an item or a heading with a wide gap behind it, and makes no table of it."""


@dataclass(frozen=True)
class Line:
    """Text at one height: from `x0` to `x1`, on the baseline `y`.  `column` is 0 for the whole width, or 1 and 2."""

    text: str
    x0: float
    x1: float
    y: float
    size: float
    bold: bool
    page: int = 0
    column: int = 0
    cells: tuple[str, ...] = ()


@dataclass
class _Piece:
    letters: list[str]
    x0: float
    x1: float
    y: float
    sizes: list[float]
    heavy: int = 0

    def line(self, page: int) -> Line | None:
        text = "".join(self.letters).encode("utf-16", "surrogatepass").decode("utf-16", "ignore")
        text = re.sub(r"[ \t\xa0]+", " ", _APART.sub("", text).replace(_MADE, " ")).strip()
        if not text:
            return None
        return Line(text, self.x0, self.x1, self.y, median(self.sizes), self.heavy > 0.9 * len(self.sizes), page)


def lines(page: Any, number: int) -> list[Line]:
    """Return the lines of a page in reading order.  `number` is that of the page, from 0."""
    pieces = [line for piece in _pieces(page) if (line := piece.line(number))]
    gutter = _gutter(pieces)
    if gutter is not None:
        return [line for part in _columns(pieces, gutter) for line in _rows(part)]
    rows = _rows(pieces)
    climbs = sum(b.y > a.y + a.size for a, b in pairwise(rows))
    if climbs > max(1, len(rows) // 10):
        rows = _rows(sorted(pieces, key=lambda p: (-round(p.y), p.x0)))
    return rows


def _pieces(page: Any) -> list[_Piece]:
    """Return the runs of letters of a page: each on one baseline, without wide gaps."""
    import pypdfium2.raw as pdfium

    text = page.get_textpage()
    found: list[_Piece] = []
    open_: _Piece | None = None
    style = _Style(0.0, 0.0, heavy=False, turned=False)
    before: Any = None
    left, right, bottom, top = (ctypes.c_double() for _ in range(4))
    try:
        for n in range(text.count_chars()):
            code = pdfium.FPDFText_GetUnicode(text, n)
            if code in (10, 13):
                open_ = None
                continue
            letter = _SOFT if chr(code) in _HYPHENS else chr(code)
            made = pdfium.FPDFText_IsGenerated(text, n) == 1
            if letter.isspace() or made:
                if open_:
                    open_.letters.append(_MADE if made and letter.isspace() else letter)
                continue
            thing = pdfium.FPDFText_GetTextObject(text, n)
            address = ctypes.cast(thing, ctypes.c_void_p).value if thing else None
            if address != before or address is None:
                before, style = address, _style(text, n, pdfium)
            if style.turned or style.size <= 0:
                continue
            pdfium.FPDFText_GetCharBox(text, n, left, right, bottom, top)
            x0, x1 = left.value, right.value
            if open_ and not _goes_on(open_, x0, style):
                open_ = None
            if open_ is None:
                open_ = _Piece([], x0, x1, style.y, [])
                found.append(open_)
            open_.letters.append(letter)
            open_.x0, open_.x1 = min(open_.x0, x0), max(open_.x1, x1)
            open_.sizes.append(style.size)
            open_.heavy += style.heavy
    finally:
        text.close()
    return found


@dataclass(frozen=True)
class _Style:
    size: float
    y: float
    heavy: bool
    turned: bool


def _style(text: Any, n: int, pdfium: Any) -> _Style:
    matrix, x, y = pdfium.FS_MATRIX(), ctypes.c_double(), ctypes.c_double()
    pdfium.FPDFText_GetMatrix(text, n, matrix)
    pdfium.FPDFText_GetCharOrigin(text, n, x, y)
    scale = math.hypot(matrix.b, matrix.d) or 1.0
    name, flags = ctypes.create_string_buffer(200), ctypes.c_int()
    pdfium.FPDFText_GetFontInfo(text, n, name, 200, flags)
    heavy = bool(_HEAVY.search(name.value.decode("utf-8", "replace"))) or pdfium.FPDFText_GetFontWeight(text, n) >= _BOLD
    turned = abs(matrix.b) > abs(matrix.a)
    return _Style(round(abs(pdfium.FPDFText_GetFontSize(text, n) * scale), 1), y.value, heavy, turned)


def _goes_on(piece: _Piece, x0: float, style: _Style) -> bool:
    size = max(piece.sizes[-1], style.size)
    return abs(style.y - piece.y) < 0.6 * size and -2 * size < x0 - piece.x1 < _GAP * size


def _rows(pieces: Sequence[Line]) -> list[Line]:
    """Put together what stands side by side, as lines of one or more cells."""
    found: list[list[Line]] = []
    for piece in pieces:
        last = found[-1][-1] if found else None
        if last and abs(last.y - piece.y) < 0.35 * max(last.size, piece.size) and piece.x0 > last.x1 - 1:
            found[-1].append(piece)
        else:
            found.append([piece])
    return [_row(row) for row in found]


def _row(row: Sequence[Line]) -> Line:
    if len(row) == 1:
        return row[0]
    marked = len(row) == 2 and _MARKS.fullmatch(row[0].text)  # noqa: PLR2004
    text = " ".join(p.text for p in row)
    largest = max(row, key=lambda p: len(p.text))
    cells = () if marked else tuple(p.text for p in row)
    return replace(largest, text=text, x0=row[0].x0, x1=row[-1].x1, bold=all(p.bold for p in row), cells=cells)


def _gutter(pieces: Sequence[Line]) -> float | None:
    """Return where the gap between two columns of text is, if there is one."""
    if len(pieces) < 16:  # noqa: PLR2004 - too few lines to be sure
        return None
    left, right = min(p.x0 for p in pieces), max(p.x1 for p in pieces)
    wide = right - left
    best: tuple[int, float] | None = None
    for step in range(61):
        x = left + wide * (0.35 + 0.3 * step / 60)
        across = sum(p.x0 < x - 1 and p.x1 > x + 1 for p in pieces)
        if best is None or across < best[0]:
            best = (across, x)
    assert best is not None
    across, x = best
    sides = [p for p in pieces if p.x1 <= x + 1], [p for p in pieces if p.x0 >= x - 1]
    if across > len(pieces) / 4 or min(map(len, sides)) < 6:  # noqa: PLR2004
        return None
    full = median(p.x1 - p.x0 for p in sides[0]) > 0.55 * (x - left) and median(p.x1 - p.x0 for p in sides[1]) > 0.55 * (
        right - x
    )
    tops, bottoms = [max(p.y for p in s) for s in sides], [min(p.y for p in s) for s in sides]
    shared = min(tops) - max(bottoms)
    return x if full and shared > 0.4 * min(t - b for t, b in zip(tops, bottoms, strict=True)) else None


def _columns(pieces: Sequence[Line], gutter: float) -> list[list[Line]]:
    """Return parts of a page in reading order: what goes across, and between that the left column before the right one."""
    by_height = sorted(pieces, key=lambda p: (-p.y, p.x0))
    parts: list[list[Line]] = []
    band: tuple[list[Line], list[Line]] = ([], [])
    for piece in by_height:
        if piece.x0 < gutter - 1 and piece.x1 > gutter + 1:
            parts += [*band, [piece]]
            band = ([], [])
        else:
            side = 0 if piece.x1 <= gutter + 1 else 1
            band[side].append(replace(piece, column=side + 1))
    return [part for part in [*parts, *band] if part]


def body_size(found: Sequence[Line]) -> float:
    """Return the size in which most of a document is set."""
    sizes: Counter[float] = Counter()
    for line in found:
        sizes[round(line.size * 2) / 2] += len(line.text)
    return max(sizes, key=lambda size: (sizes[size], -size), default=0.0)
