"""Where the results of a build come from: `manifest.json` beside them, and again in the store's history.

In: the records of a build's stages, the recipe, when it began.  Out: one JSON object: recipe and overrides, the commit of the
working directory, digests of everything that was read, models, seeds, packages, tokens, cost, times, and every stage's record.
"""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftbuild import __version__
from ftbuild.digest import digest
from ftbuild.prices import spent
from ftbuild.store import Action, Store, read_json, write_json

if TYPE_CHECKING:
    from ftbuild.recipe import Recipe

Manifest = dict[str, Any]


def manifest(
    recipe: Recipe,
    done: Mapping[str, Action],
    *,
    ran: Sequence[str],
    overrides: Sequence[str],
    began: datetime,
    before: Mapping[str, Mapping[str, Any]],
    paid: Mapping[str, Mapping[str, Any]],
) -> Manifest:
    """Describe a build.

    `before` holds the records of stages that this build left out, from the one before it, `paid` what this one has spent,
    by stage.
    """
    ended = datetime.now(UTC)
    stages = {name: {**asdict(a), "ran": name in ran} for name, a in done.items()}
    told: Manifest = {
        "recipe": recipe.name,
        "overrides": [o.lstrip("+") for o in overrides],
        "began": began.isoformat(timespec="seconds"),
        "ended": ended.isoformat(timespec="seconds"),
        "seconds": round((ended - began).total_seconds(), 1),
        "git": git(Path.cwd()),
        "ftbuild": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": _depends(done, "package "),
        "prompts": _depends(done, "prompt "),
        "inputs": {n: d for a in done.values() if a.stage == "fetch" for n, d in a.depends.items()},
        "models": _models(recipe, done),
        "seeds": {"train": recipe.train.seed, **{f"prompts.{n}": t.seed for n, t in recipe.prompts.items()}},
        "spent": asdict(spent(recipe, {n: a.facts for n, a in done.items()})),
        "paid": asdict(spent(recipe, {n: {"spent": tally} for n, tally in paid.items()})),
        "quoted": {n: a.facts["quoted"] for n, a in done.items() if n in ran and "quoted" in a.facts},
        "score": done["evaluate"].facts if "evaluate" in done else None,
        "stages": {**{n: {**a, "left_out": True} for n, a in before.items() if n not in done}, **stages},
    }
    return {"id": digest([told["recipe"], told["ended"], sorted((n, a.key) for n, a in done.items())])[:12], **told}


def git(folder: Path) -> dict[str, Any] | None:
    """Return the commit of the repository around a folder, and whether files differ from it.  None if there is none."""
    commit = _git(folder, "rev-parse", "HEAD")
    return {"commit": commit, "dirty": bool(_git(folder, "status", "--porcelain"))} if commit else None


def _git(folder: Path, *words: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=20, check=False)  # noqa: S607
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _depends(done: Mapping[str, Action], kind: str) -> dict[str, str]:
    named = {n: d for a in done.values() for n, d in a.depends.items() if n.startswith(kind)}
    return {n.removeprefix(kind): named[n] for n in sorted(named)}


def _models(recipe: Recipe, done: Mapping[str, Action]) -> dict[str, str]:
    asked = done["generate"].facts.get("requests") if "generate" in done else 0
    tuned = done["train"].facts.get("model") if "train" in done else None
    models = {"teacher": recipe.teacher.model if asked else None, "base": recipe.trainer.base_model, "tuned": tuned}
    return {k: v for k, v in models.items() if v}


# ---- the history of builds ----


def remember(store: Store, told: Manifest, *, folder: Path, lock: Path | None) -> None:
    """Add a build to the store's history, which says what may be thrown away and what may not."""
    name = told["recipe"]
    where = {"project": str(Path.cwd()), "folder": str(folder), "lock": str(lock.absolute()) if lock else None}
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H%M%S.%f")  # to the microsecond: the names tell which of two builds is newer
    write_json(store.root / "builds" / name / f"{now}-{told['id']}.json", {**told, **where})


def history(store: Store, name: str = "**") -> Iterator[Manifest]:
    """Yield the manifests of finished builds in the store's history, the newest first; a recipe's name may be a path."""
    files = sorted((store.root / "builds").glob(f"{name}/*.json"), key=lambda f: f.name, reverse=True)
    for file in files:
        if isinstance(told := read_json(file), dict) and isinstance(told.get("stages"), dict):
            yield told


__all__ = ["Manifest", "git", "history", "manifest", "remember"]
