"""`ftbuild.lock`: what the recipes of a project were built from and into, for version control.

One TOML file beside `conf/`, sorted, a block for each stage of each recipe: its key, revisions, digests of prompts, texts and
outputs, versions of packages, the tuned model's id.  No times, absolute paths or secrets, so that it is the same for everybody
and a change of it shows what changed.

    [lighthouse.generate]
    key = "9f…"
    "out pairs.jsonl" = "3c…"
    "prompt detailed.j2" = "77…"
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ftbuild.errors import ConfigError, FtbuildError
from ftbuild.paths import shown
from ftbuild.reasons import Why
from ftbuild.store import Action, Store, write_text

if TYPE_CHECKING:
    from ftbuild.plan import Step

Blocks = dict[str, dict[str, str]]

_HEAD = "# What the recipes of this project were built from and into.  Written by ftbuild; keep it in version control.\n"
_LEFT_OUT = frozenset({"report"})  # it tells how long everything took


def read(file: Path) -> dict[str, Blocks]:
    """Return a lock file's blocks by recipe and stage.  ConfigError if it cannot be read; there need not be one."""
    import tomllib

    try:
        recipes = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (UnicodeDecodeError, OSError, ValueError) as error:
        raise ConfigError(
            f"{shown(file)}: cannot be read: {str(error).partition(chr(10))[0]}",
            hint="was a merge left unfinished? without the file, a build writes it anew",
        ) from error
    if not all(isinstance(s, dict) and all(isinstance(told, dict) for told in s.values()) for s in recipes.values()):
        raise ConfigError(
            f"{shown(file)}: cannot be read: it holds something else than a block for each stage of each recipe",
            hint="without the file, a build writes it anew",
        )
    return recipes


def blocks(done: Mapping[str, Action]) -> Blocks:
    """Return what a lock file says of finished stages."""
    return {name: _block(action) for name, action in done.items() if name not in _LEFT_OUT}


def _block(action: Action) -> dict[str, str]:
    told = {"key": action.key, **action.depends, **{f"out {n}": d for n, d in action.outputs.items()}}
    told |= {f"revision {n}": str(r) for n, r in action.facts.get("revisions", {}).items()}
    return told | ({"model": str(action.facts["model"])} if "model" in action.facts else {})


def write(file: Path, store: Store, recipe: str, done: Mapping[str, Action]) -> bool:
    """Bring the blocks of one recipe up to date, and say whether anything changed.  Blocks of other recipes stay."""
    if _holds(file, recipe, done):
        return False
    with store.locks.hold(f"lock file {file.absolute()}", patience=600):
        wanted = _with(read(file), recipe, done)
        if wanted is None:
            return False
        try:
            write_text(file, text(wanted))
        except OSError as error:
            raise FtbuildError(f"cannot write {shown(file)}: {error.strerror}", hint="lock=null builds without one") from error
        return True


def _holds(file: Path, recipe: str, done: Mapping[str, Action]) -> bool:
    """Say, without parsing it, whether a file has a recipe's blocks to the letter."""
    try:
        known = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    return set(_sections(text({recipe: blocks(done)}))[1:]) <= set(_sections(known))


def _sections(text: str) -> list[str]:
    return text.rstrip("\n").split("\n\n")


def _with(known: Mapping[str, Blocks], recipe: str, done: Mapping[str, Action]) -> dict[str, Blocks] | None:
    """Return the blocks of all recipes with those of one brought up to date, or None if they are."""
    wanted = {**known, recipe: {**known.get(recipe, {}), **blocks(done)}}
    return None if wanted == known else wanted


def text(recipes: Mapping[str, Mapping[str, Mapping[str, str]]]) -> str:
    """Return the text of a lock file."""
    parts = [_HEAD]
    for recipe, stages in sorted(recipes.items()):
        for stage, told in sorted(stages.items()):
            lines = "".join(f"{_name(k)} = {_quoted(v)}\n" for k, v in sorted(told.items()))
            parts.append(f"\n[{_name(recipe)}.{_name(stage)}]\n{lines}")
    return "".join(parts)


def _name(name: str) -> str:
    return name if name.isascii() and name.replace("_", "").replace("-", "").isalnum() else _quoted(name)


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _not_again(stage: str) -> ConfigError:
    return ConfigError(
        f"locked=true: {stage} would have to run, and would not give the locked result again",
        hint="share the store that it was built in (store=DIRECTORY), or build without locked=true",
    )


def pinned(file: Path | None, recipe: str, *, locked: bool) -> Pinned | None:
    """Return what holds a build to its lock file, or None if nothing is to.

    ConfigError for a file that cannot be read, locked or not, so that it is told before anything is paid for.
    """
    if locked and file is None:
        raise ConfigError(
            "locked=true: this build has no lock file to be held to",
            hint="lock=null builds without one, and so do the jobs of a sweep",
        )
    if file and not locked:
        read(file)
    return Pinned(file, recipe) if file and locked else None


class Pinned:
    """A lock file that may not change: says no to whatever would change it."""

    def __init__(self, file: Path, recipe: str) -> None:
        self._file, self._recipe = file, recipe
        self._blocks = read(file).get(recipe, {})
        if not self._blocks:
            raise ConfigError(
                f"locked=true: {shown(file)} says nothing about the recipe {recipe!r}",
                hint="build it once without locked=true, and commit the file",
            )

    def check_all(self, steps: Sequence[Step], store: Store) -> None:
        """Refuse a plan before anything runs.  ConfigError says why.

        What a later step will be given may not be known yet; but what cannot be repeated has to be in the store.
        """
        for step in steps:
            self.check(step)
            name = step.stage.name
            if not step.stage.reproducible and store.find(name, self._blocks.get(name, {}).get("key", "")) is None:
                raise _not_again(name)

    def check(self, step: Step) -> None:
        """Refuse a step whose key is not the locked one, or that cannot give the locked result.  ConfigError says why."""
        name = step.stage.name
        if name in _LEFT_OUT or not step.key:
            return
        if self._blocks.get(name, {}).get("key") != step.key:
            why = "; ".join(map(str, step.reasons)) or "it is not what was built"
            raise ConfigError(
                f"locked=true: {name} is not as {shown(self._file)} has it: {why}",
                hint="build it without locked=true, and commit the lock file with the recipe",
            )
        forced = any(reason.why is Why.FORCED for reason in step.reasons)
        if not step.stage.reproducible and (step.action is None or forced):
            raise _not_again(name)

    def revisions(self, stage: str) -> dict[str, str]:
        """Return the revisions that the file names for a stage, by what they are revisions of."""
        told = self._blocks.get(stage, {}).items()
        return {name.removeprefix("revision "): value for name, value in told if name.startswith("revision ")}

    def made(self, action: Action) -> None:
        """Refuse outputs that are not the locked ones.  FtbuildError names the first that differs."""
        locked = self._blocks.get(action.stage, {})
        for name, digest in sorted(action.outputs.items()):
            if action.stage not in _LEFT_OUT and locked.get(f"out {name}") != digest:
                raise FtbuildError(
                    f"locked=true: {action.stage} made another {name} than {shown(self._file)} has",
                    hint="ftbuild plan … says what changed; check=rebuild says whether the stage can repeat itself",
                )
