"""baseline: ask the untuned model the probes, so that the report can say what training changed.

In: held-out pairs, and the probes of the recipe.  Out: `answers.jsonl`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ftbuild.providers import answering
from ftbuild.records import write_jsonl
from ftbuild.stage import Task, stage

if TYPE_CHECKING:
    from ftbuild.recipe import Recipe
    from ftbuild.teacher import Request


def base_model(recipe: Recipe) -> Mapping[str, str]:
    """Return who answers for the untuned model, and who judges if anybody does."""
    from ftbuild.judging import depends

    return {**answering(recipe.trainer.provider, recipe.trainer.base_model), **depends(recipe)}


def requests(task: Task) -> list[Request]:
    """Return all requests of the stage, sent before or not."""
    from ftbuild.asking import asked

    return asked(task, _model(task))


def _model(task: Task) -> str:
    """Return the name under which the untuned model is asked, which may be that of a deployment."""
    return task.recipe.trainer.provider.asked(task.recipe.trainer.base_model)


@stage(
    reads=("evaluate", "format", "trainer", "vars"),
    sees=("judge",),
    inputs=("curate/held_out.jsonl",),
    outputs=("answers.jsonl",),
    packages=("jinja2",),
    besides=base_model,
    requests=requests,
)
def baseline(task: Task) -> None:
    """Ask the untuned model the probes."""
    from ftbuild.asking import ask

    write_jsonl(task.out / "answers.jsonl", ask(task, _model(task)))
