"""What a store holds that nobody needs any more, and throwing it away.

In: a store, and how many builds of each recipe to keep.  Out: `Rubbish`, every file with what it is; nothing is removed before
`sweep_out` is called, which has the store to itself.

Needed is what lock files of known projects name, and what the last builds of every recipe in every folder are made of.  The
replies of teachers were paid for and are kept, unless older ones are asked for.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ftbuild import lockfile
from ftbuild.errors import FtbuildError
from ftbuild.lineage import history
from ftbuild.making import IN_USE
from ftbuild.providers import forget_model, tuned_models
from ftbuild.records import read_jsonl
from ftbuild.store import Store, read_json

_DAY = 86400.0
_UNUSED = 90  # days after which a page of the web, or what was read of a file, is fetched or read again if it is wanted


@dataclass(frozen=True)
class Piece:
    """One thing to throw away: its kind, where it lies, its bytes, and what it is in words."""

    kind: str
    path: Path
    size: int
    what: str
    model: str = ""


@dataclass
class Needed:
    """What has to stay: keys of stages, digests of objects, ids of models, beginnings of request hashes, revisions of pages."""

    keys: set[str] = field(default_factory=set)
    objects: set[str] = field(default_factory=set)
    models: set[str] = field(default_factory=set)
    requests: set[str] = field(default_factory=set)
    revisions: set[str] = field(default_factory=set)


def needed(store: Store, *, keep: int, locks: Iterable[Path]) -> Needed:
    """Return what lock files and the last `keep` builds of each recipe in each folder need."""
    found, counts = Needed(), dict[tuple[Any, ...], int]()
    named = {Path(str(told["lock"])) for told in history(store) if told.get("lock")} | set(locks)
    for file in named:
        blocks = lockfile.read(file)  # one that cannot be read ends it here: nobody knows what it needs
        found.keys |= {b["key"] for stages in blocks.values() for b in stages.values() if "key" in b}
        found.models |= {b["model"] for stages in blocks.values() for b in stages.values() if "model" in b}
    for told in history(store):
        where = (told["recipe"], told.get("project"), told.get("folder"))
        counts[where] = counts.get(where, 0) + 1
        if counts[where] <= keep and not _given_up(told):
            found.keys |= {s["key"] for s in told["stages"].values()}
    for record in _actions(store):
        if record["key"] in found.keys:
            found.objects |= set(record["outputs"].values())
            found.models |= {str(record["facts"]["model"])} if "model" in record.get("facts", {}) else set()
            found.revisions |= set(map(str, (record.get("facts", {}).get("revisions") or {}).values()))
            if record["stage"] == "generate":
                found.requests |= _requests(store, record)
    return found


def _given_up(told: Mapping[str, Any]) -> bool:
    """Say whether a build was a job of a sweep whose results somebody has removed, in a project on this machine."""
    project, folder = Path(str(told.get("project") or "")), str(told.get("folder") or "")
    trial = told.get("lock") is None and "sweep-" in folder
    return trial and project.is_absolute() and project.is_dir() and not (project / folder).is_dir()


def _actions(store: Store) -> Iterator[dict[str, Any]]:
    for file in sorted((store.root / "actions").glob("*/*.json")):
        record = read_json(file)
        if isinstance(record, dict) and {"key", "stage", "outputs"} <= record.keys():
            yield {**record, "file": file}


def _requests(store: Store, record: Mapping[str, Any]) -> set[str]:
    units = store.object(record["outputs"].get("units.jsonl", ""))
    if not units.is_file():
        return set()
    return {str(request) for unit in read_jsonl(units) for request in unit.get("requests", [unit["request"]])}


def rubbish(store: Store, keeping: Needed, *, replies_older: float | None) -> list[Piece]:
    """Return everything in a store that nobody needs, the largest first.

    `replies_older` is in days; None keeps all replies.
    """
    names = {s["key"]: told for told in history(store) for s in told["stages"].values()}
    pieces = [
        Piece("record", r["file"], _size(r["file"]), _of_build(r, names.get(r["key"])))
        for r in _actions(store)
        if r["key"] not in keeping.keys
    ]
    made = {d: (r, name) for r in _actions(store) for name, d in r["outputs"].items()}
    for file in (store.root / "objects").glob("*/*"):
        digest = file.parent.name + file.name
        if digest not in keeping.objects:
            record, name = made.get(digest, ({}, ""))
            what = f"{name} of {_of_build(record, names.get(record['key']))}" if record else "of no stage that is known"
            pieces.append(Piece("object", file, _size(file), what))
    revisions = [f for f in (store.root / "pages").glob("*/[0-9][0-9]/*.json") if f.stem.isdigit()]
    old = [file for file in revisions if file.stem not in keeping.revisions]
    pieces += [Piece("page", file, _size(file), f"revision {file.stem} of a wiki's page") for file in old]
    unused = [f for name in ("web", "readings") for f in (store.root / "pages" / name).glob("*") if _age(f) > _UNUSED]
    pieces += [Piece("page", file, _size(file), f"a document that no build has read for {_UNUSED} days") for file in unused]
    for model, path in tuned_models(store.root / "local"):
        if model not in keeping.models:
            pieces.append(Piece("model", path, _size(path), model, model))
    aside = [file for pattern in ("tmp/*", "*/.*", "*/*/.*") for file in store.root.glob(pattern)]
    left = [file for file in aside if time.time() - file.lstat().st_mtime > _DAY]
    pieces += [Piece("left over", file, _size(file), "work of a build that was killed") for file in left]
    if replies_older is not None:
        pieces += _old_replies(store, keeping, replies_older)
    return sorted(pieces, key=lambda p: -p.size)


def _age(file: Path) -> float:
    """Return for how many days a file has not been touched."""
    return (time.time() - file.lstat().st_mtime) / _DAY


def _old_replies(store: Store, keeping: Needed, days: float) -> Iterator[Piece]:
    for file in (store.root / "replies").glob("*/*.json"):
        request = file.parent.name + file.stem
        age = (time.time() - file.stat().st_mtime) / _DAY
        if request[:16] not in keeping.requests and age > days:
            yield Piece("reply", file, _size(file), f"to a request of {age:.0f} days ago")


def _of_build(record: Mapping[str, Any], told: Mapping[str, Any] | None) -> str:
    of = f" of {told['recipe']}, {told['ended'][:16].replace('T', ' ')}" if told else " of a build that was not finished"
    return f"{record['stage']} {record['key'][:8]}{of}"


def _size(path: Path) -> int:
    if path.is_dir():
        return sum(f.lstat().st_size for f in path.rglob("*") if f.is_file())
    return path.lstat().st_size


def sweep_out(store: Store, pieces: Iterable[Piece]) -> int:
    """Throw pieces away and return how many bytes that freed.  LockTimeout while a build is at work in the store.

    Records go before what they name, so that none ever names what is gone.
    """
    freed = 0
    with store.locks.hold(IN_USE, patience=2.0):
        for piece in sorted(pieces, key=lambda p: p.kind != "record"):
            try:
                if piece.model:
                    forget_model(store.root / "local", piece.model)
                elif piece.path.is_dir():
                    shutil.rmtree(piece.path)
                else:
                    piece.path.unlink()
            except FileNotFoundError:
                continue
            except OSError as error:
                raise FtbuildError(f"cannot remove {piece.path}: {error.strerror}") from error
            freed += piece.size
    return freed
