"""The readable results of a build: `builds/RECIPE/…`, copies of what lies in the store, replaced whole when they differ.

dataset.jsonl     what was uploaded            report.html    what the model learned
pairs.jsonl       the pairs with their origin  rejected.jsonl what was not used, and why
model.json        the tuned model              metrics.csv    loss by step
answers.jsonl     the probes, after            manifest.json  what went into all of it
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from ftbuild.digest import digest_file
from ftbuild.errors import FtbuildError
from ftbuild.store import Action, Store, write_json

_SHOWN = {
    "dataset.jsonl": ("format", "rows.jsonl"),
    "pairs.jsonl": ("curate", "pairs.jsonl"),
    "held_out.jsonl": ("curate", "held_out.jsonl"),
    "rejected.jsonl": ("curate", "rejected.jsonl"),
    "model.json": ("train", "model.json"),
    "metrics.csv": ("train", "metrics.csv"),
    "baseline.jsonl": ("baseline", "answers.jsonl"),
    "answers.jsonl": ("evaluate", "answers.jsonl"),
    "score.json": ("evaluate", "score.json"),
    "report.html": ("report", "report.html"),
}


def publish(folder: Path, store: Store, done: Mapping[str, Action]) -> bool:
    """Bring the readable results up to date; say whether anything had to be written.  FtbuildError if that cannot be."""
    try:
        return _publish(folder, store, done)
    except OSError as error:
        raise FtbuildError(
            f"cannot write to {folder}: {error.strerror}", hint="choose another with builds=DIRECTORY"
        ) from error


def _publish(folder: Path, store: Store, done: Mapping[str, Action]) -> bool:
    changed = False
    for name, (stage, output) in _SHOWN.items():
        wanted = done[stage].outputs[output]
        target = folder / name
        if not target.is_file() or digest_file(target) != wanted:
            _copy(store.object(wanted), target)
            changed = True
    manifest = folder / "manifest.json"
    if changed or not manifest.is_file():
        write_json(
            manifest,
            {
                n: {"key": a.key, "inputs": a.inputs, "outputs": a.outputs, "config": a.config, "facts": a.facts}
                for n, a in done.items()
            },
        )
    return changed


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as aside, source.open("rb") as content:
            shutil.copyfileobj(content, aside)
        Path(name).chmod(0o644)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
