"""Documents that lie in files of many kinds, here or at any address that fsspec knows: text, Markdown, HTML, PDF, Word.

In: paths, patterns and addresses.  Out: a document a file, its headings, lists and tables kept.  A file that was read before,
by the same reader, is not read again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal

from ftbuild.digest import digest, digest_bytes
from ftbuild.errors import ConfigError, SourceError
from ftbuild.fetching import surroundings
from ftbuild.paths import find_files, is_remote
from ftbuild.readers.choose import PACKAGES, problems, read, readable
from ftbuild.records import Document
from ftbuild.registries import READERS, SOURCES
from ftbuild.store import read_json, used, write_json
from ftbuild.versions import versions

OnError = Literal["stop", "skip"]
_VERSION = 1  # goes up whenever a reader gives another text for the same file
_MEGABYTE = 1_000_000


def _depends(_: Any) -> Mapping[str, str]:
    return {**versions(*PACKAGES), "readers": str(_VERSION)}


def _check(params: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    yield from problems(params["readers"], params["options"])


@SOURCES("files", files=("path",), depends=_depends, check=_check)
def files(
    *,
    path: str | tuple[str, ...],
    exclude: tuple[str, ...] = (),
    reader: Annotated[str, READERS] = "",
    readers: Mapping[str, str] = {},
    options: Mapping[str, Mapping[str, Any]] = {},
    on_error: OnError = "stop",
    title: str = "",
    licence: str = "",
    attribution: str = "",
    max_megabytes: float = 100.0,
) -> Iterator[Document]:
    """Read all files that `path` names: files, folders, patterns such as `manuals/**/*.pdf`, addresses such as `s3://…`.

    The reader is chosen by each file's first bytes and ending; `reader` names one for all, `readers` one for each pattern, and
    `options` holds what is said to readers, by their names.  What cannot be read stops the build, or with `on_error: skip` is
    left out and reported.
    """
    about = {k: v for k, v in {"licence": licence, "attribution": attribution}.items() if v}
    found = dict(_named([path] if isinstance(path, str) else path, exclude))
    if not found:
        raise SourceError(f"{path}: no file there is of a kind that can be read", hint="reader: names a reader for any file")
    now = surroundings()
    known = _Known(now.folder)
    for number, (name, opened) in enumerate(found.items()):
        now.bar(number, len(found), file=name)
        chosen = reader or next((r for p, r in readers.items() if _matches(name, p)), "")
        try:
            documents = known.read(opened(max_megabytes), name, chosen, options)
        except SourceError as error:
            if on_error == "stop":
                hint = f"{error.hint} (on_error: skip leaves it out)" if error.hint else "on_error: skip leaves it out"
                raise SourceError(error.message, hint=hint) from error
            now.warn(f"left out: {error.message}")
            now.skipped[error.message] += 1
            continue
        for document in documents:
            if lost := document.meta.get("lost"):
                now.warn(f"{name}: {lost}")
            single = title if title and len(found) == 1 else document.title
            yield replace(document, title=single, meta={"path": name, **document.meta, **about})
    now.bar(len(found), len(found))


def _named(patterns: Iterable[str], exclude: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """Yield the names of files with what opens each, given the largest size in megabytes."""
    for pattern in patterns:
        if is_remote(pattern):
            yield from ((n, o) for n, o in _remote(pattern) if not any(_matches(n, e) for e in exclude))
            continue
        local = find_files(pattern)
        for name, file in local.items():
            hidden = any(part.startswith(".") and part not in (".", "..") for part in Path(name).parts)
            if any(_matches(name, e) for e in exclude) or (hidden and name != pattern):
                continue
            if len(local) == 1 or readable(name) or "*." in pattern:
                yield name, _Local(name, file)


def _matches(name: str, pattern: str) -> bool:
    """Say whether a pattern names a file: by its whole name, by its last part, or by the end of its path."""
    return fnmatchcase(name, pattern) or fnmatchcase(name.rsplit("/", 1)[-1], pattern) or fnmatchcase(name, f"*/{pattern}")


class _Local:
    """Reads a file that lies here."""

    def __init__(self, name: str, file: Path) -> None:
        self.name, self.file = name, file

    def __call__(self, megabytes: float) -> bytes:
        try:
            _small_enough(self.name, self.file.stat().st_size, megabytes)
            return self.file.read_bytes()
        except OSError as error:
            raise SourceError(f"{self.name}: {error.strerror}") from error


class _Remote:
    """Reads a file by its address."""

    def __init__(self, name: str, system: Any, path: str) -> None:
        self.name, self.system, self.path = name, system, path

    def __call__(self, megabytes: float) -> bytes:
        try:
            if (size := self.system.size(self.path)) is not None:
                _small_enough(self.name, size, megabytes)
            with self.system.open(self.path, "rb") as file:
                data: bytes = file.read(int(megabytes * _MEGABYTE) + 1)
        except SourceError:
            raise
        except Exception as error:  # each file system raises what it likes
            raise SourceError(f"{self.name}: {type(error).__name__}: {error}") from error
        _small_enough(self.name, len(data), megabytes)
        return data


def _small_enough(name: str, size: int, megabytes: float) -> None:
    if size > megabytes * _MEGABYTE:
        raise SourceError(f"{name}: has {size / _MEGABYTE:.1f} MB", hint=f"more than max_megabytes: {megabytes:g}")


def _remote(url: str) -> list[tuple[str, _Remote]]:
    """Return the files at an address or a pattern of addresses.  ConfigError names what is not installed."""
    from ftbuild import http

    local = url.startswith(("file://", "memory://"))
    if not local:
        http.refuse_if_forbidden(url)
    try:
        import fsspec
    except ImportError as error:
        raise ConfigError(f"{url}: reading from an address needs fsspec", hint="pip install 'ftbuild[documents]'") from error
    try:
        system, path = fsspec.core.url_to_fs(url)
        if any(c in path for c in "*?["):
            paths = sorted(p for p in system.glob(path) if system.isfile(p))
        elif system.isdir(path):
            paths = sorted(p for p in system.find(path) if readable(p))
        else:
            paths = [path]
        names = [str(system.unstrip_protocol(p)) for p in paths]
    except ImportError as error:
        raise ConfigError(f"{url}: {error}", hint="install the package that it names") from error
    except Exception as error:  # each file system raises what it likes
        raise SourceError(f"{url}: {type(error).__name__}: {error}") from error
    if not paths:
        raise SourceError(f"{url}: nothing is there")
    return [(name, _Remote(name, system, p)) for name, p in zip(names, paths, strict=True)]


class _Known:
    """What was read before, by the content of the file, the reader and its options, and the versions of all readers."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder / "readings" if folder else None
        self.readers = dict(_depends(None))

    def read(self, data: bytes, name: str, reader: str, options: Mapping[str, Mapping[str, Any]]) -> list[Document]:
        """Return the documents of a file, each with an id that follows from its name."""
        content = digest_bytes(data)
        if self.folder is None:
            return _labelled(read(data, name, reader=reader, options=options), name)
        plain = {k: dict(v) for k, v in options.items()}
        file = self.folder / f"{digest([content, name, reader, plain, self.readers])[:40]}.json"
        kept = read_json(file)
        if isinstance(kept, dict) and kept.get("checksum") == digest(kept.get("documents")):
            used(file)
            return [Document(**document) for document in kept["documents"]]
        documents = _labelled(read(data, name, reader=reader, options=options), name)
        with contextlib.suppress(OSError, TypeError, ValueError):
            told = [asdict(document) for document in documents]
            write_json(file, {"documents": told, "checksum": digest(told)})
        return documents


def _labelled(documents: list[Document], name: str) -> list[Document]:
    single = len(documents) == 1
    return [
        replace(d, id=name if single and not d.id else f"{name}#{d.id or number}")
        for number, d in enumerate(documents, start=1)
    ]
