"""Asking a model the recipe's probes, and grading what it says.

In: the probes, the held-out pairs, a model.  Out: one `Answer` a question.  Both models, the untuned and the tuned one, are
asked the same way: greedily, with the prompt and the stop token of the training rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ftbuild.judging import grades
from ftbuild.providers import answering
from ftbuild.records import Answer, Pair, read_pairs
from ftbuild.rows import Formatter
from ftbuild.teacher import Once, Reply, Request

if TYPE_CHECKING:
    from ftbuild.recipe import Probe, Recipe
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


class Asker:
    """Makes the requests that ask a model questions, greedily, in the words of the recipe's rows."""

    def __init__(self, recipe: Recipe, model: str) -> None:
        self._recipe, self._model = recipe, model
        self._formatter = Formatter(recipe.format, recipe.vars)
        self._who = answering(recipe.trainer.provider, recipe.trainer.base_model)

    def request(self, question: str, path: tuple[str, ...] = ()) -> Request:
        """Return the request that asks one question."""
        most = self._recipe.evaluate.max_tokens
        body = {"model": self._model, **self._formatter.body(question, path), "max_tokens": most, "temperature": 0}
        return Request(self._recipe.format.kind, body, self._who)


def asked(task: Task, model: str) -> list[Request]:
    """Return the requests that ask a model all questions of the recipe."""
    asker = Asker(task.recipe, model)
    return [asker.request(q.text, q.path) for q in _questions(task)]


def _questions(task: Task) -> list[Question]:
    return list(questions(task.recipe, read_pairs(task.input("curate/held_out.jsonl"))))


def ask(task: Task, model: str) -> list[Answer]:
    """Ask a model all questions of the recipe and grade the answers."""
    requests = asked(task, model)
    with task.console.step(f"asking {len(requests)} questions") as bar:
        teacher = task.services.teacher(task.recipe.trainer.provider)
        replies = list[Reply]()
        teacher.ask(map(Once, requests), lambda _, said: replies.append(said[-1]), told=bar, total=len(requests))
    asked_of = _questions(task)
    texts = [reply.text.strip() for reply in replies]
    cases = [(q.grade, q.text, text, q.expected) for q, text in zip(asked_of, texts, strict=True)]
    answers = [
        Answer(question.name, question.text, text, grade.right, grade.why, grade.score)
        for question, text, grade in zip(asked_of, texts, grades(task, cases), strict=True)
    ]
    task.facts["right"] = sum(a.right for a in answers)
    task.facts["asked"] = len(answers)
    return answers
