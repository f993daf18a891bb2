"""First step: comments, and extension tags whose content is no wikitext or is dropped with them.

In: wikitext.  Out: the same without comments, references, galleries …; what `<nowiki>` and formulas hold is protected.
As in MediaWiki, such a tag ends at the first closing tag of its name, and an unclosed comment at the end of the text.
"""

from __future__ import annotations

import re

from ftbuild.wikitext.formulas import plain
from ftbuild.wikitext.options import Book, Options, protected
from ftbuild.wikitext.tables import Table

_ATTRIBUTES = re.compile(r"[^<>]*>")
_BLANK_LINE = re.compile(r"[ \t]*\n")
_FILE_LINE = re.compile(r"(?m)^[^|\n]*\|(?:[^|\n]*=[^|\n]*\|)*(.*)$")


_NEAR = 200
_LETTERS = re.compile(r"[^\W_]+")


class _Closers:
    """Finds the first closing tag of a name after a position; the same stretch of text is never searched twice."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._patterns: dict[str, re.Pattern[str]] = {}
        self._found: dict[str, tuple[int, int]] = {}

    def after(self, name: str, position: int) -> tuple[int, int] | None:
        start, end = self._found.get(name, (-1, -1))
        if start < position:
            pattern = self._patterns.setdefault(name, re.compile(f"</{re.escape(name)}\\s*>", re.IGNORECASE))
            match = pattern.search(self._text, position)
            start, end = match.span() if match else (len(self._text) + 1, -1)
            self._found[name] = start, end
        return (start, end) if end >= 0 else None


def settle(text: str, table: Table, options: Options, book: Book) -> str:
    """Return wikitext without comments and without the tags that `table.tags` names."""
    if "<" not in text:
        return text
    out: list[str] = []
    closers = _Closers(text)
    position = 0
    search = table.opaque.search
    while match := search(text, position):
        start = match.start()
        name = match[1]
        if name is None:  # a comment
            end = text.find("-->", start + 4)
            end = len(text) if end < 0 else end + 3
            book["comments"].append(text[start:end])
            if (start == 0 or text[start - 1] == "\n") and (blank := _BLANK_LINE.match(text, end)):
                end = blank.end()  # a line with nothing but a comment is no line
            out.append(text[position:start])
            position = end
            continue
        name = name.lower()
        opening = _ATTRIBUTES.match(text, match.end())
        if opening is None:
            out.append(text[position:start])
            position = match.end()
            continue
        kind, inside = table.tags[name], opening.end()
        if (kind == "quotes" and options.quotes == "keep") or (kind == "poems" and options.poems == "keep"):
            out += (text[position:start], "\n")  # what it holds is wikitext
            position = inside
            continue
        close = None if text[inside - 2] == "/" else closers.after(name, inside)
        if close is None:
            end, content = inside, ""
        else:
            end, content = close[1], ""
            if kind == "references" and (again := _opened_again(text, inside, close[0])):
                end = again
            else:
                content = text[inside : close[0]]
        out.append(text[position:start])
        left = _rendered(kind, name, content, options)
        if not left and kind == "math" and text[max(0, start - _NEAR) : start].rpartition("\n")[2].startswith("="):
            left = protected(" ".join(_LETTERS.findall(content)))  # a heading must not be left without a name
        out.append(left)
        if close is not None or text[inside - 2] == "/":
            book[kind].append(text[start:end])
        else:
            book["tags"].append(text[start:end])
        position = end
    out.append(text[position:])
    return "".join(out)


def _opened_again(text: str, start: int, end: int) -> int:
    """Return where a reference ends that was never closed before the next one, or 0: at the next, or with its line."""
    found = text.find("<ref", start, end)
    if found < 0 or text[found + 4 : found + 5] not in (" ", ">", "\n"):
        return 0
    line = text.find("\n", start, found)
    return line if line >= 0 else found


def _rendered(kind: str, name: str, content: str, options: Options) -> str:
    if kind == "verbatim":
        return protected(content)
    if kind == "math":
        if options.math == "latex":
            return protected(content.strip())
        return protected(plain(content)) if options.math == "simple" and name == "math" else ""
    if kind == "code" and options.code == "keep":
        return protected(content)
    if kind == "references" and options.references == "keep" and content:
        return f" ({content.strip()})"
    if kind == "galleries" and options.galleries == "captions":
        return "\n".join(m[1].strip() for m in _FILE_LINE.finditer(content) if m[1].strip())
    return ""
