"""Second step, second half: through the text once, with what is shown in place of each bracket.

In: wikitext without comments and references.  Out: the same without templates, links, tables and language variants.

What is dropped is jumped over whole; what is kept is collected on a stack of frames, so that depth costs neither recursion nor
time.  The usual link and the usual template, with nothing nested in them, are one token each.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from ftbuild.wikitext.brackets import begins_line, pairs
from ftbuild.wikitext.options import EQUALS, PIPE, Book, Options
from ftbuild.wikitext.shown import Shown
from ftbuild.wikitext.tables import Table

_DEEPEST = 60
"""How many kept brackets may lie in one another; what is deeper keeps its words and loses its marks."""

_BODY = (
    r"(?<=\[)\[([^\[\]{}|\n<]*)(?:\|([^\[\]{}|\n]*))?\]\]"  # 1, 2: a link with nothing nested in it, with and without a text
    r"|(?<=\{)\{([^{}\[\]|<]*(?:\|[^{}\[\]]*)?)\}\}"  # 3: a template with nothing nested in it
    r"|(?<=\{)(\{)|(?<=\[)(\[)|(?<=\])(\](?!\](?!\])))|(?<=\})(\})"  # 4 to 7
    r"|(?<=\{)(\|)|(?<=<)((?:table|TABLE)\b)"  # 8, 9
)
_TOKEN = re.compile(rf"[\[\]{{}}<](?:{_BODY})")
_TOKEN_OR_VARIANT = re.compile(rf"[\[\]{{}}<-](?:{_BODY}|(?<=-)(\{{(?!\{{))|(?<=\}})(-))")  # 10, 11
_LINK, _TEXT, _SIMPLE, _BRACES, _OPEN, _CLOSE, _STRAY, _TABLE, _HTML, _VARIANT, _VARIANT_END = range(1, 12)
_LINKS = (_LINK, _TEXT)
_NAME = re.compile(r"[^{}\[\]|<>]*")
_TARGET = re.compile(r"[ \t\n]*(:?)[ \t]*([^\[\]{}|<>:\n]*):")
_HEADING = re.compile(r"^==", re.MULTILINE)


@dataclass
class _Frame:
    """A bracket that is kept and not yet closed: its kind, where its content begins in the output, and its source."""

    kind: int
    out: int
    start: int
    end: int


class Scanner:
    """Goes through one text."""

    def __init__(self, table: Table, options: Options, book: Book) -> None:
        self._table, self._options, self._book = table, options, book
        self._shown = Shown(table, options, book)

    def run(self, text: str) -> str:
        """Return a text with what is shown in place of its brackets."""
        self._text, self._pairs = text, pairs(text)
        self._out: list[str] = []
        self._stack: list[_Frame] = []
        self._heading = -1
        handlers: dict[int, Callable[[int, int], int]] = {
            _BRACES: self._braces, _OPEN: self._open, _CLOSE: self._close_link, _STRAY: self._close_braces,
            _TABLE: self._open_table, _HTML: self._html, _VARIANT: self._open_variant, _VARIANT_END: self._close_variant,
        }  # fmt: skip
        out, stack, link, template = self._out, self._stack, self._shown.link, self._shown.template
        search = (_TOKEN_OR_VARIANT if "-{" in text else _TOKEN).search
        position = 0
        while match := search(text, position):
            start, end = match.span()
            if start > position:
                out.append(text[position:start])
            kind = match.lastindex or 0
            if kind in _LINKS:
                target, words = match[1], match[2]
                out.append(words if words and ":" not in target else link(target, words, match[0]))
                position = end
            elif kind == _SIMPLE:
                out.append(template(match[3], match[0]))
                position = end
            else:
                position = handlers[kind](start, end)
            while stack and stack[-1].kind == _TABLE and position >= stack[-1].end:
                self._close(text[stack[-1].start : position])
        out.append(text[position:])
        while stack:
            if stack[-1].kind == _TABLE:
                self._close(text[stack[-1].start :])
            else:
                stack.pop()
        return "".join(out)

    # Each of these is given where a token begins and ends, and returns where to go on.

    def _braces(self, start: int, position: int) -> int:
        end, size = self._pairs.braces.get(start, (0, 0))
        if end == 0:
            self._book["stray"].append("{{")
            return self._unclosed(start, position)
        name = _NAME.match(self._text, position)
        assert name is not None
        # {{{a parameter}}} is of a page that is no template
        if size == 2 and len(self._stack) < _DEEPEST and self._counts(name[0], self._text[name.end() : name.end() + 1]):  # noqa: PLR2004
            self._stack.append(_Frame(_BRACES, len(self._out), start, end))
            return position
        self._book["templates"].append(self._text[start:end])
        return end

    def _open(self, start: int, position: int) -> int:
        end = self._pairs.links.get(start, 0)
        target = _TARGET.match(self._text, position)
        space = self._shown.space(target[2]) if target and not target[1] else ""
        if end and (space == "categories" or (space == "files" and self._options.files == "drop")):
            self._book[space].append(self._text[start:end])
            return end
        if end and len(self._stack) < _DEEPEST:
            self._stack.append(_Frame(_OPEN, len(self._out), start, end))
        else:
            self._book["stray"].append("[[")
        return position

    def _open_table(self, start: int, position: int) -> int:
        if not begins_line(self._text, start):
            self._out.append(self._text[start:position])
            return position
        end = self._pairs.tables.get(start, 0)
        if end == 0:  # never closed: to the next heading
            if self._heading < position:
                found = _HEADING.search(self._text, position)
                self._heading = found.start() if found else len(self._text)
            end = self._heading
        if self._options.tables == "drop" or len(self._stack) >= _DEEPEST:
            self._book["tables"].append(self._text[start:end])
            return end
        self._stack.append(_Frame(_TABLE, len(self._out), start, end))
        self._out.append("\n")
        return position

    def _html(self, start: int, position: int) -> int:
        end = self._pairs.html.get(start, 0)
        if end and self._options.tables == "drop":
            self._book["tables"].append(self._text[start:end])
            return end
        self._out.append(self._text[start:position])
        return position

    def _open_variant(self, start: int, position: int) -> int:
        if len(self._stack) < _DEEPEST:
            self._stack.append(_Frame(_VARIANT, len(self._out), start, 0))
        return position

    def _close_variant(self, start: int, position: int) -> int:
        del start
        if self._stack and self._stack[-1].kind == _VARIANT:
            self._close(self._text[self._stack[-1].start : position])
        else:
            self._out.append("}-")
        return position

    def _close_link(self, start: int, position: int) -> int:
        del start
        if not self._ends(position, _OPEN):
            self._book["stray"].append("]]")
        return position

    def _close_braces(self, start: int, position: int) -> int:
        del start
        if self._ends(position, _BRACES):
            return position
        if self._stack and self._stack[-1].kind == _VARIANT and self._text.startswith("-", position):
            return position - 1  # a variant that ends with a brace more
        self._book["stray"].append("}}")
        return position

    def _ends(self, position: int, kind: int) -> bool:
        """Close the innermost frame of a kind that ends here, and whatever was left open inside it."""
        stack = self._stack
        depth = next((n for n in range(len(stack) - 1, -1, -1) if stack[n].kind == kind and stack[n].end <= position), -1)
        if depth < 0:
            return False
        del stack[depth + 1 :]
        self._close(self._text[stack[depth].start : position])
        return True

    def _close(self, source: str) -> None:
        """Put what a frame shows in the place of what was collected in it."""
        frame = self._stack.pop()
        inner = "".join(self._out[frame.out :])
        del self._out[frame.out :]
        made = self._made(frame.kind, inner, source)
        if self._stack and "|" in made:
            made = made.replace("|", PIPE)
        if self._stack and self._stack[-1].kind == _BRACES and "=" in made:
            made = made.replace("=", EQUALS)
        self._out.append(made)

    def _made(self, kind: int, inner: str, source: str) -> str:
        if kind == _BRACES:
            return self._shown.template(inner, source)
        if kind == _VARIANT:
            return self._shown.variant(inner, source)
        if kind == _TABLE:
            return self._shown.cells(inner)
        title, bar, rest = inner.partition("|")
        return inner if "\n" in title.strip() else self._shown.link(title, rest if bar else None, source)

    def _unclosed(self, start: int, position: int) -> int:
        """Return where to go on after `{{` that nothing closes: behind a name that stands on a line of its own."""
        if start and self._text[start - 1] != "\n":
            return position
        name = _NAME.match(self._text, position)
        assert name is not None
        line = self._text.find("\n", position, name.end() + 1)
        return line if line >= 0 else position

    def _counts(self, name: str, after: str) -> bool:
        """Say whether a template, whose parameters begin `after` its name, shows any of them."""
        colon = name.find(":")
        if colon > 0 and self._table.lookup(name[: colon + 1].strip())[0] is not None:
            return True
        if after not in ("|", "}", "") and colon < 0:
            return False
        return self._table.lookup(name)[0] is not None or self._options.unknown_templates == "first"
