"""Asking a model the recipe's probes, and grading what it says.

In: the probes, the held-out pairs, a model.  Out: one `Answer` a question.  Both models, the untuned and the tuned one, are
asked the same way: greedily, with the prompt and the stop token of the training rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ftbuild.records import Answer, Pair, read_pairs
from ftbuild.rows import Formatter
from ftbuild.services import Replies
from ftbuild.teacher import Request, Teacher

if TYPE_CHECKING:
    from ftbuild.recipe import Format, Probe, Recipe
    from ftbuild.registry import Use
    from ftbuild.stage import Task


@dataclass(frozen=True)
class Question:
    """A question to ask: where it belongs, what a held-out row says to it, and how the answer is graded."""

    name: str
    text: str
    grade: Use[Any]
    path: tuple[str, ...] = ()
    expected: str = ""


def questions(recipe: Recipe, held_out: Iterable[Pair]) -> Iterator[Question]:
    """Yield the recipe's probes, then the held-out rows."""
    for name, probe in recipe.evaluate.probes.items():
        yield Question(name, probe.question, probe.grade, _path(probe))
    if recipe.evaluate.held_out is not None:
        for pair in held_out:
            yield Question(f"held out: {pair.prompt}", pair.prompt, recipe.evaluate.held_out, pair.origin.path, pair.completion)


def _path(probe: Probe) -> tuple[str, ...]:
    return tuple(p for p in (probe.section, probe.subsection) if p)


def request(format: Format, formatter: Formatter, model: str, question: str, path: tuple[str, ...], max_tokens: int) -> Request:
    """Return the request that asks a model one question, greedily."""
    body = {"model": model, **formatter.body(question, path), "max_tokens": max_tokens, "temperature": 0}
    return Request(format.kind, body)


def ask(task: Task, model: str) -> list[Answer]:
    """Ask a model all questions of the recipe and grade the answers."""
    recipe = task.recipe
    asked = list(questions(recipe, read_pairs(task.input("curate/held_out.jsonl"))))
    formatter = Formatter(recipe.format, recipe.vars)
    requests = [request(recipe.format, formatter, model, q.text, q.path, recipe.evaluate.max_tokens) for q in asked]
    provider = recipe.trainer.provider
    teacher = Teacher(lambda: task.services.async_client(provider), provider, Replies(task.services.store), attempts=1)
    with task.console.step(f"asking {len(asked)} questions") as bar:
        replies = teacher.ask(requests, usable=lambda _request, _text: True, told=bar)
    answers = []
    for question, reply in zip(asked, replies, strict=True):
        text = reply.text.strip()
        grade = question.grade(text, question.expected)
        answers.append(Answer(question.name, question.text, text, grade.right, grade.why, grade.score))
    task.facts["right"] = sum(a.right for a in answers)
    task.facts["asked"] = len(answers)
    return answers
