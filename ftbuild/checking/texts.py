"""Checks of rows of prompt and completion: where one ends and the other begins, and where the answer ends.

A model that goes on with a text has nothing but marks to tell by: a separator at the end of each prompt, which occurs nowhere
else, and a stop token at the end of each completion.  Both are found by looking, unless a recipe declares them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ftbuild.checking.about import About, Problem, Row, Watch, data, error, hint, short, warning
from ftbuild.registries import CHECKS

_PREFIX = 12  # characters that all prompts may begin with before it is worth a word
_CONTEXT = 48  # characters before a border on which it depends whether tokens end there
_BORDERS = 50_000  # places remembered
_OTHER = "choose a mark that no text holds, or leave these rows out"


@CHECKS("separator")
def separator(about: About) -> Watch:
    """Say whether every prompt ends with the same separator, which occurs nowhere else."""
    mark = about.separator
    new, used = _unused("separators", about)

    def each(row: Row) -> Iterator[Problem]:
        if row.kind != "completion":
            return
        prompt, answer = row.prompt, row.answer
        used(prompt + answer)
        if mark and not prompt.endswith(mark):
            yield warning(f"the prompt does not end with the separator {mark!r} of the others", row)
        bare = mark.strip()
        if bare and bare in prompt.removesuffix(mark):
            yield warning(f"the separator {bare!r} occurs inside the prompt as well", row, _OTHER)
        if bare and bare in answer:
            yield warning(f"the separator {bare!r} occurs in the completion", row, _OTHER)

    def end() -> Iterator[Problem]:
        if not mark and about.sample and about.sample[0].kind == "completion":
            yield warning("prompts do not end with a separator: the model cannot tell where the answer begins")

    def mend(row: Row) -> Mapping[str, Any]:
        added = mark or new()
        if row.kind != "completion" or not added or row.prompt.endswith(added) or added.strip() in row.prompt:
            return row.data  # type: ignore[no-any-return]
        return {**row.data, "prompt": row.prompt.rstrip() + added}

    return Watch(each, end, mend, "the separator is added to prompts that lack it")


@CHECKS("stop")
def stop(about: About) -> Watch:
    """Say whether every completion ends with the same stop token, which occurs nowhere else."""
    mark = about.stop
    new, used = _unused("stops", about)

    def each(row: Row) -> Iterator[Problem]:
        if row.kind != "completion":
            return
        used(row.prompt + row.answer)
        answer, bare = row.answer, mark.strip() or mark
        if mark and not answer.endswith(mark):
            yield warning(f"the completion does not end with the stop token {mark!r} of the others", row)
        if bare and bare in answer.removesuffix(mark):
            yield error(f"the stop token {bare!r} occurs inside the completion: the answer would end there", row, _OTHER)
        if bare.strip() and bare in row.prompt:
            yield warning(f"the stop token {bare!r} occurs in the prompt", row, _OTHER)

    def end() -> Iterator[Problem]:
        if not mark and about.sample and about.sample[0].kind == "completion":
            yield warning("completions do not end with a stop token: the model cannot tell where an answer ends")

    def mend(row: Row) -> Mapping[str, Any]:
        added = mark or new()
        if row.kind != "completion" or not added or row.answer.endswith(added) or added.strip() in row.answer:
            return row.data  # type: ignore[no-any-return]
        return {**row.data, "completion": row.answer.rstrip() + added}

    return Watch(each, end, mend, "the stop token is added to completions that lack it")


def _unused(name: str, about: About) -> tuple[Callable[[], str], Callable[[str], None]]:
    """Return two functions: one that gives the first mark that no text holds, and one that it is shown all texts with."""
    free = list(data("limits.json")[name])
    assert about is not None

    def used(text: str) -> None:
        free[:] = [mark for mark in free if (mark.strip() or mark) not in text]

    return lambda: free[0] if free else "", used


@CHECKS("borders")
def borders(about: About) -> Watch:
    """Say whether tokens end where the prompt ends, and before the stop token."""
    known: dict[tuple[str, str], bool] = {}

    def ends(before: str, after: str) -> bool:
        place = before[-_CONTEXT:], after[:_CONTEXT]
        if place not in known:
            if len(known) > _BORDERS:
                known.clear()
            known[place] = about.counter.border("".join(place), len(place[0])) is not False
        return known[place]

    def each(row: Row) -> Iterator[Problem]:
        if row.kind != "completion":
            return
        if about.separator and row.prompt and not ends(row.prompt, row.answer):
            yield hint("one token spans the end of the prompt and the beginning of the completion", row)
        if about.stop and row.answer.endswith(about.stop):
            rest = row.answer.removesuffix(about.stop)
            if rest and not ends(rest, about.stop):
                yield warning(f"one token spans the end of the answer and the stop token {about.stop!r}", row)

    return Watch(each, fix="let the stop token begin with a space or a line break")


@CHECKS("beginnings")
def beginnings(about: About) -> Watch:
    """Say what all prompts, and all completions, begin with; and whether completions begin with a space."""
    common: dict[str, str] = {}
    spaced, rows = 0, 0

    def each(row: Row) -> None:
        nonlocal spaced, rows
        if row.kind != "completion":
            return
        rows += 1
        spaced += row.answer[:1].isspace()
        for name, text in (("prompts", row.prompt), ("completions", row.answer)):
            so_far = common.setdefault(name, text)
            if so_far and not text.startswith(so_far):
                common[name] = _both(so_far, text)

    def end() -> Iterator[Problem]:
        if rows < 2:  # noqa: PLR2004
            return
        prompts, completions = (common[name] for name in ("prompts", "completions"))
        if len(prompts) > _PREFIX and not about.declared:
            told = f"all prompts begin with '{short(prompts)}'; a tuned model does not need to be told"
            yield hint(told, by_hand="leave it out, here and when the model is asked")
        if completions.strip():
            yield warning(
                f"all completions begin with '{short(completions)}'; the model learns to say it", by_hand="leave it out"
            )
        if 0 < spaced < rows:
            yield warning(f"{spaced} of {rows} completions begin with a space, the others do not")

    def mend(row: Row) -> Mapping[str, Any]:
        if row.kind != "completion" or not 0 < spaced < rows:
            return row.data  # type: ignore[no-any-return]
        answer = row.answer.lstrip()
        return {**row.data, "completion": f" {answer}" if spaced * 2 >= rows else answer}

    return Watch(each, end, mend, "completions begin as most of them do")


def _both(one: str, other: str) -> str:
    return one[: next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))]


@CHECKS("blank")
def blank(about: About) -> Watch:
    """Find answers and prompts that are nothing but space, separator or stop token."""

    def answers(row: Row) -> bool:
        own = row.answer.removesuffix(about.stop) if row.kind == "completion" else row.answer
        return bool(own.strip()) or any(t.get("tool_calls") for t in row.turns)

    def each(row: Row) -> Iterator[Problem]:
        if not answers(row):
            yield error("the answer is empty", row)
        elif not row.prompt.removesuffix(about.separator).strip():
            yield warning("the prompt is empty", row, "say what is asked, unless the model is to write by itself")

    def mend(row: Row) -> Mapping[str, Any] | None:
        return row.data if answers(row) else None

    return Watch(each, None, mend, "rows without an answer are left out")
