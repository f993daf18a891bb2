"""The replies of teachers and judges, each kept under the hash of its request the moment it arrives.

Several threads may put replies at once, and should: a disk flushes many files in little more time than one.

One reply is paid for once, by whichever build, sweep or process asks first: the others wait for it.  A reply that cannot be
read, or whose checksum is not right, is as good as none.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from ftbuild.digest import digest
from ftbuild.errors import FtbuildError
from ftbuild.store import Store, publish, read_json


class Replies:
    """The replies in one store."""

    def __init__(self, store: Store) -> None:
        self._locks = store.locks
        self.folder = store.root / "replies"

    def get(self, request: str) -> dict[str, Any] | None:
        """Return the stored reply to a request, or None."""
        kept = read_json(self.folder / request[:2] / f"{request[2:]}.json")
        whole = isinstance(kept, dict) and kept.get("checksum") == digest([request, kept.get("reply")])
        return kept["reply"] if whole else None

    def put(self, request: str, reply: dict[str, Any]) -> None:
        """Store a reply.  FtbuildError if the disk refuses."""
        try:
            record = {"reply": reply, "checksum": digest([request, reply])}
            publish(self.folder / request[:2], f"{request[2:]}.json", json.dumps(record, ensure_ascii=False).encode())
        except OSError as error:
            raise FtbuildError(
                f"cannot write to the store {self.folder.parent}: {error.strerror}", hint="is the disk full or read-only?"
            ) from error

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
