"""The bytes of a file, wherever it lies and however it is packed, in pieces of bounded size.

In: a path, or any address that fsspec can open.  Out: unpacked pieces.  Nothing is held but the pieces at hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from ftbuild import http
from ftbuild.errors import ConfigError, SourceError
from ftbuild.paths import is_remote, shown
from ftbuild.wikis.unpacking import at_once, kind_of, unpacked

_READ = 1 << 16  # bytes, as they lie in the file: what is lost before a damaged place is less than this unpacked


class Stream:
    """A file that is open for reading.  `position` is how far it was read, `size` how long it is, both as it lies there."""

    def __init__(self, file: IO[bytes], name: str, size: int) -> None:
        self._file = file
        self.name = name
        self.size = size
        self.position = 0

    def seek(self, position: int) -> None:
        """Go on reading somewhere else.  SourceError for a file that can only be read from the beginning."""
        try:
            self._file.seek(position)
        except (OSError, ValueError) as error:
            raise SourceError(f"{self.name}: cannot be read from the middle: {error}") from error
        self.position = position

    def _read(self) -> bytes:
        try:
            data = self._file.read(_READ)
        except EOFError:
            data = b""
        except OSError as error:
            raise SourceError(f"{self.name}: cannot be read at byte {self.position:,}: {error.strerror or error}") from error
        self.position += len(data)
        return data

    def pieces(self, *, one: bool = False, jobs: int = 1) -> Iterator[bytes]:
        """Yield what is left of the file, unpacked; of a file of many streams just the next, if only `one` is wanted.

        `jobs` is how many streams of bzip2 are unpacked at once.  Damaged tells where the file cannot be unpacked any further;
        all that came before has been yielded.
        """
        data = self._read()
        kind = kind_of(data)
        if kind is None:
            while data:
                yield data
                data = self._read()
        elif kind == "bzip2" and jobs > 1 and not one:
            yield from at_once(data, self._read, self.position - len(data), jobs=jobs)
        else:
            yield from unpacked(kind, data, self._read, lambda: self.position, one=one)


@contextmanager
def opened(file: Path | str) -> Iterator[Stream]:
    """Open a local file, or whatever an address names.  SourceError if that cannot be."""
    if isinstance(file, Path) or not is_remote(file):
        try:
            path = Path(file)
            with path.open("rb") as local:
                yield Stream(local, shown(path), path.stat().st_size)
        except IsADirectoryError as error:
            raise SourceError(f"{shown(path)}: is a folder") from error
        except PermissionError as error:
            raise SourceError(f"{shown(path)}: {error.strerror}") from error
        return
    with _remote(file) as (remote, size):
        yield Stream(remote, file, size)


def there(address: str) -> list[str]:
    """Return the addresses of the files that an address with a pattern names, or the address itself."""
    if not any(c in address for c in "*["):
        return [address]
    _allow(address)
    fsspec = _fsspec(address)
    try:
        files, path = fsspec.core.url_to_fs(address)
        found = sorted(map(str, files.glob(path)))
    except ImportError as error:
        raise ConfigError(f"{address}: {error}", hint="install the package that it names") from error
    except Exception as error:  # each kind of place has errors of its own
        raise SourceError(f"{address}: cannot be listed: {type(error).__name__}: {error}") from error
    if not found:
        raise SourceError(f"{address}: no file is called that")
    return [str(files.unstrip_protocol(path)) for path in found]


def _allow(address: str) -> None:
    if not address.startswith(("file://", "local://", "memory://")):
        http.refuse_if_forbidden(address)


def _fsspec(address: str) -> Any:
    try:
        import fsspec
    except ImportError as error:
        raise ConfigError(f"{address}: reading it needs fsspec", hint="pip install 'ftbuild[documents]'") from error
    return fsspec


@contextmanager
def _remote(address: str) -> Iterator[tuple[Any, int]]:
    _allow(address)
    fsspec = _fsspec(address)
    try:
        files, path = fsspec.core.url_to_fs(address)
        size = int(files.info(path).get("size") or 0)
        file = files.open(path, "rb")
    except ImportError as error:
        raise ConfigError(f"{address}: {error}", hint="install the package that it names") from error
    except FileNotFoundError as error:
        raise SourceError(f"{address}: there is no such file") from error
    except ValueError as error:
        raise ConfigError(f"{address}: {error}") from error
    except Exception as error:  # each kind of place has errors of its own
        raise SourceError(f"{address}: cannot be opened: {type(error).__name__}: {error}") from error
    with file:
        yield file, size
