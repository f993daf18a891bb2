"""baseline: ask the untuned model the probes, so that the report can say what training changed.

In: held-out pairs, and the probes of the recipe.  Out: `answers.jsonl`.
"""

from __future__ import annotations

from ftbuild.asking import ask
from ftbuild.records import write_jsonl
from ftbuild.stage import Task, stage


@stage(reads=("evaluate", "format", "trainer", "vars"), inputs=("curate/held_out.jsonl",), outputs=("answers.jsonl",))
def baseline(task: Task) -> None:
    """Ask the untuned model the probes."""
    write_jsonl(task.out / "answers.jsonl", ask(task, task.recipe.trainer.base_model))
