"""The readable results of a build: `builds/RECIPE/…`, copies of what lies in the store, replaced whole when they differ.

dataset.jsonl     what was uploaded            report.html    what the model learned
pairs.jsonl       the pairs with their origin  rejected.jsonl what was not used, and why
model.json        the tuned model              metrics.csv    loss by step
answers.jsonl     the probes, after            manifest.json  what went into all of it
dropped.jsonl     documents left out, and why  cleaning.html  what the cleaning rules took
sections.jsonl    the clean text, by headings
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ftbuild.digest import digest_file
from ftbuild.errors import FtbuildError
from ftbuild.plan import Last
from ftbuild.store import Action, Store, aside, read_json, write_json

MANIFEST = "manifest.json"

SHOWN = {
    "cleaning.html": ("clean", "cleaning.html"),
    "dropped.jsonl": ("clean", "dropped.jsonl"),
    "sections.jsonl": ("structure", "sections.jsonl"),
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
"""Which output of which stage people are shown, by the name that they see."""


def last(folder: Path) -> Last:
    """Return what is known of the build whose results lie in a folder.  Nothing is known of one that cannot be read."""
    manifest = read_json(folder / MANIFEST)
    stages = manifest.get("stages") if isinstance(manifest, dict) else None
    known = stages if isinstance(stages, dict) else {}
    actions = {n: a for n, a in known.items() if isinstance(a, dict) and isinstance(a.get("outputs"), dict)}
    shown: dict[str, tuple[str, ...]] = {}
    spoiled: dict[str, tuple[str, ...]] = {}
    for name, (stage, output) in SHOWN.items():
        shown[stage] = (*shown.get(stage, ()), output)
        if stage in actions and not _is(folder / name, actions[stage]["outputs"].get(output)):
            spoiled[stage] = (*spoiled.get(stage, ()), output)
    return Last(actions, shown, spoiled)


def publish(folder: Path, store: Store, done: Mapping[str, Action], manifest: Mapping[str, Any]) -> None:
    """Bring the readable results up to date, the manifest last.  FtbuildError if that cannot be.

    Two builds with different recipes of one name take turns, so that what lies there belongs together.
    """
    import shutil

    try:
        with store.locks.hold(f"results {folder.absolute()}", patience=600):
            for name, (stage, output) in SHOWN.items():
                if stage in done and not _is(folder / name, done[stage].outputs[output]):
                    with aside(folder / name) as file, store.sound(done[stage].outputs[output]).open("rb") as content:
                        shutil.copyfileobj(content, file)
            write_json(folder / MANIFEST, manifest)
    except OSError as error:
        raise FtbuildError(
            f"cannot write to {folder}: {error.strerror}", hint="choose another with builds=DIRECTORY"
        ) from error


def _is(path: Path, digest: str | None) -> bool:
    try:
        return digest_file(path) == digest
    except OSError:
        return False
