"""Locks between processes, by key: whoever wants the same work waits for whoever does it.

In: a folder and a key.  Out: a lock that is held until it is released or its process is gone, however it went, so that none
is ever stale.  A lock is a single byte, at a place that follows from the key, of one file that stays empty; nothing is left
behind, and no two keys wait for each other.

POSIX record locks belong to a process and fall with the first descriptor of the file that it closes: each process opens the
file once and keeps it open, and threads of one process exclude each other by a set.  They work over NFS 4 too.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

from ftbuild.errors import FtbuildError, LockTimeout

_PAUSES = (0.02, 0.05, 0.1, 0.2, 0.5)  # seconds between two tries; the last one again and again
_HELD_BY_ANOTHER = frozenset({errno.EACCES, errno.EAGAIN})


class Locks:
    """The locks of one folder."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "locks"

    @contextlib.contextmanager
    def hold(self, key: str, *, patience: float, waiting: Callable[[], None] = lambda: None) -> Iterator[bool]:
        """Hold the lock on `key`; yield whether it had to be waited for, which `waiting` is told once.

        Raises LockTimeout after `patience` seconds.
        """
        tries = _tries(key, patience)
        waited = False
        while not self.take(key):
            if not waited:
                waiting()
            waited = True
            time.sleep(next(tries))
        try:
            yield waited
        finally:
            self.release(key)

    @contextlib.asynccontextmanager
    async def hold_async(self, key: str, *, patience: float) -> AsyncIterator[bool]:
        """Hold the lock on `key` as `hold` does, and let others go on meanwhile."""
        import asyncio

        tries = _tries(key, patience)
        waited = False
        while not self.take(key):
            waited = True
            await asyncio.sleep(next(tries))
        try:
            yield waited
        finally:
            self.release(key)

    @contextlib.contextmanager
    def share(self, key: str, *, patience: float) -> Iterator[None]:
        """Hold a lock on `key` together with all others who share it, and with nobody who holds it alone."""
        handle, _, guard = _opened(self._file)
        place, tries = _place(key), _tries(key, patience)
        here = (handle, place)
        while not self._lock(handle, place, fcntl.LOCK_SH):
            time.sleep(next(tries))
        with guard:
            _shared[here] = _shared.get(here, 0) + 1
        try:
            yield
        finally:
            with guard:
                _shared[here] -= 1
                if not _shared[here]:
                    fcntl.lockf(handle, fcntl.LOCK_UN, 1, place)

    def take(self, key: str) -> bool:
        """Take the lock on `key` if nobody has it, and say so."""
        handle, held, guard = _opened(self._file)
        place = _place(key)
        with guard:
            if place in held or not self._lock(handle, place, fcntl.LOCK_EX):
                return False
            held.add(place)
            return True

    def _lock(self, handle: int, place: int, how: int) -> bool:
        try:
            fcntl.lockf(handle, how | fcntl.LOCK_NB, 1, place)
        except OSError as error:
            if error.errno in _HELD_BY_ANOTHER:
                return False
            raise FtbuildError(f"cannot lock {self._file}: {error.strerror}") from error
        return True

    def release(self, key: str) -> None:
        """Give the lock on `key` back."""
        handle, held, guard = _opened(self._file)
        place = _place(key)
        with guard:
            fcntl.lockf(handle, fcntl.LOCK_UN, 1, place)
            held.discard(place)


def _tries(key: str, patience: float) -> Iterator[float]:
    """Yield how long to sleep before each further try; LockTimeout when there is to be none."""
    ends = time.monotonic() + patience
    for n in range(1_000_000_000):
        if time.monotonic() >= ends:
            raise LockTimeout(
                f"another process has been at {key} for more than {patience:g} s",
                hint="is it still at work? lock_timeout=SECONDS says how long to wait",
            )
        yield _PAUSES[min(n, len(_PAUSES) - 1)]


def _place(key: str) -> int:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") >> 2  # within what off_t holds


_Opened = tuple[int, set[int], threading.Lock]
_files: dict[tuple[int, Path], _Opened] = {}
_shared: dict[tuple[int, int], int] = {}
_files_guard = threading.Lock()


def _opened(file: Path) -> _Opened:
    """Return this process's one descriptor of a lock file, the places that it holds, and what guards them."""
    with _files_guard:
        name = (os.getpid(), file.absolute())  # a forked child has locks of its own
        if name not in _files:
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
                handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            except OSError as error:
                raise FtbuildError(
                    f"cannot write to the store {file.parent}: {error.strerror}", hint="choose another with store=DIRECTORY"
                ) from error
            _files[name] = handle, set(), threading.Lock()
        return _files[name]
