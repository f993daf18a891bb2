"""What a command line was composed into, remembered: Hydra takes longer to compose than a build with nothing to do.

In: the command line, and every file and variable that composing it reads.  Out: the `Composed` that came of it last time, or
None.  Only a build that did something remembers, so that a plan, or a build with nothing to do, leaves nothing behind.

The key covers the text of all configuration files, the user's and ours, the values of the environment variables that they
name, and the versions of Hydra and OmegaConf.  Where a file asks for anything else, such as the time, nothing is remembered.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ftbuild import __version__, paths
from ftbuild.digest import digest, digest_bytes
from ftbuild.store import read_json, write_json
from ftbuild.versions import versions

_RESOLVER = re.compile(r"\$\{\s*([\w.]+)\s*:\s*([^},]*)")
_PURE = frozenset({"oc.select", "oc.decode", "oc.create", "oc.dict.keys", "oc.dict.values"})
_SECRET = re.compile(r"(?i)key|token|secret|password")


@dataclass(frozen=True)
class Composed:
    """A composed configuration as plain data, the options that were chosen, and the overrides as Hydra was given them.

    `number` is that of a job of a sweep.
    """

    data: dict[str, Any]
    choices: dict[str, str]
    overrides: tuple[str, ...]
    number: int | None = None


def key_of(arguments: Sequence[str]) -> str | None:
    """Return the key of a command line, or None if what it is composed into depends on more than can be seen."""
    files: dict[str, str] = {}
    variables: dict[str, str | None] = {}
    for n, folder in enumerate(paths.conf_folders()):
        for file in sorted(folder.rglob("*.yaml")):
            try:
                text = file.read_bytes()
            except OSError:
                return None
            files[f"{n}/{file.relative_to(folder).as_posix()}"] = digest_bytes(text)
            if b"${" in text and not _known(text.decode(errors="replace"), variables):
                return None
    if not _known(" ".join(arguments), variables):
        return None
    return digest([__version__, list(arguments), files, variables, versions("hydra-core", "omegaconf")])


def _known(text: str, variables: dict[str, str | None]) -> bool:
    """Say whether all that a text's interpolations read is known, adding the environment variables among it."""
    for resolver, argument in _RESOLVER.findall(text):
        name = argument.strip()
        if resolver == "oc.env" and not _SECRET.search(name):
            variables[name] = os.environ.get(name)
        elif resolver not in _PURE:
            return False
    return True


def recall(root: Path, key: str) -> Composed | None:
    """Return what a command line was composed into, if the store at `root` knows."""
    kept = read_json(_file(root, key))
    if not isinstance(kept, dict) or kept.get("checksum") != digest(kept.get("composed")):
        return None
    found = json.loads(kept["composed"])
    return Composed(found["data"], found["choices"], tuple(found["overrides"]))


def remember(root: Path, key: str, composed: Composed) -> None:
    """Keep what a command line was composed into, unless that would not come back as it is."""
    plain = {**asdict(composed), "overrides": list(composed.overrides)}
    text = json.dumps(plain)  # as text, because the order of keys counts
    if json.loads(text) == plain:
        write_json(_file(root, key), {"composed": text, "checksum": digest(text)})


def _file(root: Path, key: str) -> Path:
    return root / "composed" / f"{key}.json"
