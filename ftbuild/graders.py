"""Graders: whether an answer is right.  Each is `(answer, expected, *, …) -> Grade`; its parameters are set in the recipe.

`expected` is the answer that a held-out row carries, and empty for a probe that only says what the answer must hold.
A grader must not flatter: an answer that runs on, or that names every possible person, is wrong.

A grader with the trait `asks` has a judge asked: the trait is `(question, answer, expected, *, …) -> values` for the judge's
prompt, and the grader itself is given what the judge replied as the answer.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass

from ftbuild.errors import ConfigError
from ftbuild.registries import GRADERS

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")


@dataclass(frozen=True)
class Grade:
    """A score from 0 to 1, whether that counts as right, and why not if it does not."""

    score: float
    right: bool
    why: str = ""


def normalise(text: str) -> str:
    """Return text for comparing: one Unicode form, lower case, one kind of apostrophe, single spaces."""
    text = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
    return " ".join(text.split())


def tokens(text: str) -> list[str]:
    """Return the words of a text; each Chinese or Japanese character counts as one."""
    return [t for w in _WORD.findall(normalise(text)) for t in (list(w) if _WIDE.search(w) else [w])]


def _mentions(text: str, phrase: str) -> bool:
    """Say whether `phrase` occurs in `text` at the start of a word (`drown` is found in `drowned`, not `Otho` in `Clotho`)."""
    phrase = normalise(phrase)
    if not phrase:
        return False
    edge = "" if _WIDE.search(phrase[0]) else r"(?<![^\W_])"
    return re.search(edge + re.escape(phrase), text) is not None


@GRADERS("contains")
def contains(
    answer: str,
    expected: str,
    *,
    any_of: tuple[str, ...] = (),
    all_of: tuple[tuple[str, ...] | str, ...] = (),
    none_of: tuple[str, ...] = (),
    max_words: int = 40,
) -> Grade:
    """Right if it holds one of `any_of`, one of each group in `all_of`, none of `none_of`, in at most `max_words` words.

    A phrase matches at the beginning of a word, so that a stem finds its forms.
    """
    if not (any_of or all_of or expected):
        raise ConfigError("the grader 'contains' was told nothing that an answer must contain")
    text = normalise(answer)
    if not text:
        return Grade(0, right=False, why="empty")
    if (length := len(tokens(answer))) > max_words:
        return Grade(0, right=False, why=f"{length} words, more than {max_words}")
    for phrase in none_of:
        if _mentions(text, phrase):
            return Grade(0, right=False, why=f"holds {phrase!r}")
    wanted = any_of or (() if all_of else (expected,))
    if wanted and not any(_mentions(text, phrase) for phrase in wanted):
        return Grade(0, right=False, why=f"lacks {_choice(wanted)}")
    for group in all_of:
        choices = (group,) if isinstance(group, str) else group
        if not any(_mentions(text, phrase) for phrase in choices):
            return Grade(0, right=False, why=f"lacks {_choice(choices)}")
    return Grade(1, right=True)


def _choice(phrases: tuple[str, ...]) -> str:
    return " or ".join(repr(p) for p in phrases[:3]) + (" …" if len(phrases) > 3 else "")  # noqa: PLR2004


def _wanted(grader: str, answers: tuple[str, ...], expected: str) -> tuple[str, ...]:
    if not (answers or expected):
        raise ConfigError(f"the grader {grader!r} was told no right answer")
    return answers or (expected,)


@GRADERS("regex")
def regex(answer: str, expected: str, *, pattern: str, max_words: int = 40) -> Grade:  # noqa: ARG001 - every grader gets it
    """Right if a regular expression is found in the answer, upper and lower case alike, in at most `max_words` words."""
    try:
        found = re.search(pattern, answer, re.IGNORECASE)
    except re.error as error:
        raise ConfigError(f"the grader's regular expression {pattern!r} does not work: {error}") from error
    if (length := len(tokens(answer))) > max_words:
        return Grade(0, right=False, why=f"{length} words, more than {max_words}")
    return Grade(1, right=True) if found else Grade(0, right=False, why=f"does not match {pattern!r}")


@GRADERS("exact")
def exact(answer: str, expected: str, *, answers: tuple[str, ...] = ()) -> Grade:
    """Right if it is one of `answers`, or the held-out row's own answer, but for case and white space."""
    wanted = _wanted("exact", answers, expected)
    right = normalise(answer) in {normalise(w) for w in wanted}
    return Grade(float(right), right=right, why="" if right else f"is not {_choice(wanted)}")


@GRADERS("token_f1")
def token_f1(answer: str, expected: str, *, answers: tuple[str, ...] = (), at_least: float = 0.5) -> Grade:
    """Right if the words shared with one of `answers` give an F1 of `at_least` (source: the SQuAD evaluation script)."""
    wanted = _wanted("token_f1", answers, expected)
    best = max(_f1(tokens(answer), tokens(w)) for w in wanted)
    right = best >= at_least
    return Grade(best, right=right, why="" if right else f"F1 {best:.2f} is below {at_least}")


def _f1(given: list[str], wanted: list[str]) -> float:
    shared = sum((Counter(given) & Counter(wanted)).values())
    if not shared:
        return 0.0
    precision, recall = shared / len(given), shared / len(wanted)
    return 2 * precision * recall / (precision + recall)


def _case(question: str, answer: str, expected: str, *, reference: str = "", criteria: str = "") -> dict[str, str]:
    """Return what a judge is told about an answer."""
    (wanted,) = _wanted("judge", (reference,) if reference else (), expected)
    return {"question": question, "answer": answer, "expected": wanted, "criteria": criteria}


@GRADERS("judge", asks=_case)
def judge(answer: str, expected: str, *, reference: str = "", criteria: str = "") -> Grade:  # noqa: ARG001 - the judge was told
    """Right if a judge, another model, says that it says the same as `reference` or the held-out row's own answer."""
    return verdict(answer) or Grade(0, right=False, why="the judge gave no verdict")


_VERDICT = re.compile(r"\{[^{}]*\}")
_YES, _NO = {"true", "yes", "right", "correct", "1"}, {"false", "no", "wrong", "incorrect", "0"}


def verdict(reply: str) -> Grade | None:
    """Return the verdict in a judge's reply, the last one if there are several, or None if there is none."""
    for text in reversed(_VERDICT.findall(reply)):
        try:
            told = json.loads(text, strict=False)
        except ValueError:
            continue
        right = str(told.get("right")).casefold()
        if right in _YES | _NO:
            why = str(told.get("why") or "").strip()
            return Grade(float(right in _YES), right=right in _YES, why="" if right in _YES else f"judge: {why or 'wrong'}")
    return None
