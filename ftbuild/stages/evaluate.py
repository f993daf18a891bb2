"""evaluate: ask the tuned model the same questions, and compare.

In: the tuned model's id, the untuned model's answers, held-out pairs.  Out: `answers.jsonl` and `score.json`, the share of
questions answered right before and after.
"""

from __future__ import annotations

from ftbuild.asking import ask
from ftbuild.records import read_jsonl, write_jsonl
from ftbuild.stage import Task, stage
from ftbuild.store import read_json, write_json


@stage(
    reads=("evaluate", "format", "trainer", "vars"),
    inputs=("train/model.json", "baseline/answers.jsonl", "curate/held_out.jsonl"),
    outputs=("answers.jsonl", "score.json"),
)
def evaluate(task: Task) -> None:
    """Ask the tuned model the same questions, and compare."""
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
