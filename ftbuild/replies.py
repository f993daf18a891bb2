"""The replies of teachers and judges, each kept under the hash of its request the moment it arrives.

Replies that arrive together are written together (`Writer`): a disk flushes many files in little more time than one.

One reply is paid for once, by whichever build, sweep or process asks first: the others wait for it.  A reply that cannot be
read, or whose checksum is not right, is as good as none.
"""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import AsyncIterator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from itertools import islice
from typing import TYPE_CHECKING, Any

from ftbuild.digest import digest
from ftbuild.errors import FtbuildError
from ftbuild.store import Record, Store, put_all

if TYPE_CHECKING:
    import asyncio

_FLUSHERS = 8  # threads that wait for the disk; it is as quick with eight as with more
_A_BATCH = 128


class Writer:
    """A thread that puts replies on the disk, all that have arrived at a time."""

    def __init__(self, replies: Replies) -> None:
        self._replies = replies
        self._waiting: queue.SimpleQueue[tuple[Record, asyncio.Future[None]] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    async def put(self, request: str, reply: dict[str, Any]) -> None:
        """Store a reply, and return when it is on the disk.  FtbuildError if the disk refuses."""
        import asyncio

        if self._thread is None:
            loop = asyncio.get_running_loop()
            self._thread = threading.Thread(target=self._work, args=(loop,), name="replies", daemon=True)
            self._thread.start()
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.put((self._replies.record(request, reply), done))
        await done

    def close(self) -> None:
        """Wait until everything is on the disk."""
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join()
            self._thread = None

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        with ThreadPoolExecutor(_FLUSHERS, thread_name_prefix="replies") as pool:
            while first := self._waiting.get():
                batch, over = [first], False
                while len(batch) < _A_BATCH and not over:
                    try:
                        item = self._waiting.get_nowait()
                    except queue.Empty:
                        break
                    if item is None:
                        over = True
                    else:
                        batch.append(item)
                problems = put_all([record for record, _ in batch], lambda tasks: pool.map(lambda task: task(), tasks))
                with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                    loop.call_soon_threadsafe(self._tell, [done for _, done in batch], problems)
                if over:
                    return

    def _tell(self, waiting: list[asyncio.Future[None]], problems: list[OSError | None]) -> None:
        for done, problem in zip(waiting, problems, strict=True):
            if done.done():
                continue
            if problem:
                done.set_exception(self._replies.refused(problem))
            else:
                done.set_result(None)


class Replies:
    """The replies in one store."""

    def __init__(self, store: Store) -> None:
        self._locks = store.locks
        self.folder = store.root / "replies"
        self._home = str(self.folder)

    def get(self, request: str) -> dict[str, Any] | None:
        """Return the stored reply to a request, or None."""
        try:
            with open(f"{self._home}/{request[:2]}/{request[2:]}.json", "rb") as file:  # noqa: PTH123 - as quick as can be
                kept = json.loads(file.read())
        except (OSError, ValueError):
            return None
        whole = isinstance(kept, dict) and kept.get("checksum") == digest([request, kept.get("reply")])
        return kept["reply"] if whole else None

    def put(self, request: str, reply: dict[str, Any]) -> None:
        """Store a reply.  FtbuildError if the disk refuses."""
        (problem,) = put_all([self.record(request, reply)], lambda tasks: [task() for task in tasks])
        if problem:
            raise self.refused(problem)

    def put_many(self, replies: Iterable[tuple[str, dict[str, Any]]]) -> None:
        """Store many replies together, which is quicker than one by one.  FtbuildError if the disk refuses."""
        with ThreadPoolExecutor(_FLUSHERS, thread_name_prefix="replies") as pool:
            waiting = iter(replies)
            while some := [self.record(*one) for one in islice(waiting, _A_BATCH)]:
                problems = put_all(some, lambda tasks: pool.map(lambda task: task(), tasks))
                if problem := next(filter(None, problems), None):
                    raise self.refused(problem)

    def record(self, request: str, reply: dict[str, Any]) -> Record:
        """Return what is to be written for a reply, and where."""
        content = json.dumps({"reply": reply, "checksum": digest([request, reply])}, ensure_ascii=False).encode()
        return f"{self._home}/{request[:2]}", f"{request[2:]}.json", content

    def refused(self, problem: OSError) -> FtbuildError:
        """Return what to say when the disk refuses."""
        hint = "is the disk full or read-only?"
        return FtbuildError(f"cannot write to the store {self.folder.parent}: {problem.strerror}", hint=hint)

    @contextmanager
    def submitting(self, what: str, *, patience: float) -> Iterator[None]:
        """Be the only one who submits requests by the batch, or takes the results of one."""
        with self._locks.hold(f"batch {what}", patience=patience):
            yield

    @asynccontextmanager
    async def asking(self, request: str, *, patience: float) -> AsyncIterator[None]:
        """Be the only one who asks for a reply.  Somebody may have got it meanwhile, whether they were waited for or not."""
        async with self._locks.hold_async(f"reply {request}", patience=patience):
            yield
