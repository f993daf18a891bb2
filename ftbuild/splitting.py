"""Split what is too long for a request: at paragraphs, then at sentences, clauses, words, by exact tokens.

In: a text, where a section of it begins and ends, and how many tokens a part may have.  Out: where each part begins and ends.
No part has more tokens than it may, and nothing is left out between two parts but white space.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ftbuild.units import Span, sentence_spans
from ftbuild.versions import versions

if TYPE_CHECKING:
    from ftbuild.recipe import Split
    from ftbuild.tokens import Counter

_CLAUSE = re.compile(r"(?<=[;:,])\s+|(?<=[；：，、])|\s+(?=[–—] )|(?<=——)")
_WORD = re.compile(r"\s+|(?<=[\u3040-\u30ff\u3400-\u9fff])")
_RUN = 400  # characters of what has no borders at all that are tried at a time


def depends(split: Split) -> Mapping[str, str]:
    """Return what counts tokens, and the versions of what finds the borders."""
    return versions("sentencex", "regex", "toktok-rs", "tokenizers") | {"counter": _counter(split).name}


def _counter(split: Split) -> Counter:
    from ftbuild import tokens

    return tokens.counter(split.provider, split.tokenizer) if split.tokenizer else tokens.of_encoding("")


def splitter(split: Split) -> Splitter:
    """Return what splits as a recipe says."""
    return Splitter(split.tokens, split.overlap, split.language, _counter(split))


@dataclass(frozen=True)
class Splitter:
    """Splits into parts of at most `most` tokens; the last `overlap` sentences of a part stand in the next one, too."""

    most: int
    overlap: int
    language: str
    counter: Counter

    def fits(self, text: str) -> bool:
        """Say whether a text need not be split."""
        return (text.isascii() and len(text) <= self.most) or self.counter.count(text) <= self.most

    def spans(self, text: str, start: int, end: int, said: Callable[[int, int], str]) -> list[Span]:
        """Return the parts of a text from `start` to `end`.  `said` is what a part says, whose tokens are counted."""
        told = list(self._pieces(text, start, end))
        pieces, fresh = [piece for piece, _ in told], [begins for _, begins in told]
        sizes = self.counter.count_all([text[a : b + 1] for a, b in pieces])
        parts: list[Span] = []
        at = 0
        while at < len(pieces):
            begin = self._overlapping(text, parts, pieces[at][0])
            room = self.most - (self.counter.count(text[begin : pieces[at][0]]) if begin < pieces[at][0] else 0)
            until, held = at + 1, sizes[at]
            while until < len(pieces) and held + sizes[until] <= room and not fresh[until]:
                held += sizes[until]
                until += 1
            while until > at + 1 and (over := self.counter.count(said(begin, pieces[until - 1][1])) - self.most) > 0:
                while over > 0 and until > at + 1:  # white space between pieces counts, too
                    until -= 1
                    over -= sizes[until] + 1
            if begin < pieces[at][0] and self.counter.count(said(begin, pieces[until - 1][1])) > self.most:
                begin = pieces[at][0]  # what is repeated must not keep the rest out
            parts.append((begin, pieces[until - 1][1]))
            at = until
        return parts

    def _overlapping(self, text: str, parts: list[Span], start: int) -> int:
        """Return where the next part begins: at the last sentences of the one before, if they are not all of it."""
        if not parts or not self.overlap:
            return start
        first, last = parts[-1]
        near = max(first, last - 20_000)
        told = [(a + near, b + near) for a, b in sentence_spans(text[near:last], self.language)]
        begin = told[-self.overlap][0] if len(told) > self.overlap else start
        return begin if self.counter.count(text[begin:start]) <= self.most // 2 else start

    def _pieces(self, text: str, start: int, end: int) -> Iterator[tuple[Span, bool]]:
        """Yield the smallest things that are kept together: paragraphs, or what they have to be split into.

        With each goes whether a part has to begin there, as it does where a paragraph begins that is too long for one.
        """
        lines = [m.span() for m in re.compile(r"[^\n]+").finditer(text, start, end) if m[0].strip()]
        for (a, b), size in zip(lines, self.counter.count_all([text[a:b] for a, b in lines]), strict=True):
            if size <= self.most:
                yield (a, b), False
            else:
                for n, piece in enumerate(self._smaller(text, a, b, 0)):
                    yield piece, n == 0

    def _smaller(self, text: str, start: int, end: int, depth: int) -> Iterator[Span]:
        """Yield the sentences of a paragraph, the clauses of a sentence, the words of a clause, the letters of a word."""
        if depth == len(_LEVELS):
            yield from self._letters(text, start, end)
            return
        spans = _LEVELS[depth](text, start, end, self.language)
        for (a, b), size in zip(spans, self.counter.count_all([text[a:b] for a, b in spans]), strict=True):
            if size <= self.most:
                yield a, b
            else:
                yield from self._smaller(text, a, b, depth + 1)

    def _letters(self, text: str, start: int, end: int) -> Iterator[Span]:
        while start < end:
            size = min(end - start, max(1, min(_RUN, 2 * self.most)))
            while size > 1 and self.counter.count(text[start : start + size]) > self.most:
                size //= 2
            yield start, start + size
            start += size


def _sentences(text: str, start: int, end: int, language: str) -> list[Span]:
    return [(a + start, b + start) for a, b in sentence_spans(text[start:end], language)]


def _at(borders: re.Pattern[str]) -> Callable[[str, int, int, str], list[Span]]:
    def spans(text: str, start: int, end: int, _: str) -> list[Span]:
        found, last = [], start
        for match in borders.finditer(text, start, end):
            if match.start() > last:
                found.append((last, match.start()))
            last = match.end()
        return [*found, (last, end)] if last < end else found

    return spans


_LEVELS = (_sentences, _at(_CLAUSE), _at(_WORD))
