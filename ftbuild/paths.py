"""Where files that a recipe names are found: the user's own folders first, then what ftbuild ships.

    texts, functions   ./NAME, ./conf/NAME, shipped conf/NAME
    prompts            ./prompts/NAME, shipped prompts/NAME

`conf/` and `prompts/` lie beside the package in a checkout and inside it once installed from a wheel.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ftbuild.errors import ConfigError

_PACKAGE = Path(__file__).resolve().parent
_HOME = _PACKAGE if (_PACKAGE / "conf").is_dir() else _PACKAGE.parent
SHIPPED_CONF = _HOME / "conf"
SHIPPED_PROMPTS = _HOME / "prompts"


def conf_folders() -> list[Path]:
    """Return the configuration folders that exist, the user's before ours."""
    own = Path.cwd() / "conf"
    return [own, SHIPPED_CONF] if own.is_dir() and own.resolve() != SHIPPED_CONF else [SHIPPED_CONF]


def prompt_folders() -> list[Path]:
    """Return the prompt folders that exist, the user's before ours."""
    own = Path.cwd() / "prompts"
    return [own, SHIPPED_PROMPTS] if own.is_dir() and own.resolve() != SHIPPED_PROMPTS else [SHIPPED_PROMPTS]


def find(name: str, folders: Sequence[Path], *, what: str) -> Path:
    """Return the first file called `name` below `folders`.  ConfigError names every place that was looked in."""
    for folder in folders:
        if (path := folder / name).is_file():
            return path
    looked = ", ".join(shown(folder) for folder in folders)
    raise ConfigError(f"there is no {what} {name!r} (looked in {looked})")


def find_file(name: str) -> Path:
    """Find a text, a word list or a function file that a recipe names."""
    return find(name, [Path.cwd(), *conf_folders()], what="file")


def is_remote(name: str) -> bool:
    """Say whether a name is the address of something elsewhere, which is no part of any key and is read when it is needed."""
    return "://" in name


def find_files(name: str) -> dict[str, Path]:
    """Find the local files that a recipe names, alone or by a pattern such as `dumps/*.bz2`, by names to know them by.

    A folder stands for all files below it, `function.py:name` for the file; an address names no local file.  ConfigError if
    there is none.
    """
    if is_remote(name):
        return {}
    folders = [Path.cwd(), *conf_folders()]
    if any((folder / name).is_file() for folder in folders):
        return {name: find_file(name)}
    below = any((folder / name).is_dir() for folder in folders)
    if not below and not any(c in name for c in "*?["):
        return {name: find_file(name.partition(":")[0])}
    for folder in folders:
        root, pattern = (Path("/"), name[1:]) if name.startswith("/") else (folder, name)
        pattern = f"{pattern.rstrip('/') or '.'}/**/*" if below else pattern
        if found := sorted((p for p in root.glob(pattern) if p.is_file()), key=_natural):
            return {(str(p) if name.startswith("/") else p.relative_to(root).as_posix()): p for p in found}
    looked = ", ".join(shown(folder) for folder in folders)
    raise ConfigError(f"no file is called {name!r} (looked in {looked})")


def _natural(path: Path) -> list[tuple[int, str]]:
    """Order names as people do: part 2 before part 10."""
    return [(int(piece), "") if piece.isdigit() else (0, piece) for piece in re.split(r"([0-9]+)", str(path))]


def find_prompt(name: str) -> Path:
    """Find a prompt template that a recipe names."""
    return find(name, prompt_folders(), what="prompt template")


def shown(path: Path) -> str:
    """Return a path as a person would write it: relative to where they stand, if it lies below."""
    try:
        return str(path.relative_to(Path.cwd())) if path != Path.cwd() else "."
    except ValueError:
        return str(path)


def groups() -> set[str]:
    """Return the names of all configuration groups: the folders below `conf`."""
    return {p.relative_to(f).as_posix() for f in conf_folders() for p in f.rglob("*") if p.is_dir()}


def options(group: str) -> list[str]:
    """Return the options of a group by name: its YAML files, the user's and ours, those in folders below it too."""
    homes = [folder / group for folder in conf_folders()]
    return sorted({p.relative_to(home).with_suffix("").as_posix() for home in homes for p in home.rglob("*.yaml")})
