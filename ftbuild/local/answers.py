"""Requests that arrive together are decoded together: a queue in front of the engine, and one thread behind it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from ftbuild.local.engine import Made, Wanted
    from ftbuild.local.models import Library, Loaded

_GATHER = 0.004  # seconds to wait for more requests before a batch is decoded


@dataclass
class _Waiting:
    model: str
    wanted: list[Wanted]
    done: asyncio.Future[list[Made]]


class Answers:
    """Turns single requests into batches for the engine, one model at a time."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine")
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue()
        self._worker: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to take requests."""
        self._worker = asyncio.create_task(self._work())

    async def close(self) -> None:
        """Stop taking requests."""
        if self._worker:
            self._worker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._worker
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def load(self, name: str, folder: Path | None) -> Loaded:
        """Return a loaded model."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self.library.load, name, folder)

    async def complete(self, model: str, wanted: list[Wanted]) -> list[Made]:
        """Return completions for prompts to a model that was loaded before."""
        waiting = _Waiting(model, wanted, asyncio.get_running_loop().create_future())
        await self._queue.put(waiting)
        return await waiting.done

    async def _work(self) -> None:
        held: list[_Waiting] = []
        while True:
            batch = [held.pop(0) if held else await self._queue.get()]
            await asyncio.sleep(_GATHER)
            while not self._queue.empty():
                held.append(self._queue.get_nowait())
            batch += [w for w in held if w.model == batch[0].model]
            held = [w for w in held if w.model != batch[0].model]
            batch = [w for w in batch if not w.done.cancelled()]
            if batch:
                await self._decode(batch)

    async def _decode(self, batch: Sequence[_Waiting]) -> None:
        from ftbuild.local.engine import complete

        loop = asyncio.get_running_loop()
        try:
            loaded = await loop.run_in_executor(self._thread, self.library.load, batch[0].model)
            made = await loop.run_in_executor(self._thread, complete, loaded, [one for w in batch for one in w.wanted])
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must hear of it
            for waiting in batch:
                if not waiting.done.done():
                    waiting.done.set_exception(error)
            return
        for waiting in batch:
            mine, made = made[: len(waiting.wanted)], made[len(waiting.wanted) :]
            if not waiting.done.done():
                waiting.done.set_result(mine)
