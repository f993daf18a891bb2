"""Digests of files, those of large ones remembered: 20 GB take a minute to read, a build with nothing to do half a second.

A digest is remembered together with the file's size, inode and times, and believed while these are the same.  A file that was
changed within two seconds of being read may change once more in the same tick of the clock: its digest is not remembered.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from ftbuild.digest import digest, digest_file
from ftbuild.store import read_json, write_json

LARGE = 32_000_000
_SETTLED = 2e9  # nanoseconds

_FOLDER: ContextVar[Path | None] = ContextVar("remembered digests", default=None)


def remember_in(folder: Path | None) -> None:
    """Keep the digests of large files in a folder from now on, or nowhere."""
    _FOLDER.set(folder)


def known_digest(path: Path) -> str:
    """Return the SHA-256 of a file's content, as `digest_file` does, without reading a large file that has not changed."""
    told = path.stat()
    folder = _FOLDER.get()
    if told.st_size < LARGE or folder is None:
        return digest_file(path)
    now = _marks(path)
    file = folder / f"{digest(str(path.resolve()))[:32]}.json"
    kept = read_json(file)
    if isinstance(kept, dict) and kept.get("marks") == now and kept.get("checksum") == digest([now, kept.get("digest")]):
        return str(kept["digest"])
    began = time.time_ns()
    found = digest_file(path)
    if _marks(path) == now and began - max(told.st_mtime_ns, told.st_ctime_ns) > _SETTLED:
        with contextlib.suppress(OSError):  # a store that cannot be written to costs time, not the result
            write_json(file, {"marks": now, "digest": found, "checksum": digest([now, found])})
    return found


def known_digests(files: Mapping[str, Path]) -> dict[str, str]:
    """Return the digests of files by the same names; where they are large together, those of unchanged ones are remembered."""
    folder = _FOLDER.get()
    small = {name: path for name, path in files.items() if path.stat().st_size < LARGE}
    if folder is None or sum(path.stat().st_size for path in small.values()) < LARGE:
        return {name: known_digest(path) for name, path in files.items()}
    file = folder / f"{digest(sorted(str(path.resolve()) for path in small.values()))[:32]}.json"
    kept = read_json(file)
    known = kept["files"] if isinstance(kept, dict) and kept.get("checksum") == digest(kept.get("files")) else {}
    told: dict[str, list[Any]] = {}
    settled = time.time_ns() - _SETTLED
    for path in small.values():
        now, before = _marks(path), known.get(str(path))
        told[str(path)] = before if before and before[0] == now else [now, digest_file(path)]
    lasting = {name: mark for name, mark in told.items() if max(mark[0][1:3]) < settled}
    if lasting != known:
        with contextlib.suppress(OSError):
            write_json(file, {"files": lasting, "checksum": digest(lasting)})
    return {name: told[str(path)][1] if name in small else known_digest(path) for name, path in files.items()}


def _marks(path: Path) -> list[Any]:
    told = path.stat()
    return [told.st_size, told.st_mtime_ns, told.st_ctime_ns, told.st_ino, told.st_dev]
