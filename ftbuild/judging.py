"""A judge: another model says whether an answer is right.

In: questions with their answers.  Out: grades.  A judge is asked as a teacher is: many at once, each reply kept and paid for
once, a verdict that cannot be read asked for again.  Who judges counts in a stage's key only where a grader asks a judge.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ftbuild.digest import digest, part
from ftbuild.exchange import Reply, Request
from ftbuild.graders import Grade, verdict
from ftbuild.prompts import Prompts, template_digest
from ftbuild.providers import answering
from ftbuild.registries import GRADERS

if TYPE_CHECKING:
    from ftbuild.recipe import Judge, Recipe
    from ftbuild.registry import Use
    from ftbuild.stage import Task

_SCHEMA = {
    "type": "object",
    "properties": {"why": {"type": "string"}, "right": {"type": "boolean"}},
    "required": ["why", "right"],
    "additionalProperties": False,
}
_AGAIN = '\n\nThis was asked before, and your reply held no verdict. Reply with {"why": …, "right": true or false} alone.'
_SEEDS_APART = 1_000_003


@dataclass(frozen=True)
class Case:
    """One answer before the judge: an exchange that ends with a verdict."""

    request: Request
    attempts: int

    def follow(self, said: Sequence[Reply]) -> Request | None:
        """Ask again for a verdict that cannot be read."""
        if verdict(said[-1].text) is not None or len(said) >= self.attempts:
            return None
        *others, last = self.request.body["messages"]
        again = [*others, {**last, "content": last["content"] + _AGAIN}]
        seed = int(self.request.body["seed"]) + _SEEDS_APART * len(said)
        return replace(self.request, body={**self.request.body, "messages": again, "seed": seed})

    def satisfied(self, said: Sequence[Reply]) -> bool:
        """Say whether there is a verdict."""
        return verdict(said[-1].text) is not None


def _graders(recipe: Recipe) -> Iterator[Use[Any]]:
    yield from (probe.grade for probe in recipe.evaluate.probes.values())
    if recipe.evaluate.held_out is not None:
        yield recipe.evaluate.held_out


def asks(grader: Use[Any]) -> bool:
    """Say whether a grader asks a judge."""
    return GRADERS.trait(grader.name, "asks") is not None


def depends(recipe: Recipe) -> Mapping[str, str]:
    """Return what grades depend on if a judge is asked: who it is, what it is asked and how.  Nothing if none is asked."""
    if not any(asks(grader) for grader in _graders(recipe)):
        return {}
    judge = recipe.judge
    who = answering(judge.provider, judge.model)
    return {
        "judge": judge.model,
        **{f"judge's {name}": value for name, value in who.items()},
        f"prompt {judge.prompt}": template_digest(judge.prompt),
        "judge's settings": digest([part(recipe, "judge"), judge.provider.capabilities.structured])[:16],
    }


def grades(task: Task, cases: Sequence[tuple[Use[Any], str, str, str]]) -> list[Grade]:
    """Return the grades of answers, each given as grader, question, answer and what was expected."""
    found: dict[int, Grade] = {}
    before = {n: verdict_on(task.recipe, *case) for n, case in enumerate(cases) if asks(case[0]) and case[2]}
    if before:
        judge = task.recipe.judge
        teacher, places = task.services.teacher(judge.provider), iter(list(before))

        def take(_: Case, said: Sequence[Reply]) -> None:
            place = next(places)
            grader, _question, _answer, expected = cases[place]
            found[place] = grader(said[-1].text, expected)
            if verdict(said[-1].text) is None:
                why = said[-1].problem or "the judge gave no verdict"
                found[place] = Grade(0, right=False, why=f"not judged: {why}")

        with task.console.step(f"asking {judge.model} about {len(before)} answers") as bar:
            teacher.ask([Case(r, judge.attempts) for r in before.values()], take, told=bar, total=len(before))
        if lost := sum(grade.why.startswith("not judged") for grade in found.values()):
            task.console.warn(f"{lost} of {len(before)} answers could not be judged, and count as wrong")
        task.facts |= {"judged": len(before) - lost, "not_judged": lost}
    return [
        found.get(n) or (Grade(0, right=False, why="empty") if asks(grader) else grader(answer, expected))
        for n, (grader, _, answer, expected) in enumerate(cases)
    ]


def verdict_on(recipe: Recipe, grader: Use[Any], question: str, answer: str, expected: str) -> Request:
    """Return the request that asks the judge about an answer."""
    judge: Judge = recipe.judge
    values = GRADERS.trait(grader.name, "asks")(question, answer, expected, **grader.params)
    text = Prompts().file(judge.prompt, {**recipe.vars, **values})
    body: dict[str, Any] = {
        "model": judge.model,
        "messages": [{"role": "user", "content": text}],
        "temperature": 0,
        "max_tokens": judge.max_tokens,
        "seed": judge.seed,
    }
    kind = judge.provider.capabilities.structured
    if kind == "json_schema":
        body["response_format"] = {"type": kind, "json_schema": {"name": "verdict", "strict": True, "schema": _SCHEMA}}
    elif kind == "json_object":
        body["response_format"] = {"type": kind}
    return Request("chat", body, answering(judge.provider, judge.model))
