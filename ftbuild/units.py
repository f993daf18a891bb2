"""The units of text that one request sees: a document's section, a paragraph or a sentence; and what stands around it.

In: sections in their order.  Out: units, each of which knows its section and its place in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ftbuild.records import Section

Span = tuple[int, int]

_WINDOW = 2000
"""Characters that sentences are looked for in at a time: a million opening quotation marks keep sentencex busy for minutes."""

_ENDS = "。！？!?．.…"
_CLOSERS = "\"'”’』」》）)】］]〉»"
_OPENERS = "\"'“‘『「《（(【［[〈«"
_CHINESE = re.compile(r"[\u3400-\u9fff]")

_NO_END = re.compile(
    r"(?:^|[\s(\[“\"])(?:[Vv]ols?|Nos?|nr|pp?|[Ff]igs?|[Cc]h|[Cc]hap|[Ss]ect?|[Aa]rt|[Ee]qs?|[Tt]ab|[Rr]efs?|[Oo]p|cf|ca|approx|eds?|vs|"
    r"Dr|Mr|Mrs|Ms|Prof|Gen|Col|Capt|Lt|Sgt)\.\s*$"
)
"""Abbreviations that a number, a name or the rest of a sentence follows, whatever sentencex thinks of them."""

_NUMBERED = re.compile(r"\s*(?:\(?\d{1,3}[.)]|\(?[A-Za-z][.)]|[ivxIVX]{1,4}[.)]|[（(]?[一二三四五六七八九十]{1,3}[)）、.])\s*$")
"""What stands before an item of a list, and is no sentence."""

_SAID = re.compile(
    r"[^，。！？；：、“”「」『』\n]{0,8}?(?:说道|问道|答道|喊道|叫道|笑道|道|说|問|问|答|喊|叫|說|曰|表示|回答|补充|補充)(?:[，。！？,]|$|[^，。！？；：“「『]{0,12}[，。])"
)
"""Who said what stood in quotation marks before, in Chinese."""

_SHORT = re.compile(r"(?<![A-Za-z])[A-Z][a-z]{0,3}\.\s*$")
_AFTER_ELLIPSIS = re.compile(r"(?:(?<!\.)\.{3,}|…)[\"'”’)]*[ \t]+(?=[\"'“‘(]?[A-Z][a-z]*\b)")
_BEFORE_NUMBER = re.compile(r"(?<=[。！？])(?=\d{1,3}[.、．]\D)")
_AFTER_BRACKET = re.compile(r"(?<=[.!?][)\]])[ \t]+(?=[A-Z\"“‘(])|(?<=[。！？][）】」』”])(?=[\u3400-\u9fff])")


@dataclass(frozen=True)
class Unit:
    """A piece of one section's text, numbered from 0 within the section."""

    section: Section
    text: str
    index: int = 0


def sentences(text: str, language: str) -> list[str]:
    """Split running text into sentences, by the rules of a language given by its ISO code."""
    return [text[start:end] for start, end in sentence_spans(text, language)]


def sentence_spans(text: str, language: str) -> list[Span]:
    """Return where each sentence of a text begins and ends, without the white space around it.

    A line break ends a sentence.  (Source: Wikimedia's sentencex, which knows 240 languages, with corrections for what it does
    to numbered items, quotations in Chinese, brackets and ellipses.)
    """
    found: list[Span] = []
    for line in re.finditer(r"[^\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+", text):
        if line[0].strip():
            found += [_trimmed(text, *span) for span in _of_line(text, line.start(), line.end(), language)]
    return [(start, end) for start, end in found if start < end]


def _of_line(text: str, start: int, end: int, language: str) -> list[Span]:
    from sentencex import segment

    spans: list[Span] = []
    at = start
    while at < end:
        border = _window(text, at, end)
        for piece in segment(language, text[at:border]):
            size = len(piece)
            spans.append((at, at + size))
            at += size
        if at < border:  # what it did not give back
            spans.append((at, border))
        at = border
    return _joined(text, _parted(text, spans, language), language)


def _window(text: str, start: int, end: int) -> int:
    """Return where to stop reading a line that is too long to be read at once: after a sentence, or at least a word."""
    if end - start <= _WINDOW:
        return end
    for marks in ("。！？", "!?."):
        last = max(text.rfind(mark, start + _WINDOW // 2, start + _WINDOW) for mark in marks)
        if last > 0 and (marks[0] == "。" or text[last + 1 : last + 2].isspace()):
            last += 1
            while last < end and text[last] in _CLOSERS:
                last += 1
            return last
    space = text.rfind(" ", start + _WINDOW // 2, start + _WINDOW)
    return space + 1 if space > 0 else start + _WINDOW


def _parted(text: str, spans: Iterable[Span], language: str) -> Iterator[Span]:
    """Part what sentencex takes for one sentence: after a bracket that holds whole sentences, after an ellipsis."""
    for start, end in spans:
        at = start
        piece = text[start:end]
        borders = [m.end() for m in _AFTER_BRACKET.finditer(piece) if _opens_sentence(piece, m.start())]
        borders += [m.end() for m in _BEFORE_NUMBER.finditer(piece)]
        if language != "zh":
            borders += [m.end() for m in _AFTER_ELLIPSIS.finditer(piece) if not piece[m.end() :].startswith(("I ", "I'", "I’"))]
        for border in sorted(borders):
            yield at, start + border
            at = start + border
        yield at, end


def _opens_sentence(piece: str, closed: int) -> bool:
    """Say whether what the bracket that closes before a place holds is a sentence of its own, as in `(He came.) She left.`."""
    opening = max(piece.rfind(c, 0, closed) for c in "(（[【")
    return opening >= 0 and (not piece[:opening].strip() or piece[:opening].rstrip()[-1] in _ENDS)


def _joined(text: str, spans: Iterable[Span], language: str) -> list[Span]:
    """Put together what sentencex parts wrongly."""
    found: list[Span] = []
    for first, last in spans:
        start, end = first, last
        if found:
            opened = found[-1][0]
            while start < end and text[start] in "”’』」》）】":  # quotation marks that close belong to what they close
                start += 1
            if start > first:
                found[-1] = (opened, start)
                if not text[start:end].strip():
                    continue
            if _belongs(text, opened, start, end, language):
                found[-1] = (opened, end)
                continue
        found.append((start, end))
    return found


def _belongs(text: str, opened: int, start: int, end: int, language: str) -> bool:
    """Say whether what stands from `start` to `end` goes on with the sentence that was opened before."""
    if text[start - 1] in "。！？" and start - opened > 4:  # noqa: PLR2004 - no number, no ellipsis
        return False
    tail = text[max(opened, start - 40) : start]  # of a sentence of any length
    said, whole = tail.rstrip(), start - opened <= len(tail)
    if whole and (not re.search(r"\w", tail) or _NUMBERED.fullmatch(tail)):
        return True
    last = said[-1:]
    if last == "." and _NO_END.search(tail) and re.match(r"[\w“\"'(§]", text[start : start + 1]):
        return True
    if not last or last not in _ENDS + _CLOSERS:
        here = text[start : start + 1]
        return not tail.endswith((" ", "\t")) or here.islower() or bool(_CHINESE.match(here))  # a window ended here
    if last in "”’」』":
        return bool(_SAID.match(text[start : min(end, start + 60)]))
    if last == "." and language == "zh":
        return bool(_SHORT.search(tail) and re.match(r"[A-Za-z]", text[start : start + 1]))
    return False


def _trimmed(text: str, start: int, end: int) -> Span:
    piece = text[start:end]
    stripped = piece.strip()
    start += len(piece) - len(piece.lstrip())
    return start, start + len(stripped)


def paragraphs(text: str) -> list[str]:
    """Split a section's text at its line breaks."""
    return [p.strip() for p in text.splitlines() if p.strip()]


def units(sections: Iterable[Section], kind: str, language: str) -> Iterator[Unit]:
    """Yield the units of a kind: `section`, `paragraph` or `sentence`."""
    for section in sections:
        match kind:
            case "paragraph":
                pieces = paragraphs(section.text)
            case "sentence":
                pieces = sentences(section.text, language)
            case _:
                pieces = [section.text]
        yield from (Unit(section, piece, index) for index, piece in enumerate(pieces))


# ---- what stands around a unit ----


@dataclass(frozen=True)
class Around:
    """What stands around a section, for templates that tie sections together.  Everything is of the same document.

    `before` and `after` are the texts of its neighbours, `outline` the headings of the whole document, `summary` what came
    before: each heading with its first sentence.  Long texts are cut at a word; no model is asked for any of this.
    """

    before: str = ""
    after: str = ""
    outline: str = ""
    summary: str = ""


_NEIGHBOUR = 2000  # characters of a neighbour
_FIRST = 240  # characters of a first sentence
_LINES = 40  # of an outline or a summary


def surroundings(sections: Sequence[Section], language: str) -> Iterator[Around]:
    """Yield for each section what stands around it."""
    firsts: list[str] = []
    outline = ""
    for n, section in enumerate(sections):
        before, after = (sections[m] if 0 <= m < len(sections) else None for m in (n - 1, n + 1))
        if before is None or before.document != section.document:
            before, firsts = None, []
            outline = _outline(sections, n)
        if after is not None and after.document != section.document:
            after = None
        yield Around(
            _last(before.text, _NEIGHBOUR) if before else "",
            _first(after.text, _NEIGHBOUR) if after else "",
            outline,
            "\n".join(firsts[-_LINES:]),
        )
        told = sentences(section.text[: 4 * _FIRST], language)
        name = " / ".join(section.path)
        firsts.append(f"{name}: {_first(told[0], _FIRST)}" if told else name)


def _outline(sections: Sequence[Section], start: int) -> str:
    """Return the headings of a document whose first section this is, each with two spaces for every heading above it."""
    lines: dict[tuple[str, ...], str] = {}
    for section in (sections[n] for n in range(start, len(sections))):
        if section.document != sections[start].document or len(lines) > _LINES:
            break
        for n in range(len(section.path)):
            lines.setdefault(section.path[: n + 1], "  " * n + section.path[n])
    return "\n".join([*lines.values()][:_LINES])


def _first(text: str, most: int) -> str:
    return text if len(text) <= most else (text[:most].rsplit(None, 1)[0] if " " in text[:most] else text[:most]) + " …"


def _last(text: str, most: int) -> str:
    return text if len(text) <= most else "… " + (text[-most:].split(None, 1)[-1] if " " in text[-most:] else text[-most:])
