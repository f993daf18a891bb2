"""Work on many pieces with all cores, in order: what comes out does not depend on how many there are.

In: a function of a module, what each process sets up once, and an iterable of pieces.  Out: the results in the pieces' order.
The first second is worked off in this process, and only what is left after it in others, so that little work costs nothing
more.  No more pieces are read than are being worked on, so that memory does not grow with their number.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from ftbuild.errors import FtbuildError

T = TypeVar("T")
R = TypeVar("R")

ALONE = 1.0
"""Seconds of work after which other processes are worth their start."""

BATCH = 256 * 1024
"""Characters that one process is given at a time."""

_setup: Any = None


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def batches(things: Iterable[T], size: Callable[[T], int], most: int = BATCH) -> Iterator[list[T]]:
    """Yield things in lists of about so many characters each."""
    batch: list[T] = []
    held = 0
    for thing in things:
        batch.append(thing)
        held += size(thing)
        if held >= most:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch


def mapped(
    work: Callable[[Any, T], R],
    pieces: Iterable[T],
    *,
    setup: Callable[[Any], Any],
    given: Any,
    jobs: int | None = None,
    alone: float = ALONE,
) -> Iterator[R]:
    """Yield `work(setup(given), piece)` for every piece, in order.

    `jobs` is how many processes may work at once, all cores unless it is given.  What they are handed must be picklable.
    FtbuildError if one of them dies.
    """
    waiting, jobs = iter(pieces), jobs or cores()
    if multiprocessing.current_process().daemon:
        jobs = 1  # such a process may have no others
    here, started = setup(given), time.monotonic()
    for piece in waiting:
        yield work(here, piece)
        if jobs > 1 and time.monotonic() - started > alone:
            break
    else:
        return
    yield from _pooled(work, waiting, setup, given, jobs)


def _pooled(
    work: Callable[[Any, T], R], pieces: Iterator[T], setup: Callable[[Any], Any], given: Any, jobs: int
) -> Iterator[R]:
    before = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")  # a fork would copy threads and open connections
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin, initargs=(setup, given))
    under_way: deque[Future[R]] = deque()
    done = False
    try:
        for piece in pieces:
            under_way.append(pool.submit(_do, work, piece))
            while len(under_way) > jobs * 2:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
        done = True
    except BrokenProcessPool:
        raise FtbuildError(
            "a process at work on the documents died", hint="is there enough memory? clean.jobs=1 works on one at a time"
        ) from None
    finally:
        pool.shutdown(wait=done, cancel_futures=True)
        if not done:
            for child in set(multiprocessing.active_children()) - before:
                child.terminate()


def _begin(setup: Callable[[Any], Any], given: Any) -> None:
    global _setup  # noqa: PLW0603 - what a process of the pool sets up once
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the build, which ends these
    _setup = setup(given)


def _do(work: Callable[[Any, T], R], piece: T) -> R:
    return work(_setup, piece)
