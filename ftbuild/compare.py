"""Builds found by name, and two of them compared.

In: a word such as `agrippina`, `agrippina~1`, `builds/sweep-epochs-mill/2` or the beginning of an id.  Out: the build's
manifest, with `origin`, from where its outputs can be read; or the differences between two of them as plain data.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from ftbuild.errors import ConfigError
from ftbuild.lineage import Manifest, history
from ftbuild.reasons import changes
from ftbuild.records import read_jsonl
from ftbuild.schema import nearest
from ftbuild.store import Store, read_json
from ftbuild.views import MANIFEST, SHOWN

_FACTS = ("score", "rows", "pairs", "tokens", "usd", "model", "built")


def find(word: str, settings: Mapping[str, str]) -> Manifest:
    """Return the manifest of the build that a word means.  `settings` may hold `builds` and `store`.

    ConfigError lists what there is, if it means none.
    """
    builds, store = Path(settings["builds"]), Store(Path(settings["store"]))
    for folder in (Path(word), builds / word):
        if isinstance(told := read_json(folder / MANIFEST), dict):
            return {**told, "origin": (folder, store)}
    name, _, back = word.partition("~")
    if back.isdigit():
        told = next(islice(_alone(store, name), int(back), None), None)
        if told is None:
            raise ConfigError(f"there are not {int(back) + 1} builds of {name!r} in {store.root}")
        return {**told, "origin": (None, store)}
    if re.fullmatch(r"[0-9a-f]{4,}", word):
        for told in history(store):
            if str(told.get("id", "")).startswith(word):
                return {**told, "origin": (None, store)}
    known = sorted({f.parent.relative_to(builds).as_posix() for f in builds.glob(f"**/{MANIFEST}")})
    there = nearest(word, known) if known else "nothing was built here yet"
    raise ConfigError(f"there is no build {word!r} in {builds}; {there}")


def _alone(store: Store, name: str) -> Iterator[Manifest]:
    """Yield the builds of a recipe by itself, without the jobs of sweeps, the newest first."""
    return (told for told in history(store, name) if told.get("lock") is not None or "sweep-" not in str(told.get("folder")))


def differences(a: Manifest, b: Manifest) -> dict[str, Any]:
    """Return in what two builds differ: `facts`, `config` (key, old, new), `pairs` added and removed, `answers`."""
    pairs = [{(p["prompt"], p["completion"]): p for p in _records(m, "pairs.jsonl")} for m in (a, b)]
    return {
        "facts": {name: [_fact(m, name) for m in (a, b)] for name in _FACTS},
        "config": [list(change) for change in changes(_config(a), _config(b))],
        "pairs": {
            "added": [_short(p) for key, p in pairs[1].items() if key not in pairs[0]],
            "removed": [_short(p) for key, p in pairs[0].items() if key not in pairs[1]],
        },
        "answers": _answers(a, b),
    }


def _config(manifest: Manifest) -> dict[str, Any]:
    stages = sorted(manifest["stages"].values(), key=lambda s: not s.get("left_out"))  # what was not of this build gives way
    return {k: v for stage in stages for k, v in (stage.get("config") or {}).items()}


def _fact(manifest: Manifest, name: str) -> str:
    stages, spent = manifest["stages"], manifest["spent"]
    score = stages.get("evaluate", {}).get("facts", {}).get("after")
    match name:
        case "score":
            return "–" if score is None else f"{score:.0%}"
        case "rows":
            return str(stages.get("format", {}).get("facts", {}).get("rows", "–"))
        case "pairs":
            return str(stages.get("curate", {}).get("facts", {}).get("pairs", "–"))
        case "tokens":
            return f"{spent['prompt_tokens'] + spent['completion_tokens']:,} asked, {spent['trained_tokens']:,} trained on"
        case "usd":
            return "?" if spent["usd"] is None else f"{spent['usd']:.4f}"
        case "model":
            return str(manifest["models"].get("tuned", "–"))
    return str(manifest["ended"])


def _records(manifest: Manifest, name: str) -> list[dict[str, Any]]:
    """Return the records of one of a build's outputs, from its folder or from the store."""
    folder, store = manifest["origin"]
    stage, output = SHOWN[name]
    digest = manifest["stages"].get(stage, {}).get("outputs", {}).get(output, "")
    for file in (folder / name if folder else None, store.object(digest) if digest else None):
        if file and file.is_file():
            return list(read_jsonl(file))
    return []


def _short(pair: Mapping[str, Any]) -> dict[str, str]:
    return {"prompt": pair["prompt"], "completion": pair["completion"], "template": pair["origin"]["template"]}


def _answers(a: Manifest, b: Manifest) -> list[dict[str, Any]]:
    """Return the probes that only one of two builds answers rightly."""
    before, after = ({r["question"]: r for r in _records(m, "answers.jsonl")} for m in (a, b))
    return [
        {"question": q, "a": _answer(before[q]), "b": _answer(after[q])}
        for q in before
        if q in after and before[q]["right"] != after[q]["right"]
    ]


def _answer(record: Mapping[str, Any]) -> dict[str, Any]:
    return {"answer": record["answer"], "right": record["right"]}
