"""fetch: read every source of the recipe.

In: nothing.  Out: `documents.jsonl`, texts as their sources gave them, and `pairs.jsonl`, rows that need no teacher.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ftbuild import http
from ftbuild.digest import digest_file
from ftbuild.errors import SourceError
from ftbuild.paths import find_file
from ftbuild.records import Document, Pair, write_jsonl
from ftbuild.registries import SOURCES
from ftbuild.stage import Task, stage

if TYPE_CHECKING:
    from ftbuild.recipe import Recipe


def source_files(recipe: Recipe) -> Mapping[str, str]:
    """Return the digests of the local files that the sources name."""
    named = {file for use in recipe.source.values() for file in SOURCES.files(use)}
    return {file: digest_file(find_file(file.split(":")[0])) for file in sorted(named)}


@stage(reads=("source",), outputs=("documents.jsonl", "pairs.jsonl"), besides=source_files, quick=True)
def fetch(task: Task) -> None:
    """Read the documents and ready-made rows of every source."""
    documents: list[Document] = []
    pairs: list[Pair] = []
    for name, source in task.recipe.source.items():
        with task.console.step(f"reading {name}"), http.forbidden(task.services.options.offline):
            for record in source():
                (documents if isinstance(record, Document) else pairs).append(record)
    if not documents and not pairs:
        raise SourceError("the sources of this recipe gave nothing", hint="a recipe needs at least one under `source:`")
    for document in documents:
        known = ", ".join(f"{k} {document.meta[k]}" for k in ("revision", "timestamp", "licence") if k in document.meta)
        task.console.note(f"{document.title}: {len(document.text):,} characters" + (f" ({known})" if known else ""))
    revisions = {d.title: str(d.meta["revision"]) for d in documents if "revision" in d.meta}
    task.facts |= {"revisions": revisions} if revisions else {}
    task.facts["documents"] = write_jsonl(task.out / "documents.jsonl", documents)
    task.facts["rows"] = write_jsonl(task.out / "pairs.jsonl", pairs)
