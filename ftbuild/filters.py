"""Filters: which pairs may become training data.  Each is `(pairs, *, …) -> iterable of (pair, reason)`.

The reason is empty for a pair that passes.  Filters stream: they hold what they must remember, never all pairs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ftbuild.errors import ConfigError
from ftbuild.graders import tokens
from ftbuild.records import Pair
from ftbuild.registries import FILTERS

Judged = Iterator[tuple[Pair, str]]


def same_question(text: str) -> str:
    """Return a question's words alone, so that two that differ only in case and punctuation are the same."""
    return " ".join(tokens(text))


@FILTERS("duplicates")
def duplicates(pairs: Iterable[Pair]) -> Judged:
    """Reject a pair whose question and answer occurred before, but for case and punctuation."""
    seen = set()
    for pair in pairs:
        key = (same_question(pair.prompt), same_question(pair.completion))
        yield pair, "occurred before" if key in seen else ""
        seen.add(key)


@FILTERS("length")
def length(pairs: Iterable[Pair], *, most_words: int = 400, fewest_words: int = 1) -> Judged:
    """Reject a pair whose question or answer is too long or too short."""
    for pair in pairs:
        counts = [len(tokens(pair.prompt)), len(tokens(pair.completion))]
        reason = (
            f"{max(counts)} words" if max(counts) > most_words else f"{min(counts)} words" if min(counts) < fewest_words else ""
        )
        yield pair, reason


@FILTERS("reject")
def reject(pairs: Iterable[Pair], *, pattern: str) -> Judged:
    """Reject a pair in which a regular expression is found, upper and lower case alike."""
    try:
        wanted = re.compile(pattern, re.IGNORECASE)
    except re.error as error:
        raise ConfigError(f"the filter's regular expression {pattern!r} does not work: {error}") from error
    for pair in pairs:
        found = wanted.search(pair.prompt) or wanted.search(pair.completion)
        yield pair, f"holds {found[0]!r}" if found else ""


@FILTERS("echo")
def echo(pairs: Iterable[Pair]) -> Judged:
    """Reject a pair whose answer is its question, or stands in it word for word."""
    for pair in pairs:
        asked, answer = (f" {same_question(text)} " for text in (pair.prompt, pair.completion))
        yield pair, "the answer stands in the question" if answer in asked else ""
