"""Second step: templates, links, tables and language variants, matched with a stack before anything is made of them.

In: wikitext without comments and references.  Out: the same with what each of them shows in its place.

`pairs` finds in one pass where each bracket ends; `Scanner` then goes through the text once.  What is dropped is jumped over
whole; what is kept is collected on a stack of frames, so that depth costs neither recursion nor time.  The usual link and the
usual template, with nothing nested in them, are one token each.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ftbuild.wikitext.options import EQUALS, PIPE, Book, Options
from ftbuild.wikitext.tables import Table

_DEEPEST = 60
"""How many kept brackets may lie in one another; what is deeper keeps its words and loses its marks."""

# Each pattern begins with a class of characters, which the engine looks for much faster than for a choice of beginnings.
_BRACKET = re.compile(
    r"[\[\]{}|<](?:(?<=\{)(\{+)|(?<=\})(\}+)|(?<=\[)(\[)|(?<=\])(\])|(?<=\{)(\|)|(?<=\|)(\}(?:(?=\}\}(?!\}))|(?!\})))"
    r"|(?<=<)((?:table|TABLE)\b)|(?<=<)(/(?:table|TABLE)\s*>))"
)
_BODY = (
    r"(?<=\[)\[([^\[\]{}|\n<]*)(?:\|([^\[\]{}|\n]*))?\]\]"  # 1, 2: a link with nothing nested in it, with and without a text
    r"|(?<=\{)\{([^{}\[\]|<]*(?:\|[^{}\[\]]*)?)\}\}"  # 3: a template with nothing nested in it
    r"|(?<=\{)(\{)|(?<=\[)(\[)|(?<=\])(\])|(?<=\})(\})"  # 4 to 7
    r"|(?<=\{)(\|)|(?<=<)((?:table|TABLE)\b)"  # 8, 9
)
_TOKEN = re.compile(rf"[\[\]{{}}<](?:{_BODY})")
_TOKEN_OR_VARIANT = re.compile(rf"[\[\]{{}}<-](?:{_BODY}|(?<=-)(\{{(?!\{{))|(?<=\}})(-))")  # 10, 11
_LINK, _TEXT, _SIMPLE, _BRACES, _OPEN, _CLOSE, _STRAY, _TABLE, _HTML, _VARIANT, _VARIANT_END = range(1, 12)
_INDENT = 40
_NAME = re.compile(r"[^{}\[\]|<>]*")
_TARGET = re.compile(r"[ \t\n]*(:?)[ \t]*([^\[\]{}|<>:\n]*):")
_HEADING = re.compile(r"^==", re.MULTILINE)
_STYLE = re.compile(r"[^\[\]{}|<>]*\|(?!\|)")
_CAPTION_WORD = re.compile(
    r"\s*(?:(?:thumb|thumbnail|frame|frameless|border|left|right|center|none|upright|baseline|middle|sub|super|top|bottom"
    r"|mini|miniatur|hochkant|links|rechts|rahmenlos|vignette|gauche|droite|centré|redresse|miniaturadeimagen|derecha|izquierda"
    r"|мини|справа|слева|缩略图|縮圖|右|左|サムネイル|섬네일|تصغير|ממוזער|שמאל|ימין)(?:\s*=.*|\s+[\d.]+)?|[x\d]+\s*(?:px|пкс|بك|פיקסלים)"
    r"|(?:alt|link|page|lang|class|upright|альт|ссылка)\s*=.*)\s*",
    re.IGNORECASE | re.DOTALL,
)


@dataclass
class Pairs:
    """Where each bracket that is closed ends: its start → the position after its end."""

    braces: dict[int, tuple[int, int]] = field(default_factory=dict)
    """With how many braces: `{{{` is a parameter."""
    links: dict[int, int] = field(default_factory=dict)
    tables: dict[int, int] = field(default_factory=dict)
    html: dict[int, int] = field(default_factory=dict)


def pairs(text: str) -> Pairs:
    """Match all brackets of a text, each kind by itself, runs of braces as MediaWiki's preprocessor does."""
    found = Pairs()
    braces: list[list[int]] = []
    links: list[int] = []
    tables: list[int] = []
    html: list[int] = []
    for match in _BRACKET.finditer(text):
        kind = match.lastindex
        if kind == 1:
            braces.append([match.start(), match.end() - match.start()])
        elif kind == 2:  # noqa: PLR2004 - the pattern's groups
            position, left = match.start(), match.end() - match.start()
            while left >= 2 and braces:  # noqa: PLR2004
                start, count = braces[-1]
                size = 3 if left >= 3 and count >= 3 else 2  # noqa: PLR2004
                position, left = position + size, left - size
                found.braces[start + count - size] = (position, size)
                braces[-1][1] -= size
                if count - size < 2:  # noqa: PLR2004
                    braces.pop()
        elif kind == 3:  # noqa: PLR2004
            links.append(match.start())
        elif kind == 4:  # noqa: PLR2004
            if links:
                found.links[links.pop()] = match.end()
        elif kind == 5:  # noqa: PLR2004
            if _begins_line(text, match.start()):
                tables.append(match.start())
        elif kind == 6:  # noqa: PLR2004
            if tables and _begins_line(text, match.start()):
                found.tables[tables.pop()] = match.end()
        elif kind == 7:  # noqa: PLR2004
            html.append(match.start())
        elif html:
            found.html[html.pop()] = match.end()
    return found


def _begins_line(text: str, position: int) -> bool:
    """Say whether nothing but spaces and the marks of a list stands before a position on its line."""
    before = text[max(0, position - _INDENT) : position]
    return not before.rpartition("\n")[2].strip(" \t:*#") and (position < _INDENT or "\n" in before)


@dataclass
class _Frame:
    """A bracket that is kept and not yet closed: its kind, where its content begins in `out`, and its source."""

    kind: int
    out: int
    start: int
    end: int


class Scanner:
    """Goes through one text, and says what each bracket shows."""

    def __init__(self, table: Table, options: Options, book: Book) -> None:
        self._table, self._options, self._book = table, options, book
        self._variants = self._order()

    def run(self, text: str) -> str:
        """Return a text with what is shown in place of its brackets."""
        known = pairs(text)
        out: list[str] = []
        stack: list[_Frame] = []
        position, append = 0, out.append
        search = (_TOKEN_OR_VARIANT if "-{" in text else _TOKEN).search
        lookup, book = self._table.lookup, self._book
        heading = -1
        while match := search(text, position):
            start, kind = match.span()[0], match.lastindex
            if start > position:
                append(text[position:start])
            position = match.end()
            if kind == _TEXT:
                append(self._link(match[1], match[2], match[0]))
            elif kind == _LINK:
                append(self._link(match[1], None, match[0]))
            elif kind == _SIMPLE:
                append(self._template(match[3], match[0]))
            elif kind == _BRACES:
                end, size = known.braces.get(start, (0, 0))
                if end == 0:
                    book["stray"].append("{{")
                    position = self._unclosed(text, start, position)
                    continue
                if size == 3:  # noqa: PLR2004 - {{{a parameter}}} of a page that is no template
                    book["templates"].append(text[start:end])
                    position = end
                    continue
                name = _NAME.match(text, position)
                assert name is not None
                if len(stack) >= _DEEPEST or not self._counts(name[0], text[name.end() : name.end() + 1], lookup):
                    book["templates"].append(text[start:end])
                    position = end
                else:
                    stack.append(_Frame(_BRACES, len(out), start, end))
            elif kind == _OPEN:
                end = known.links.get(start, 0)
                target = _TARGET.match(text, position)
                space = self._space(target[2]) if target and not target[1] else ""
                if end and space in ("files", "categories") and (space == "categories" or self._options.files == "drop"):
                    book[space].append(text[start:end])
                    position = end
                elif end and len(stack) < _DEEPEST:
                    stack.append(_Frame(_OPEN, len(out), start, end))
                else:
                    book["stray"].append("[[")
            elif kind == _TABLE:
                if not _begins_line(text, start):
                    append(text[start:position])
                    continue
                end = known.tables.get(start, 0)
                if end == 0:  # never closed: to the next heading
                    if heading < position:
                        found = _HEADING.search(text, position)
                        heading = found.start() if found else len(text)
                    end = heading
                if self._options.tables == "drop" or len(stack) >= _DEEPEST:
                    book["tables"].append(text[start:end])
                    position = end
                else:
                    stack.append(_Frame(_TABLE, len(out), start, end))
                    append("\n")
            elif kind == _HTML:
                if (end := known.html.get(start, 0)) and self._options.tables == "drop":
                    book["tables"].append(text[start:end])
                    position = end
                else:
                    append(text[start:position])
            elif kind == _VARIANT:
                if len(stack) < _DEEPEST:
                    stack.append(_Frame(_VARIANT, len(out), start, 0))
            elif kind == _VARIANT_END:
                if stack and stack[-1].kind == _VARIANT:
                    self._close(stack, out, text[stack[-1].start : position])
                else:
                    append("}-")
            elif kind == _CLOSE:
                if not self._ends(stack, out, text, position, _OPEN):
                    book["stray"].append("]]")
            elif not self._ends(stack, out, text, position, _BRACES):
                if stack and stack[-1].kind == _VARIANT and text.startswith("-", position - 1):
                    position -= 1
                else:
                    book["stray"].append("}}")
            while stack and stack[-1].kind == _TABLE and position >= stack[-1].end:
                self._close(stack, out, text[stack[-1].start : position])
        append(text[position:])
        while stack:
            frame = stack[-1]
            if frame.kind == _TABLE:
                self._close(stack, out, text[frame.start :])
            else:
                stack.pop()
        return "".join(out)

    def _ends(self, stack: list[_Frame], out: list[str], text: str, position: int, kind: int) -> bool:
        """Close the innermost frame of a kind that ends here, and whatever was left open inside it."""
        depth = next((n for n in range(len(stack) - 1, -1, -1) if stack[n].kind == kind and stack[n].end <= position), -1)
        if depth < 0:
            return False
        del stack[depth + 1 :]
        self._close(stack, out, text[stack[depth].start : position])
        return True

    def _close(self, stack: list[_Frame], out: list[str], source: str) -> None:
        frame = stack.pop()
        inner = "".join(out[frame.out :])
        del out[frame.out :]
        if frame.kind == _BRACES:
            made = self._template(inner, source)
        elif frame.kind == _VARIANT:
            made = self._variant(inner, source)
        elif frame.kind == _TABLE:
            made = self._cells(inner)
        else:
            title, bar, rest = inner.partition("|")
            if "\n" in title.strip():
                made = inner
            else:
                made = self._link(title, rest if bar else None, source)
        if stack and "|" in made:
            made = made.replace("|", PIPE)
        if stack and stack[-1].kind == _BRACES and "=" in made:
            made = made.replace("=", EQUALS)
        out.append(made)

    def _unclosed(self, text: str, start: int, position: int) -> int:
        """Return where to go on after `{{` that nothing closes: behind a name that stands on a line of its own."""
        if start and text[start - 1] != "\n":
            return position
        name = _NAME.match(text, position)
        assert name is not None
        line = text.find("\n", position, name.end() + 1)
        return line if line >= 0 else position

    def _counts(self, name: str, after: str, lookup: object) -> bool:
        """Say whether a template whose parameters begin `after` its name shows any of them."""
        del lookup
        colon = name.find(":")
        if colon > 0 and self._table.lookup(name[: colon + 1])[0] is not None:
            return True
        if after not in ("|", "}", "") and colon < 0:
            return False
        return self._table.lookup(name)[0] is not None or self._options.unknown_templates == "first"

    def _space(self, name: str) -> str:
        """Return what the namespace in a link's target makes of the link: files, categories, interwiki, or an empty text."""
        if not name:
            return ""
        key = name.strip().replace("_", " ").casefold()
        table = self._table
        if key in table.files:
            return "files"
        if key in table.categories:
            return "categories"
        return "interwiki" if key in table.wikis else ""

    def _link(self, target: str, text: str | None, source: str) -> str:
        colon = target.find(":")
        if colon > 0:
            space = self._space(target[:colon])
            if space == "files" and self._options.files == "captions":
                caption = (text or "").rpartition("|")[2].strip()
                self._book["files"].append(source)
                return "" if _CAPTION_WORD.fullmatch(caption) else f"\n{caption}\n"
            if space:
                self._book[space].append(source)
                return ""
        if text is None:
            shown = target.strip() if not target.lstrip().startswith((":", "#")) else target.strip().lstrip(":#")
            return shown
        if "|" in text:
            *options, text = text.split("|")
            if _CAPTION_WORD.fullmatch(text) or (colon > 0 and any(map(_CAPTION_WORD.fullmatch, options))):
                self._book["files"].append(source)  # of a namespace that no table knows
                return "" if self._options.files == "drop" or _CAPTION_WORD.fullmatch(text) else f"\n{text.strip()}\n"
        if not text.strip() and not text:
            return re.sub(r"\s*[(（][^()（）]*[)）]$|,.*$", "", target.rpartition(":")[2].strip())  # the pipe trick
        return text

    def _template(self, inner: str, source: str) -> str:
        parts = inner.split("|")
        name = parts[0]
        made, star = None, ""
        colon = name.find(":")
        if colon > 0:
            made, star = self._table.lookup(name[: colon + 1].strip())
            if made is not None:
                parts[0:1] = ["", name[colon + 1 :]]
        if made is None:
            made, star = self._table.lookup(name)
        if made is None:
            self._book["templates"].append(source)
            if self._options.unknown_templates == "first" and len(parts) > 1 and "=" not in parts[1]:
                return parts[1].strip()
            return ""
        params = parameters(parts)
        if star:
            params["~"] = star
        params["{title}"] = self._options.title
        return made(params, self._table)

    def _order(self) -> tuple[str, ...]:
        first = (self._options.variant.lower(),) if self._options.variant else ()
        return (*first, *self._table.variants, "zh-hans", "zh-cn", "zh-hant", "zh-tw", "zh-hk")

    def _variant(self, inner: str, source: str) -> str:
        """Return what a `-{…}-` shows in the chosen variant.  Source: MediaWiki, Writing systems/Syntax."""
        flags, bar, text = inner.partition("|")
        if not bar:
            flags, text = "", inner
        names = {f.strip() for f in flags.split(";")}
        self._book["variants"].append(source)
        if names & {"H", "T", "D", "-"}:
            return ""
        if names and not names & {"A", "R", "S", "N", "+", ""}:
            return text.strip()  # -{zh-hans;zh-hant|a text for these}-
        if "R" in names:
            return text
        choices: dict[str, str] = {}
        for piece in text.split(";"):
            code, colon, words = piece.rpartition("=>")[2].partition(":")
            if colon and re.fullmatch(r"\s*[a-z]{2,3}(?:-[a-z]+)*\s*", code):
                choices[code.strip()] = words.strip()
        if not choices:
            return text
        return next((choices[v] for v in self._variants if v in choices), next(iter(choices.values())))

    def _cells(self, inner: str) -> str:
        """Return a table as lines of text, one a row, the cells set off by ` | `."""
        rows: list[str] = []
        cells: list[str] = []
        lines = inner.strip("\n").split("\n")
        for line in lines[1:] if not lines[0].lstrip().startswith(("|", "!")) else lines:
            mark = line.lstrip()
            if mark.startswith(("|-", "|}")):
                rows.append(" | ".join(c for c in cells if c))
                cells = []
            elif mark.startswith("|+"):
                rows.append(_STYLE.sub("", mark[2:], count=1).strip())
            elif mark.startswith(("|", "!")):
                cells += [_cell(c) for c in re.split(r"\|\||!!" if mark[0] == "!" else r"\|\|", mark[1:])]
            elif cells:
                cells[-1] = f"{cells[-1]} {mark}".strip()
        rows.append(" | ".join(c for c in cells if c))
        text = "\n".join(row for row in rows if row)
        return f"\n{text}\n".replace("|", PIPE)


def _cell(text: str) -> str:
    style = _STYLE.match(text)
    return text[style.end() :].strip() if style and "=" in style[0] else text.strip().lstrip("|").strip()


_KEY = re.compile(r"[^\[\]{}<>\"'\n/]*")


def parameters(parts: list[str]) -> dict[str, str]:
    """Return a template's parameters by name or number; later ones win, as in MediaWiki.  The first part is its name."""
    params: dict[str, str] = {}
    number = 0
    for part in parts[1:]:
        key, equals, value = part.partition("=")
        if equals and _KEY.fullmatch(key.strip()):
            params[key.strip()] = value.strip()
        else:
            number += 1
            params[str(number)] = part.strip() if "\n" not in part else part.strip(" \t")
    return params
