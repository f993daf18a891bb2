"""Unpacking in pieces of bounded size: bzip2, gzip and xz, of one stream or of many one after the other.

bzip2 takes four fifths of the time that a dump takes.  Where a file has many streams, as dumps of large wikis have, they are
unpacked on all cores: Python lets go of its lock meanwhile.  A stream begins where its signature stands, of ten bytes.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from concurrent.futures import Future

Kind = Literal["bzip2", "gzip", "xz"]

PIECE = 1 << 20
"""The largest piece, in bytes, unpacked."""

_SIGNATURE = re.compile(rb"BZh[1-9]1AY&SY")
_ENOUGH = 1 << 18  # bytes for a thread to begin with
_SLICE = 1 << 14
_LONG = 1 << 23  # bytes of a stream that is unpacked as it comes, and not by a thread
_MOST = 1 << 26  # bytes that a thread may make of them

More = Callable[[], bytes]
"""Returns the next bytes, none at the end."""


class Damaged(Exception):
    """A file is not whole.  `position` counts the bytes of the file as it lies there."""

    def __init__(self, what: str, position: int) -> None:
        super().__init__(what)
        self.what = what
        self.position = position


def kind_of(beginning: bytes) -> Kind | None:
    """Return how a file that begins like this is packed, or None if it is not."""
    if beginning.startswith(b"BZh"):
        return "bzip2"
    if beginning.startswith(b"\x1f\x8b"):
        return "gzip"
    return "xz" if beginning.startswith(b"\xfd7zXZ\0") else None


def unpacked(kind: Kind, data: bytes, more: More, position: Callable[[], int], *, one: bool = False) -> Iterator[bytes]:
    """Yield unpacked pieces of what begins with `data` and goes on with `more`; of many streams all, or the first `one`.

    `position` tells how far `more` has read.  Damaged if it cannot be unpacked any further.
    """
    begin, errors = _unpacker(kind)
    while data:
        unpacker = begin()
        while not unpacker.eof:
            data = data or more()
            try:
                piece = unpacker.unpack(data)
                ends = not data and not piece and not unpacker.eof
                yield piece
                while unpacker.full:
                    yield unpacker.unpack(b"")
            except errors as error:
                raise Damaged(f"it cannot be unpacked: {error}", max(0, position() - len(data))) from error
            if ends:
                raise Damaged("it ends in the middle", position())
            data = b""
        data = unpacker.rest.lstrip(b"\0") or more()
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


def _unpacker(kind: Kind) -> tuple[Callable[[], _Unpacker], tuple[type[Exception], ...]]:
    """Return what begins a stream, and the errors of one that is damaged."""
    if kind == "bzip2":
        import bz2

        return lambda: _Unpacker(bz2.BZ2Decompressor(), bounded=True), (OSError, ValueError)
    if kind == "gzip":
        import zlib

        return lambda: _Unpacker(zlib.decompressobj(31), bounded=False), (zlib.error,)
    import lzma

    return lambda: _Unpacker(lzma.LZMADecompressor(), bounded=True), (lzma.LZMAError,)


# ---- many streams of bzip2 at once ----


def at_once(data: bytes, more: More, position: int, *, jobs: int) -> Iterator[bytes]:
    """Yield what `unpacked` yields of bzip2, with `jobs` threads at work on the streams that come next."""
    from concurrent.futures import ThreadPoolExecutor

    waiting: deque[tuple[int, bytes, Future[bytes | None]]] = deque()
    threads = ThreadPoolExecutor(jobs, thread_name_prefix="bzip2")
    try:
        for start, some in _streams(data, more, position):
            if isinstance(some, bytes):
                waiting.append((start, some, threads.submit(_whole, some)))
                if len(waiting) > 2 * jobs:
                    yield from _next(waiting)
                continue
            while waiting:
                yield from _next(waiting)
            yield from some
        while waiting:
            yield from _next(waiting)
    finally:
        threads.shutdown(cancel_futures=True)


def _next(waiting: deque[tuple[int, bytes, Future[bytes | None]]]) -> Iterator[bytes]:
    start, data, future = waiting.popleft()
    whole = future.result()
    if whole is None:  # damaged, or too much of it: piece by piece, as far as it goes
        slices = _Slices(data)
        yield from unpacked("bzip2", slices(), slices, lambda: start + slices.position)
    else:
        yield whole


class _Slices:
    """Gives bytes a little at a time, so that little is lost where they are damaged."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.position = 0

    def __call__(self) -> bytes:
        some = self._data[self.position : self.position + _SLICE]
        self.position += len(some)
        return some


def _whole(data: bytes) -> bytes | None:
    """Return whole streams unpacked, or None if that cannot be done, or would be too much at once."""
    import bz2

    parts, left = [], _MOST
    while data:
        unpacker = bz2.BZ2Decompressor()
        try:
            parts.append(unpacker.decompress(data, left))
        except (OSError, ValueError):
            return None
        left -= len(parts[-1])
        if not unpacker.eof or left <= 0:
            return None
        data = unpacker.unused_data.lstrip(b"\0")
    return b"".join(parts)


def _streams(data: bytes, more: More, position: int) -> Iterator[tuple[int, bytes | Iterator[bytes]]]:
    """Yield whole streams, some together, with the place where they begin; at last what is left if that is one long stream."""
    held = bytearray(data)
    looked = 1
    while True:
        while len(held) < _ENOUGH or not (match := _SIGNATURE.search(held, max(looked, _ENOUGH))):
            looked = max(looked, len(held) - 10)
            if len(held) > _LONG:
                place = [position + len(held)]

                def counted(place: list[int] = place) -> bytes:
                    piece = more()
                    place[0] += len(piece)
                    return piece

                yield position, unpacked("bzip2", bytes(held), counted, lambda place=place: place[0])  # type: ignore[misc]
                return
            if not (piece := more()):
                if held:
                    yield position, bytes(held)
                return
            held += piece
        yield position, bytes(held[: match.start()])
        position += match.start()
        del held[: match.start()]
        looked = 1
