"""format: lay the curated pairs out as training rows.

In: curated pairs.  Out: `rows.jsonl`, exactly what is uploaded, and `origins.jsonl`, where each row comes from, line by line.
"""

from __future__ import annotations

from dataclasses import asdict

from ftbuild.errors import FtbuildError
from ftbuild.records import read_pairs, write_jsonl
from ftbuild.rows import Formatter
from ftbuild.stage import Task, stage


@stage(
    reads=("format", "vars"),
    inputs=("curate/pairs.jsonl",),
    outputs=("rows.jsonl", "origins.jsonl"),
    packages=("jinja2",),
    quick=True,
)
def format(task: Task) -> None:
    """Lay the pairs out as training rows."""
    formatter = Formatter(task.recipe.format, task.recipe.vars)
    rows, origins = [], []
    for pair in read_pairs(task.input("curate/pairs.jsonl")):
        rows.append(formatter.row(pair.prompt, pair.completion, pair.origin.path, pair.origin.document))
        origins.append({"id": pair.id, **asdict(pair.origin)})
    if not rows:
        raise FtbuildError("there are no pairs to train on", hint="see builds/<recipe>/rejected.jsonl for what became of them")
    task.facts["rows"] = write_jsonl(task.out / "rows.jsonl", rows)
    write_jsonl(task.out / "origins.jsonl", origins)
