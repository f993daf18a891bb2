"""fetch: read every source of the recipe.

In: nothing.  Out: `documents.jsonl`, texts as their sources gave them, and `pairs.jsonl`, rows that need no teacher.  Records
are written as they come: no more than one is held, however many there are.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

from ftbuild import http
from ftbuild.errors import SourceError
from ftbuild.fetching import Fetching, fetching
from ftbuild.knownfiles import known_digests
from ftbuild.paths import find_files
from ftbuild.records import Document, Pair
from ftbuild.registries import SOURCES
from ftbuild.registry import Use
from ftbuild.stage import Task, stage

if TYPE_CHECKING:
    from ftbuild.recipe import Recipe

_TOLD = 8  # documents of a source that are told one by one
_SMALL = 32_000_000


def source_files(recipe: Recipe) -> Mapping[str, str]:
    """Return the digests of the local files that the sources name, and the versions of what reads them."""
    named = {file for use in recipe.source.values() for file in SOURCES.files(use)}
    others = {k: v for use in recipe.source.values() for k, v in SOURCES.depends(use.name, use.params).items()}
    return known_digests({name: path for file in sorted(named) for name, path in find_files(file).items()}) | others


def _is_small(recipe: Recipe) -> bool:
    """Say whether all that is read lies here and is read in no time."""
    named = {file for use in recipe.source.values() for file in SOURCES.files(use)}
    if any(file.startswith(("file:", "local:")) for file in named):
        return False
    return sum(path.stat().st_size for file in named for path in find_files(file).values()) <= _SMALL


@stage(reads=("source",), outputs=("documents.jsonl", "pairs.jsonl"), version=2, besides=source_files, quick=_is_small)
def fetch(task: Task) -> None:
    """Read the documents and ready-made rows of every source."""
    counts, revisions = Counter(documents=0, rows=0), dict[str, str]()
    with (
        (task.out / "documents.jsonl").open("w", encoding="utf-8") as documents,
        (task.out / "pairs.jsonl").open("w", encoding="utf-8") as pairs,
    ):
        for name, source in task.recipe.source.items():
            pinned = not SOURCES.files(source)  # what lies in a file is known by its digest
            for record in _read(task, name, source):
                is_document = isinstance(record, Document)
                counts["documents" if is_document else "rows"] += 1
                file = documents if is_document else pairs
                file.write(json.dumps(asdict(record), ensure_ascii=False) + "\n")
                if isinstance(record, Document) and pinned and "revision" in record.meta:
                    titles = (record.title, record.meta.get("redirected_from") or record.title)
                    revisions |= {f"{name}/{title}": str(record.meta["revision"]) for title in titles}
    if not counts.total():
        raise SourceError("the sources of this recipe gave nothing", hint="a recipe needs at least one under `source:`")
    task.facts |= {"revisions": revisions} if revisions else {}
    task.facts |= counts


def _read(task: Task, name: str, source: Use[object]) -> Iterator[Document | Pair]:
    """Yield what one source gives, and tell of it."""
    store, console, seen = task.services.store, task.console, 0
    locked = None
    if task.locked is not None:
        locked = {k.removeprefix(f"{name}/"): r for k, r in task.locked.items() if k.startswith(f"{name}/")}
    with console.step(f"reading {name}") as bar, http.forbidden(task.services.options.offline):
        now = Fetching(store.root / "pages", locked, bar, console.note, console.warn)
        with fetching(now):
            for record in source():  # type: ignore[attr-defined]
                if isinstance(record, Document):
                    seen += 1
                    if seen <= _TOLD:
                        console.note(_told(record))
                yield record
    unread = sum(number for why, number in now.skipped.items() if ": " in why)  # warned of by name already
    left_out = [f"{number:,} {why}" for why, number in now.skipped.most_common() if ": " not in why]
    left_out += [f"{unread:,} that cannot be read"] if unread else []
    if seen > _TOLD or left_out:
        documents = f"{seen:,} {'document' if seen == 1 else 'documents'}"
        console.note(f"{name}: {documents}" + (f"; left out: {', '.join(left_out)}" if left_out else ""))
    if now.skipped:
        task.facts.setdefault("left_out", {})[name] = dict(sorted(now.skipped.items()))


def _told(document: Document) -> str:
    known = ", ".join(f"{k} {document.meta[k]}" for k in ("revision", "timestamp", "licence") if k in document.meta)
    return f"{document.title}: {len(document.text):,} characters" + (f" ({known})" if known else "")
