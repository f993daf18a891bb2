"""evaluate: ask the tuned model the same questions, and compare.

In: the tuned model's id, the untuned model's answers, held-out pairs.  Out: `answers.jsonl` and `score.json`, the share of
questions answered right before and after.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ftbuild.providers import answering
from ftbuild.records import read_jsonl, write_jsonl
from ftbuild.stage import Task, stage
from ftbuild.store import read_json, write_json

if TYPE_CHECKING:
    from ftbuild.recipe import Recipe
    from ftbuild.teacher import Request


def tuned_model(recipe: Recipe) -> Mapping[str, str]:
    """Return who answers for the tuned model, and who judges if anybody does."""
    from ftbuild.judging import depends

    return {**answering(recipe.trainer.provider, recipe.trainer.base_model), **depends(recipe)}


def requests(task: Task) -> list[Request]:
    """Return all requests of the stage, sent before or not."""
    from ftbuild.asking import asked

    return asked(task, read_json(task.input("train/model.json"))["model"])


@stage(
    reads=("evaluate", "format", "trainer", "vars"),
    sees=("judge",),
    inputs=("train/model.json", "baseline/answers.jsonl", "curate/held_out.jsonl"),
    outputs=("answers.jsonl", "score.json"),
    packages=("jinja2",),
    besides=tuned_model,
    requests=requests,
)
def evaluate(task: Task) -> None:
    """Ask the tuned model the same questions, and compare."""
    from ftbuild.asking import ask

    model = read_json(task.input("train/model.json"))["model"]
    after = ask(task, model)
    before = [a["right"] for a in read_jsonl(task.input("baseline/answers.jsonl"))]
    write_jsonl(task.out / "answers.jsonl", after)
    score = {
        "questions": len(after),
        "before": sum(before) / len(before) if before else None,
        "after": sum(a.right for a in after) / len(after) if after else None,
    }
    write_json(task.out / "score.json", score)
    task.facts |= score
