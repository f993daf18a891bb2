"""clean: run the recipe's cleaning rules over every document, in order.

In: documents.  Out: `documents.jsonl`, the same documents with clean text; `rules.jsonl`, how many characters each rule took
from each; `dropped.jsonl`, the documents of which nothing is left, with the reason; `effects.json`, what the rules did to all
of them together, with examples, and `cleaning.html`, the same as a page.

A document that cannot be cleaned is left out, with a warning, or ends the build, as `clean.on_error` says.  The work is spread
over all cores; what comes out is the same for any number of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftbuild.errors import SourceError
from ftbuild.registries import RULES
from ftbuild.stage import Task, stage

if TYPE_CHECKING:
    from ftbuild.cleaning import Item
    from ftbuild.recipe import Recipe

_EXAMPLES = 6  # of what a rule took
_CHANGED = 20  # documents that are named because most was taken from them
_SAMPLES = 3  # documents that are shown before and after
_LONGEST = 4000  # characters of such a document
_WARNINGS = 5
_ALL = 20  # documents that fail one after the other from the first on; then it is the rule that is wrong
_OFTEN = 50  # documents after which the progress is shown


def rules_depend(recipe: Recipe) -> Mapping[str, str]:
    """Return what the rules depend on besides the texts: tables of names, versions of packages."""
    found: dict[str, str] = {}
    for use in recipe.clean.rules.values():
        found |= RULES.depends(use.name, None)
    return found


@dataclass
class Effects:
    """What the rules did to all documents together."""

    removed: dict[str, int] = field(default_factory=dict)
    documents: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    changed: list[dict[str, Any]] = field(default_factory=list)
    samples: list[dict[str, str]] = field(default_factory=list)
    before: int = 0
    after: int = 0
    count: int = 0

    def add(self, item: Item) -> None:
        """Count one document."""
        self.count += 1
        self.before += item.before
        self.after += item.after
        for rule, size in item.removed.items():
            self.removed[rule] = self.removed.get(rule, 0) + size
            self.documents[rule] = self.documents.get(rule, 0) + 1
            shown = self.examples.setdefault(rule, [])
            shown += [{"document": item.title, "text": e} for e in item.examples.get(rule, ())][: _EXAMPLES - len(shown)]
        self.changed.append({"document": item.title, "before": item.before, "after": item.after})
        if len(self.changed) > 4 * _CHANGED:
            self._keep_most()

    def _keep_most(self) -> None:
        self.changed.sort(key=lambda c: (c["after"] - c["before"], c["document"]))
        del self.changed[_CHANGED:]

    def told(self) -> dict[str, Any]:
        """Return all of it as plain data."""
        self._keep_most()
        rules = {
            rule: {"removed": size, "documents": self.documents[rule], "examples": self.examples[rule]}
            for rule, size in self.removed.items()
        }
        totals = {"documents": self.count, "before": self.before, "after": self.after}
        return {**totals, "rules": rules, "changed": self.changed, "samples": self.samples}


@stage(
    reads=("clean",),
    inputs=("fetch/documents.jsonl",),
    outputs=("documents.jsonl", "rules.jsonl", "dropped.jsonl", "effects.json", "cleaning.html"),
    packages=("regex", "jinja2"),
    besides=rules_depend,
    quick=True,
    version=2,
)
def clean(task: Task) -> None:
    """Run the cleaning rules over every document."""
    from ftbuild.cleaning import cleaned, refuse
    from ftbuild.reporting.cleaning import page
    from ftbuild.ruletests import verify

    wanted, effects, dropped = task.recipe.clean, Effects(), list[dict[str, str]]()
    verify(wanted)
    source = task.input("fetch/documents.jsonl")
    size, read, failed = source.stat().st_size, 0, 0

    def lines() -> Iterator[str]:
        nonlocal read
        with source.open(encoding="utf-8") as file:
            for line in file:
                read += len(line.encode())
                yield line

    with (
        task.console.step("cleaning") as bar,
        (task.out / "documents.jsonl").open("w", encoding="utf-8") as documents,
        (task.out / "rules.jsonl").open("w", encoding="utf-8") as accounts,
    ):
        for item in cleaned(lines(), wanted.rules, seconds=wanted.seconds, jobs=wanted.jobs, originals=_SAMPLES):
            effects.add(item)
            if effects.count % _OFTEN == 0:
                bar(min(99, 100 * read // size), 100, documents=f"{effects.count:,}")
            account = {"document": item.title, "before": item.before, "after": item.after, "removed": item.removed}
            accounts.write(json.dumps(account, ensure_ascii=False) + "\n")
            if item.dropped:
                failed += item.failed
                if item.failed and (wanted.on_error == "stop" or failed == effects.count == _ALL):
                    refuse(item)
                dropped.append({"document": item.title, "rule": item.by, "reason": item.dropped})
                if len(dropped) <= _WARNINGS:
                    task.console.warn(f"{item.title}: left out ({item.by}): {item.dropped}")
                continue
            documents.write(item.line + "\n")
            if item.original:
                text = json.loads(item.line)["text"]
                sample = {"document": item.title, "before": item.original[:_LONGEST], "after": text[:_LONGEST]}
                effects.samples.append(sample)
    _write(task.out / "dropped.jsonl", dropped)
    told = effects.told()
    (task.out / "effects.json").write_text(json.dumps(told, ensure_ascii=False) + "\n", encoding="utf-8")
    (task.out / "cleaning.html").write_text(page(told, dropped), encoding="utf-8")
    if effects.count and len(dropped) == effects.count:
        first = dropped[0]
        raise SourceError(
            f"{first['document']}: the cleaning rules left nothing of it ({first['rule']}: {first['reason']})"
            + (f", nor of {effects.count - 1:,} others" if effects.count > 1 else ""),
            hint="which rule took it all? ftbuild clean shows what each of them takes",
        )
    if len(dropped) > _WARNINGS:
        task.console.warn(f"{len(dropped) - _WARNINGS:,} more documents were left out; all are in dropped.jsonl")
    task.facts["removed"] = effects.removed
    task.facts["characters"] = effects.after
    if dropped:
        task.facts["dropped"] = len(dropped)


def _write(path: Path, records: list[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records), encoding="utf-8")
