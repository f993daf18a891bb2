"""clean: run the recipe's cleaning rules over every document, in order.

In: documents.  Out: the same documents with clean text, and `rules.jsonl`, how many characters each rule took from each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any

from ftbuild.cleaned import Cleaned
from ftbuild.errors import SourceError
from ftbuild.records import Document, read_documents, write_jsonl
from ftbuild.registries import RULES
from ftbuild.registry import Use
from ftbuild.stage import Task, stage

if TYPE_CHECKING:
    from ftbuild.recipe import Recipe


def rules_depend(recipe: Recipe) -> Mapping[str, str]:
    """Return what the rules depend on besides the texts: tables of names, versions of packages."""
    found: dict[str, str] = {}
    for use in recipe.clean.rules.values():
        found |= RULES.depends(use.name, None)
    return found


def _takes_meta(rule: Use[Any]) -> bool:
    assert rule.function is not None
    placed = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in placed for p in signature(rule.function).parameters.values()) > 1


@stage(
    reads=("clean",),
    inputs=("fetch/documents.jsonl",),
    outputs=("documents.jsonl", "rules.jsonl"),
    besides=rules_depend,
    quick=True,
)
def clean(task: Task) -> None:
    """Run the cleaning rules over every document."""
    effects: list[dict[str, Any]] = []

    def cleaned(document: Document) -> Document:
        text = document.text
        for name, rule in task.recipe.clean.rules.items():
            if not RULES.suits(rule.name, document.format):
                continue
            before = len(text)
            made = rule(text, {**document.meta, "title": document.title}) if _takes_meta(rule) else rule(text)
            text = made.text if isinstance(made, Cleaned) else made
            effects.append({"document": document.id, "rule": name, "removed": before - len(text), "left": len(text)})
        if not text.strip():
            raise SourceError(f"{document.title}: the cleaning rules left nothing of it", hint="which rule took it all?")
        return Document(document.id, document.title, text, document.format, document.meta)

    write_jsonl(task.out / "documents.jsonl", map(cleaned, read_documents(task.input("fetch/documents.jsonl"))))
    write_jsonl(task.out / "rules.jsonl", effects)
    removed: Counter[str] = Counter()
    for effect in effects:
        removed[effect["rule"]] += effect["removed"]
    task.facts["removed"] = dict(removed)
    task.facts["characters"] = sum({e["document"]: e["left"] for e in effects}.values())
