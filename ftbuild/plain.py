r"""Plain Markdown: what readers give and `structure` takes, whatever the document was before.

Headings are `# …` to `###### …`, and one empty line stands between blocks.  List items are lines `- …` or `1. …`, tables are
rows `| … | … |`.  Everything else is plain text without inline markup.  A line of text that looks like a heading, like the line
below one (`===`, `---`) or like a fence around code carries a backslash, which `unescape` takes away again once the headings
are found:

    >>> escape("# not a heading")
    '\\# not a heading'
    >>> unescape(escape(r"\# written like this")) == r"\# written like this"
    True

Nothing else is escaped, and `unescape(escape(text)) == text` for any text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

DEEPEST = 6

HEADING = re.compile(r"(?m)^(#{1,6})[ \t]+(\S.*?)(?:[ \t]+#+)?[ \t]*$")
"""A heading line: its marks, and its text without closing marks (`# C#` is about C#, `# Otters #` about otters)."""

_MISREAD = r"\\*(?:#{1,6}(?=[ \t]|$)|(?:=+|-{2,})(?=[ \t]*$)|`{3}|~{3})"
_LOOKS_LIKE = re.compile(rf"(?m)^([ \t]*)({_MISREAD})")
_ESCAPED = re.compile(rf"(?m)^([ \t]*)\\({_MISREAD})")


def escape(text: str) -> str:
    """Put a backslash before what would be misread as a heading, at the start of any line of a text."""
    return _LOOKS_LIKE.sub(r"\1\\\2", text)


def unescape(text: str) -> str:
    """Take away the backslashes that `escape` has put into a text."""
    return _ESCAPED.sub(r"\1\2", text)


def heading(level: int, text: str) -> str:
    """Return a heading line; a level below the sixth becomes the sixth.  An empty text gives an empty line."""
    text = one_line(text)
    closing = " #" if re.search(r"(^|\s)#+$", text) else ""  # else its last marks would be taken for closing ones
    return f"{'#' * max(1, min(level, DEEPEST))} {text}{closing}" if text else ""


def one_line(text: str) -> str:
    """Return a text on one line, with single spaces."""
    return " ".join(text.split())


def table(rows: Iterable[Sequence[str]]) -> str:
    """Return rows of cells as lines with pipes, without a rule below the first; empty rows are left out."""
    cells = [[one_line(cell).replace("|", "/") for cell in row] for row in rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in cells if any(row))


def joined(blocks: Iterable[str]) -> str:
    """Return blocks as one text, with an empty line between them and a line feed at its end."""
    text = "\n\n".join(block.strip("\n") for block in blocks if block.strip())
    return f"{text}\n" if text else ""
