"""clean: run the recipe's cleaning rules over every document, in order.

In: documents.  Out: the same documents with clean text, and `rules.jsonl`, how many characters each rule took from each.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from ftbuild.errors import SourceError
from ftbuild.records import Document, read_documents, write_jsonl
from ftbuild.registries import RULES
from ftbuild.stage import Task, stage


@stage(
    reads=("clean",),
    inputs=("fetch/documents.jsonl",),
    outputs=("documents.jsonl", "rules.jsonl"),
    packages=("mwparserfromhell",),
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
            before, text = len(text), rule(text)
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
