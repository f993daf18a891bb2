"""The store: content by its digest, and records of what each stage made.  Plain files, which `rsync` copies.

    objects/3f/9a…        content, once for each digest, read-only
    actions/clean/KEY     what a stage with this key put out: names and digests, as JSON with a checksum
    replies/3f/9a…        every answer of a teacher or a judge, by the hash of the request
    jobs/KEY, uploads/…   the provider's job that belongs to a key, and files that it was sent; written before they are needed
    batches/…             batches of requests that are under way at a provider; written down before they are submitted
    builds/NAME/…         the manifests of finished builds
    spending/NAME/…       what each run was quoted and what it spent
    composed/KEY          what a command line was composed into by Hydra
    locks                 whoever is at work on a key holds a byte of this empty file
    tmp/                  work in progress; whatever a killed build left there is of no consequence
    local/                the embedded server's own state

Everything is published the same way: written aside, flushed to the disk, renamed.  A reader sees a whole file or none.  What
was damaged afterwards is noticed when it is used: its digest is not its name any more.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from ftbuild.digest import digest, digest_file
from ftbuild.errors import FtbuildError
from ftbuild.locks import Locks


@dataclass(frozen=True)
class Action:
    """The record of one finished stage: its key and what that is made of, what came out, and plain facts.

    `config` is the slice of the recipe, `depends` the versions and digests of what else was read, `inputs` and `outputs` map
    names to digests, `sizes` the outputs to bytes.
    """

    stage: str
    key: str
    inputs: Mapping[str, str]
    config: Any
    outputs: Mapping[str, str]
    facts: Mapping[str, Any] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    depends: Mapping[str, str] = field(default_factory=dict)
    version: int = 1


class Store:
    """A directory of objects and of the records of what made them."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def locks(self) -> Locks:
        """The locks between the processes that share this store."""
        return Locks(self.root)

    def object(self, digest: str) -> Path:
        """Return where the content with this digest lies, or would lie."""
        return self.root / "objects" / digest[:2] / digest[2:]

    def find(self, stage: str, key: str) -> Action | None:
        """Return the record of a finished stage, if there is one that can be believed.  Its outputs may be gone: `lacks`."""
        try:
            data = json.loads(self._action(stage, key).read_bytes())
            checksum = data.pop("checksum", None)
            action = Action(**data)
        except (OSError, ValueError, TypeError, AttributeError):
            return None
        return action if checksum == digest(data) and (action.stage, action.key) == (stage, key) else None

    def lacks(self, action: Action) -> list[str]:
        """Return those of a stage's outputs that are not in the store, or not of the size that they had."""
        return [name for name, d in action.outputs.items() if not self._whole(d, action.sizes.get(name))]

    def _whole(self, digest: str, size: int | None) -> bool:
        try:
            return self.object(digest).stat().st_size == size
        except OSError:
            return False

    def intact(self, digest: str) -> bool:
        """Say whether content is there and is what was put there."""
        try:
            return digest_file(self.object(digest)) == digest
        except OSError:
            return False

    def sound(self, digest: str) -> Path:
        """Return where content lies that is about to be read, once its digest was seen to be right.

        What was damaged is removed, so that the next build makes it again; FtbuildError says so.
        """
        path = self.object(digest)
        try:
            if digest_file(path) == digest:
                return path
        except FileNotFoundError:
            pass
        except OSError as error:
            raise FtbuildError(f"cannot read {path}: {error.strerror}") from error
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        raise FtbuildError(f"the store was damaged: {path} is not what was put there", hint="the same command makes it again")

    def publish(
        self,
        stage: str,
        key: str,
        folder: Path,
        *,
        inputs: Mapping[str, str],
        config: Any,
        facts: Mapping[str, Any],
        depends: Mapping[str, str] | None = None,
        version: int = 1,
    ) -> Action:
        """Take over the files in `folder` as the outputs of a stage and record them.  FtbuildError if the disk refuses."""
        try:
            outputs = {p.name: self._keep(p) for p in sorted(folder.iterdir())}
            sizes = {name: self.object(d).stat().st_size for name, d in outputs.items()}
            action = Action(stage, key, dict(inputs), config, outputs, dict(facts), sizes, dict(depends or {}), version)
            record = json.loads(json.dumps(asdict(action), sort_keys=True))
            write_json(self._action(stage, key), {**record, "checksum": digest(record)})
        except OSError as error:
            raise FtbuildError(
                f"cannot write to the store {self.root}: {error.strerror}", hint="is the disk full or read-only?"
            ) from error
        return Action(**record)  # as it is found again, to the order of its facts

    @contextlib.contextmanager
    def workspace(self) -> Iterator[Path]:
        """Yield an empty folder on the store's own file system; it is gone afterwards."""
        import shutil
        import tempfile

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
        name = digest_file(path)
        home = self.object(name)
        if not home.is_file() or home.stat().st_size != path.stat().st_size or digest_file(home) != name:
            home.parent.mkdir(parents=True, exist_ok=True)
            flush(path)
            path.chmod(0o444)
            path.replace(home)
            flush(home.parent)
        return name


class Overlay(Store):
    """A store that adds to another one without touching it, for a plan to try things out in."""

    def __init__(self, root: Path, below: Store) -> None:
        super().__init__(root)
        self.below = below

    def object(self, digest: str) -> Path:
        """Return where the content with this digest lies, or would lie."""
        own = super().object(digest)
        return own if own.exists() or not self.below.object(digest).exists() else self.below.object(digest)

    def find(self, stage: str, key: str) -> Action | None:
        """Return the record of a finished stage, if there is one that can be believed."""
        return super().find(stage, key) or self.below.find(stage, key)


def flush(path: Path | str) -> None:
    """Make sure that a file's content, or a folder's entries, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Write a file so that it is there whole or not at all."""
    with aside(path) as file:
        file.write(text.encode())


@contextlib.contextmanager
def aside(path: Path) -> Iterator[Any]:
    """Yield a binary file to write; it takes the place of `path` when it is complete, and leaves nothing if it is not."""
    import tempfile

    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


Record = tuple[str, str, bytes]
"""A small file to write: its folder, its name and its content."""


def put_all(records: Sequence[Record], each: Callable[[list[Callable[[], None]]], Iterable[None]]) -> list[OSError | None]:
    """Write small files, each of which is there whole or not at all; return what went wrong with each.

    They are on the disk when this returns.  `each` runs functions that wait for it, best at once.  Nobody else may be writing
    a file of the same name.
    """
    problems: list[OSError | None] = [None] * len(records)
    opened = [_written(record, problems, n) for n, record in enumerate(records)]

    def sync(first: int) -> None:
        for n in range(first, len(records), _AT_ONCE):
            if (handle := opened[n]) is not None:
                try:
                    os.fsync(handle)
                except OSError as error:
                    problems[n] = error
                finally:
                    os.close(handle)

    for _ in each([partial(sync, first) for first in range(min(_AT_ONCE, len(records)))]):
        pass
    folders = sorted({folder for n, (folder, _, _) in enumerate(records) if problems[n] is None})

    def settle(first: int) -> None:
        for folder in folders[first::_AT_ONCE]:
            with contextlib.suppress(OSError):  # the file itself is there; not every file system flushes folders
                flush(folder)

    for _ in each([partial(settle, first) for first in range(min(_AT_ONCE, len(folders)))]):
        pass
    return problems


_AT_ONCE = 8


def _written(record: Record, problems: list[OSError | None], number: int) -> int | None:
    """Write a file and put it in its place, and return the descriptor that is still to be flushed and closed."""
    folder, name, content = record
    aside, handle = f"{folder}/.{name}.{os.getpid()}", None
    try:
        try:
            handle = os.open(aside, _NEW, 0o644)
        except FileNotFoundError:
            Path(folder).mkdir(parents=True, exist_ok=True)
            handle = os.open(aside, _NEW, 0o644)
        view = memoryview(content)
        while view:
            view = view[os.write(handle, view) :]
        os.rename(aside, f"{folder}/{name}")  # noqa: PTH104 - this is done a hundred thousand times
    except OSError as error:
        problems[number] = error
        if handle is not None:
            os.close(handle)
            Path(aside).unlink(missing_ok=True)
        return None
    return handle


_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON, whole or not at all."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True) + "\n")


def read_json(path: Path) -> Any:
    """Return a JSON file's value, or None if there is none that can be read."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None


def used(path: Path) -> None:
    """Note that a file is still needed, by its time."""
    with contextlib.suppress(OSError):
        os.utime(path)
