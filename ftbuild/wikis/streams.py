"""The bytes of a file, wherever it lies and however it is packed, in pieces of bounded size.

In: a path, or any address that fsspec can open.  Out: unpacked pieces; plain, bzip2 of one stream or many, gzip and xz are told
apart by their first bytes.  Nothing is held but the piece at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from ftbuild import http
from ftbuild.errors import ConfigError, SourceError
from ftbuild.paths import is_remote, shown

PIECE = 1 << 20  # bytes, unpacked
_READ = 1 << 16  # bytes, as they lie in the file: what is lost before a damaged place is less than this unpacked


class Damaged(Exception):
    """A file is not whole.  `position` counts the bytes of the file as it lies there."""

    def __init__(self, what: str, position: int) -> None:
        super().__init__(what)
        self.what = what
        self.position = position


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

    def pieces(self, *, one: bool = False) -> Iterator[bytes]:
        """Yield what is left of the file, unpacked; of a file of many streams just the next, if only `one` is wanted.

        Damaged tells where the file cannot be unpacked any further.  All that came before has been yielded.
        """
        data = self._read()
        begin = _packed(data)
        if begin is None:
            while data:
                yield data
                data = self._read()
            return
        while data:
            unpacker, errors = begin()
            while not unpacker.eof:
                data = data or self._read()
                try:
                    piece = unpacker.unpack(data)
                    if not data and not piece and not unpacker.eof:
                        raise Damaged("it ends in the middle", self.position)
                    yield piece
                    while unpacker.full:
                        yield unpacker.unpack(b"")
                except errors as error:
                    raise Damaged(f"it cannot be unpacked: {error}", max(0, self.position - len(data))) from error
                data = b""
            data = unpacker.rest.lstrip(b"\0") or self._read()
            if one:
                return


class _Unpacker:
    """One stream being unpacked: the same manners for all kinds of packing."""

    def __init__(self, unpacker: Any, *, bounded: bool) -> None:
        self._unpacker = unpacker
        self._bounded = bounded

    def unpack(self, data: bytes) -> bytes:
        if self._bounded:
            return self._unpacker.decompress(data, PIECE)  # type: ignore[no-any-return]
        return self._unpacker.decompress(self._unpacker.unconsumed_tail + data, PIECE)  # type: ignore[no-any-return]

    @property
    def eof(self) -> bool:
        return bool(self._unpacker.eof)

    @property
    def full(self) -> bool:
        """Whether there is more to come of what was given already."""
        if self.eof:
            return False
        return not self._unpacker.needs_input if self._bounded else bool(self._unpacker.unconsumed_tail)

    @property
    def rest(self) -> bytes:
        return bytes(self._unpacker.unused_data)


def _packed(beginning: bytes) -> Callable[[], tuple[_Unpacker, tuple[type[Exception], ...]]] | None:
    """Return what makes an unpacker for what begins like this, and its errors; None if it is not packed."""
    if beginning.startswith(b"BZh"):
        import bz2

        return lambda: (_Unpacker(bz2.BZ2Decompressor(), bounded=True), (OSError, ValueError))
    if beginning.startswith(b"\x1f\x8b"):
        import zlib

        return lambda: (_Unpacker(zlib.decompressobj(31), bounded=False), (zlib.error,))
    if beginning.startswith(b"\xfd7zXZ\0"):
        import lzma

        return lambda: (_Unpacker(lzma.LZMADecompressor(), bounded=True), (lzma.LZMAError,))
    return None


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


@contextmanager
def _remote(address: str) -> Iterator[tuple[Any, int]]:
    if http.is_forbidden() and not address.startswith(("file://", "local://", "memory://")):
        raise SourceError(f"offline=true: this build would have to read {address}", hint="without offline=true it is read")
    kind = address.partition("://")[0]
    try:
        import fsspec
    except ImportError as error:
        raise ConfigError(f"{address}: reading it needs fsspec", hint="pip install fsspec") from error
    try:
        files, path = fsspec.core.url_to_fs(address)
        size = int(files.info(path).get("size") or 0)
        file = files.open(path, "rb")
    except ImportError as error:
        raise ConfigError(f"{address}: {error}", hint=f"fsspec reads {kind}:// with a package of its own") from error
    except FileNotFoundError as error:
        raise SourceError(f"{address}: there is no such file") from error
    except ValueError as error:
        raise ConfigError(f"{address}: {error}") from error
    except Exception as error:  # each kind of place has errors of its own
        raise SourceError(f"{address}: cannot be opened: {type(error).__name__}: {error}") from error
    with file:
        yield file, size
