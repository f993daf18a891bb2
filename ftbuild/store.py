"""The store: what every stage made, by what it was made from.  Plain files in one directory, `.ftbuild` unless told otherwise.

    objects/3f/9a…        file contents by their SHA-256, read-only
    actions/clean/KEY     what a stage with this key put out: names and digests, as JSON
    replies/3f/9a…        every answer of a teacher or a judge, by the hash of the request
    jobs/KEY              the provider's job that belongs to a key, written before it is waited for
    tmp/                  work in progress; whatever a killed build left there is of no consequence
    local/                the embedded server's own state

Everything is published the same way: written aside, flushed to the disk, renamed.  A reader sees a whole file or none.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ftbuild.digest import digest_file
from ftbuild.errors import FtbuildError


@dataclass(frozen=True)
class Action:
    """The record of one finished stage: its key, what went in, digests and sizes of what came out, and plain facts."""

    stage: str
    key: str
    inputs: Mapping[str, str]
    config: Any
    outputs: Mapping[str, str]
    facts: Mapping[str, Any] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)


class Store:
    """A directory of objects and of the records of what made them."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def object(self, digest: str) -> Path:
        """Return where the content with this digest lies, or would lie."""
        return self.root / "objects" / digest[:2] / digest[2:]

    def find(self, stage: str, key: str) -> Action | None:
        """Return the record of a finished stage, if every file that it put out is still there and whole in size."""
        try:
            data = json.loads(self._action(stage, key).read_bytes())
            action = Action(**data)
        except (OSError, ValueError, TypeError):
            return None
        return action if all(self._whole(d, action.sizes.get(name)) for name, d in action.outputs.items()) else None

    def _whole(self, digest: str, size: int | None) -> bool:
        path = self.object(digest)
        return path.is_file() and path.stat().st_size == size

    def publish(
        self, stage: str, key: str, folder: Path, *, inputs: Mapping[str, str], config: Any, facts: Mapping[str, Any]
    ) -> Action:
        """Take over the files in `folder` as the outputs of a stage and record them.  FtbuildError if the disk refuses."""
        try:
            outputs = {p.name: self._keep(p) for p in sorted(folder.iterdir())}
            sizes = {name: self.object(d).stat().st_size for name, d in outputs.items()}
            action = Action(stage, key, dict(inputs), config, outputs, dict(facts), sizes)
            write_json(self._action(stage, key), asdict(action))
        except OSError as error:
            raise FtbuildError(
                f"cannot write to the store {self.root}: {error.strerror}", hint="is the disk full or read-only?"
            ) from error
        return action

    @contextlib.contextmanager
    def workspace(self) -> Iterator[Path]:
        """Yield an empty folder on the store's own file system; it is gone afterwards."""
        parent = self.root / "tmp"
        try:
            parent.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(dir=parent))
        except OSError as error:
            raise FtbuildError(
                f"cannot write to the store {self.root}: {error.strerror}", hint="choose another with store=DIRECTORY"
            ) from error
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _action(self, stage: str, key: str) -> Path:
        return self.root / "actions" / stage / f"{key}.json"

    def _keep(self, path: Path) -> str:
        digest = digest_file(path)
        home = self.object(digest)
        if not home.is_file() or home.stat().st_size != path.stat().st_size:
            home.parent.mkdir(parents=True, exist_ok=True)
            flush(path)
            path.chmod(0o444)
            path.replace(home)
            flush(home.parent)
        return digest


def flush(path: Path) -> None:
    """Make sure that a file's content, or a folder's entries, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Write a file so that it is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON, whole or not at all."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True) + "\n")


def read_json(path: Path) -> Any:
    """Return a JSON file's value, or None if there is none that can be read."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
