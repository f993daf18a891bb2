"""What a link, a template, a language variant and a table show, given what stands in them, without brackets of their own."""

from __future__ import annotations

import re

from ftbuild.wikitext.options import PIPE, Book, Options
from ftbuild.wikitext.tables import Table

_STYLE = re.compile(r"[^\[\]{}|<>]*\|(?!\|)")
_CAPTION_WORD = re.compile(
    r"\s*(?:(?:thumb|thumbnail|frame|frameless|border|left|right|center|none|upright|baseline|middle|sub|super|top|bottom"
    r"|mini|miniatur|hochkant|links|rechts|rahmenlos|vignette|gauche|droite|centré|redresse|miniaturadeimagen|derecha|izquierda"
    r"|мини|справа|слева|缩略图|縮圖|右|左|サムネイル|섬네일|تصغير|ממוזער|שמאל|ימין)(?:\s*=.*|\s+[\d.]+)?|[x\d]+\s*(?:px|пкс|بك|פיקסלים)"
    r"|(?:alt|link|page|lang|class|upright|альт|ссылка)\s*=.*)\s*",
    re.IGNORECASE | re.DOTALL,
)


class Shown:
    """Says what a reader sees of a pair of brackets, by a table of names, and keeps book of what is dropped."""

    def __init__(self, table: Table, options: Options, book: Book) -> None:
        self._table, self._options, self._book = table, options, book
        self._variants = self._order()

    def space(self, name: str) -> str:
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

    def link(self, target: str, text: str | None, source: str) -> str:
        """Return what a link shows, given what stands before and behind its first `|`."""
        colon = target.find(":")
        if colon > 0:
            space = self.space(target[:colon])
            if space == "files" and self._options.files == "captions":
                caption = (text or "").rpartition("|")[2].strip()
                self._book["files"].append(source)
                return "" if _CAPTION_WORD.fullmatch(caption) else f"\n{caption}\n"
            if space:
                self._book[space].append(source)
                return ""
        if text is None:
            return target.strip() if not target.lstrip().startswith((":", "#")) else target.strip().lstrip(":#")
        if "|" in text:
            *options, text = text.split("|")
            if _CAPTION_WORD.fullmatch(text) or (colon > 0 and any(map(_CAPTION_WORD.fullmatch, options))):
                self._book["files"].append(source)  # of a namespace that no table knows
                return "" if self._options.files == "drop" or _CAPTION_WORD.fullmatch(text) else f"\n{text.strip()}\n"
        if not text.strip() and not text:
            return re.sub(r"\s*[(（][^()（）]*[)）]$|,.*$", "", target.rpartition(":")[2].strip())  # the pipe trick
        return text

    def template(self, inner: str, source: str) -> str:
        """Return what a template shows, given what stands between its braces."""
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

    def variant(self, inner: str, source: str) -> str:
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

    def cells(self, inner: str) -> str:
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
        if equals and not key.endswith("\n") and _KEY.fullmatch(key.strip()):
            params[key.strip()] = value.strip()
        else:
            number += 1
            params[str(number)] = part.strip() if "\n" not in part else part.strip(" \t")
    return params
