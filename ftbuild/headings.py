r"""The headings of a text, whatever its format: what rules cut at and what sections begin with.

wikitext     `== … ==` to `====== … ======`; a comment or a reference may stand behind the last mark
markdown     `# …` to `###### …`, and lines underlined with `===` or `---`; not inside a fence of ``` or ~~~
text         none, or whatever a pattern says, such as `第.+章` or `\d+(\.\d+)* [A-Z]`

In: a text and its format.  Out: `Heading`s in order, with their places in the text.  Nothing here takes more time than the
text is long.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import translate
from functools import cache, lru_cache
from itertools import islice

from ftbuild.patterns import Pattern
from ftbuild.plain import HEADING

DEEPEST = 6

_WIKITEXT = re.compile(r"(?m)^(={1,6})[ \t]*(?=\S)([^\n]*)$")
_AFTER_WIKITEXT = re.compile(r"(?:<!--(?:(?!-->).)*-->|<ref\b[^<>\n]*/>|<ref\b[^<>\n]*>(?:(?!</ref>).)*</ref>|\s)*$", re.DOTALL)
_BEHIND = re.compile(r"(?<==)(?=[ \t]*<)")
_TRIES = 8
_TITLE = re.compile(r"(?m)^[ ]{0,3}(?=[^\s#>|\-=+*])([^\n]+)\n[ ]{0,3}(=+|-{2,})[ \t]*$")
_INDENTED = re.compile(r"(?:(?<=\n\n)|\A)(?: {4}|\t)(?![-*+] |\d+[.)] )[^\n]*(?:\n(?: {4}|\t)[^\n]*)*")
_FENCE = re.compile(r"(?m)^[ ]{0,3}(`{3,}|~{3,})([^\n]*)$")


@dataclass(frozen=True)
class Heading:
    """A heading: where its line begins and ends in the text, how deep it is (1 is the top), and what it says."""

    start: int
    end: int
    level: int
    text: str


def headings(text: str, format: str, pattern: str = "") -> list[Heading]:
    """Return the headings of a text in order.  `pattern` is what a line looks like that is a heading of the format `text`."""
    match format:
        case "wikitext":
            return list(_of_wikitext(text))
        case "markdown" | "html":  # a page is plain Markdown once it is clean
            return list(_of_markdown(text))
    return list(_of_pattern(text, pattern)) if pattern else []


def _of_wikitext(text: str) -> Iterator[Heading]:
    for match in _WIKITEXT.finditer(text):
        line = match[0].rstrip()
        if not line.endswith("="):  # a comment or a reference may stand behind the last mark
            ends = islice((m.start() for m in _BEHIND.finditer(line)), _TRIES)
            line = next((line[:end] for end in ends if _AFTER_WIKITEXT.match(line, end)), "")
        marks = len(line) - len(line.rstrip("="))
        level = min(len(match[1]), marks)  # what is over on either side belongs to what the heading says
        title = line[level : len(line) - level].strip()
        if level and title.strip("="):
            yield Heading(match.start(), match.end(), level, title)


def _of_markdown(text: str) -> Iterator[Heading]:
    fenced = list(fences(text))
    found = [Heading(m.start(), m.end(), len(m[1]), m[2].strip()) for m in HEADING.finditer(text)]
    if "\n=" in text or "\n-" in text or "\n " in text:
        found += [
            Heading(m.start(), m.end(), 1 if m[2][0] == "=" else 2, m[1].strip())
            for m in _TITLE.finditer(text)
            if _blank_before(text, m.start())
        ]
        found.sort(key=lambda heading: heading.start)
    yield from _outside(found, fenced)


def _blank_before(text: str, position: int) -> bool:
    """Say whether the line before a position is empty, so that a paragraph begins there."""
    before = text.rfind("\n", 0, max(0, position - 1))
    return position == 0 or text[before + 1 : position - 1].isspace() or before + 1 >= position - 1


def fences(text: str) -> Iterator[tuple[int, int]]:
    """Yield the spans of fenced code; one that is never closed reaches to the end."""
    opened: re.Match[str] | None = None
    for match in _FENCE.finditer(text):
        if opened is None:
            if match[1][0] == "~" or "`" not in match[2]:
                opened = match
        elif match[1][0] == opened[1][0] and len(match[1]) >= len(opened[1]) and not match[2].strip():
            yield opened.start(), match.end()
            opened = None
    if opened is not None:
        yield opened.start(), len(text)


def code(text: str) -> list[tuple[int, int]]:
    """Return the spans of code in Markdown: what is fenced, and lines that are indented after an empty one."""
    fenced = list(fences(text))
    found, last = [], 0
    for start, end in [*fenced, (len(text), len(text))]:
        found += [m.span() for m in _INDENTED.finditer(text, last, start)]
        found += [(start, end)] if start < end else []
        last = end
    return found


def _outside(found: Iterable[Heading], spans: list[tuple[int, int]]) -> Iterator[Heading]:
    at = 0
    for heading in found:
        while at < len(spans) and spans[at][1] <= heading.start:
            at += 1
        if at == len(spans) or heading.start < spans[at][0]:
            yield heading


def _of_pattern(text: str, pattern: str) -> Iterator[Heading]:
    """Yield the lines that a pattern matches from their beginning to their end.

    A number with dots, such as 2.1.3, is as deep as it has parts; the pattern may say more with a group for each level.
    """
    compiled = Pattern(pattern, seconds=_PATIENCE)
    start = 0
    for line in text.splitlines(keepends=True):
        said = line.strip()
        if said and len(said) <= _LONGEST and (match := compiled.fullmatch(said)):
            end = start + len(line.rstrip("\r\n"))
            groups = [n for n, value in enumerate(match.groups(), start=1) if value is not None]
            number = re.match(r"\d+(?:\.\d+)*", said)
            level = groups[0] if groups else number[0].count(".") + 1 if number else 1
            yield Heading(start, end, min(level, DEEPEST), said)
        start += len(line)


_PATIENCE = 0.3  # seconds for one line
_LONGEST = 200
"""How long a line may be that a pattern takes for a heading; it also bounds the time that a pattern takes."""


def paths(found: Iterable[Heading]) -> Iterator[tuple[str, ...]]:
    """Yield for each heading the texts of those above it, and its own.  A level that was skipped leaves no gap."""
    path: list[Heading] = []
    for heading in found:
        path = [*(above for above in path if above.level < heading.level), heading]
        yield tuple(above.text for above in path)


def named(path: tuple[str, ...], patterns: Iterable[str]) -> bool:
    """Say whether a pattern names a section or a heading above it.

    `Plot`, or a path `Plot/Act *`; `*` stands for anything, `?` for one character, `**/` for any headings above, or none.
    Upper and lower case are the same, and so are the wide and narrow forms of letters and digits.
    """
    above = [folded("/".join(path[: n + 1])) for n in range(len(path))]
    return any(any(map(_matcher(pattern), above)) for pattern in patterns)


@lru_cache(4096)
def folded(text: str) -> str:
    """Return what is compared of a heading."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


@cache
def _matcher(pattern: str) -> Callable[[str], object]:
    pieces = re.split(r"(\*\*/|/\*\*)", folded(pattern))
    made = "".join(
        "(?:.*/)?"
        if piece == "**/"
        else "(?:/.*)?"
        if piece == "/**"
        else translate(piece).removeprefix("(?s:").removesuffix(r")\Z").removesuffix(r")\z")
        for piece in pieces
    )
    return re.compile(f"(?s:{made})").fullmatch
