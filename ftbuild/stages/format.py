"""format: lay the curated pairs out as training rows, and check them as the trainer's model will see them.

In: curated pairs.  Out: `rows.jsonl`, exactly what is uploaded, and `origins.jsonl`, where each row comes from, line by line.
What the checks find is among the stage's facts; an error ends the build here, before anything is sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ftbuild.errors import FtbuildError
from ftbuild.records import read_pairs, write_jsonl
from ftbuild.rows import Formatter
from ftbuild.stage import Task, stage


@stage(
    reads=("format", "trainer", "vars"),
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
    task.facts["checked"] = _checked(task, rows)
    task.facts["rows"] = write_jsonl(task.out / "rows.jsonl", rows)
    write_jsonl(task.out / "origins.jsonl", origins)


def _checked(task: Task, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Check the rows, say what there is to be said, and return it as facts.  FtbuildError if they would be refused."""
    from ftbuild.checking.running import about, check, numbered

    recipe, state = task.recipe, task.services.store.root / "local"
    marks = {"separator": recipe.format.separator, "stop": recipe.format.stop} if recipe.format.kind == "completion" else {}
    known = about(recipe.trainer.provider, recipe.trainer.base_model, state=state, **marks)
    with task.console.step("checking the rows") as bar:
        found = check(numbered(rows), known, lambda done: bar(done, len(rows)))
    for finding in found.of("warning"):
        task.console.warn(f"rows: {finding.message} ({finding.count:,})")
    if errors := found.of("error"):
        lines = [
            f"rows: {f.message} ({f.count:,}; the first is {f.first[0][1]})" if f.first else f"rows: {f.message}"
            for f in errors
        ]
        raise FtbuildError("\n".join(lines), hint=errors[0].fix)
    tokens = f"{found.tokens:,} tokens" if known.counter.exact else f"about {found.tokens:,} tokens"
    task.console.note(f"checked: {tokens}, the longest row {found.longest:,}; {found.in_words()}")
    return {
        "tokens": found.tokens,
        "longest": found.longest,
        "counted_by": known.counter.name,
        "exact": known.counter.exact,
        "findings": [finding.told() for finding in found.findings],
    }
