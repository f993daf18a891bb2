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
    """Return who answers for the tuned model, which checkpoint of it, and who judges if anybody does."""
    from ftbuild.judging import depends

    who = answering(recipe.trainer.provider, recipe.trainer.base_model)
    who.pop("deployment", None)  # that of the untuned model
    checkpoint = {} if recipe.train.checkpoint is None else {"checkpoint": str(recipe.train.checkpoint)}
    return {**who, **checkpoint, **depends(recipe)}


def requests(task: Task) -> list[Request]:
    """Return all requests of the stage, sent before or not."""
    from ftbuild.asking import asked
    from ftbuild.deploying import deployed_as

    return asked(task, deployed_as(task.services.store, task.recipe.trainer, _model(task)))


def _model(task: Task) -> str:
    from ftbuild.deploying import chosen

    return chosen(read_json(task.input("train/model.json")), task.recipe.train.checkpoint)


def _ready(task: Task) -> str:
    """Return the name to ask the tuned model by; it is put to work only if there is something left to ask it."""
    from ftbuild.deploying import deployed_as, deploys, ready
    from ftbuild.replies import Replies

    model, trainer = _model(task), task.recipe.trainer
    replies = Replies(task.services.store)
    if not deploys(trainer) or all(replies.get(request.id) is not None for request in requests(task)):
        return deployed_as(task.services.store, trainer, model)
    return ready(task.services, trainer, model, task.console)


@stage(
    reads=("evaluate", "format", "trainer", "vars"),
    sees=("train", "judge"),
    inputs=("train/model.json", "baseline/answers.jsonl", "curate/held_out.jsonl"),
    outputs=("answers.jsonl", "score.json"),
    packages=("jinja2",),
    besides=tuned_model,
    requests=requests,
)
def evaluate(task: Task) -> None:
    """Ask the tuned model the same questions, and compare."""
    from ftbuild.asking import ask

    after = ask(task, _ready(task))
    before = [a["right"] for a in read_jsonl(task.input("baseline/answers.jsonl"))]
    write_jsonl(task.out / "answers.jsonl", after)
    score = {
        "questions": len(after),
        "before": sum(before) / len(before) if before else None,
        "after": sum(a.right for a in after) / len(after) if after else None,
    }
    write_json(task.out / "score.json", score)
    task.facts |= score
