"""report: one self-contained page that says what the model learned, from what, and what it took.

In: what every stage put out.  Out: `report.html`, which needs no network and no other file.
"""

from __future__ import annotations

from ftbuild.stage import Task, stage


@stage(
    reads=(
        "clean", "curate", "evaluate", "format", "kinds", "language", "name", "prompts", "source", "structure", "teacher",
        "train", "trainer", "vars",
    ),
    inputs=(
        "clean/documents.jsonl", "structure/sections.jsonl", "generate/units.jsonl",
        "curate/pairs.jsonl", "curate/held_out.jsonl", "curate/rejected.jsonl", "format/rows.jsonl",
        "baseline/answers.jsonl", "train/model.json", "train/metrics.csv", "train/events.jsonl",
        "evaluate/answers.jsonl", "evaluate/score.json",
    ),
    outputs=("report.html",),
    version=2,
    packages=("jinja2",),
)  # fmt: skip
def report(task: Task) -> None:
    """Write the report."""
    from ftbuild.reporting.page import page

    (task.out / "report.html").write_text(page(task.recipe, task.inputs, task.facts_before), encoding="utf-8")
