"""Between the event loop and the engine: requests go in at any time, pieces of answers come out as they are made.

One thread decodes, the rows of each base model together; another loads models.  Neither ever holds up the event loop.
Requests in the background, such as a batch's, start only while no live one is waiting or being answered.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from pathlib import Path

    from ftbuild.local.engine import Batch, Row, Wanted
    from ftbuild.local.library import Base, Library, Loaded

Made = TypeVar("Made")

_GATHER = 0.004  # seconds to wait for more requests before an idle engine begins
_AT_ONCE = 16  # rows that are read before the others go on
_IN_BACKGROUND = 8  # rows of requests in the background at once


@dataclass(frozen=True)
class Piece:
    """What was added to a row: the text that may be shown now, and which of the row's tokens are told with it.

    Once `finish` is set, it was the last.
    """

    index: int
    text: str
    row: Row
    tokens: range
    finish: str


class _Asked:
    """One request: its rows, and the queue in which its pieces arrive, or an error."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, background: bool) -> None:
        self.loop, self.background = loop, background
        self.rows: list[Row] = []
        self.pieces: asyncio.Queue[Piece | BaseException] = asyncio.Queue()

    def tell(self, told: Piece | BaseException) -> None:
        """Deliver a piece.  Called in the engine's thread."""
        try:
            self.loop.call_soon_threadsafe(self.pieces.put_nowait, told)
        except RuntimeError:  # the loop is closed: nobody waits any more
            for row in self.rows:
                row.cancelled = True


class Answers:
    """Turns requests into rows of batches, and what becomes of them into answers."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="loader")
        self._clerk = ThreadPoolExecutor(1, thread_name_prefix="clerk")
        self._scheduler = _Scheduler()

    async def start(self) -> None:
        """Begin to take requests."""
        self._scheduler.start()
        self._loader.submit(_warm_up)

    async def close(self) -> None:
        """Stop taking requests."""
        self._scheduler.stop()
        for pool in (self._loader, self._clerk):
            pool.shutdown(wait=False, cancel_futures=True)

    async def load(self, name: str, folder: Path | None) -> Loaded:
        """Return a loaded model."""
        return await asyncio.get_running_loop().run_in_executor(self._loader, self.library.load, name, folder)

    async def apart(self, do: Callable[[], Made]) -> Made:
        """Do what may take a while, such as reading a long prompt's tokens, beside the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._clerk, do)

    async def ask(self, loaded: Loaded, wanted: Sequence[Wanted], *, background: bool = False) -> AsyncGenerator[Piece, None]:
        """Yield the pieces of all completions as they are made.  Who stops listening stops the work."""
        from ftbuild.local.engine import Row

        asked = _Asked(asyncio.get_running_loop(), background=background)
        asked.rows = await self.apart(lambda: [Row(loaded, one, _teller(asked, n)) for n, one in enumerate(wanted)])
        try:
            self._scheduler.add(asked)
            left = len(asked.rows)
            while left:
                piece = await asked.pieces.get()
                if isinstance(piece, BaseException):
                    raise piece
                yield piece
                left -= bool(piece.finish)
        finally:
            for row in asked.rows:
                row.cancelled = True

    async def complete(self, loaded: Loaded, wanted: Sequence[Wanted], *, background: bool = False) -> list[Row]:
        """Return the rows of all completions, ended."""
        done = {piece.index: piece.row async for piece in self.ask(loaded, wanted, background=background) if piece.finish}
        return [done[n] for n in range(len(wanted))]


def _warm_up() -> None:
    """Import what the first model needs, which takes longer than loading it."""
    import torch  # noqa: F401
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM  # noqa: F401


def _teller(asked: _Asked, index: int) -> Callable[[Row], None]:
    shown = 0

    def tell(row: Row) -> None:
        nonlocal shown
        text, count = row.writing.show(), len(row.scores)
        if text or row.finish or row.wanted.sampling.logprobs is not None:
            asked.tell(Piece(index, text, row, range(shown, count), row.finish))
            shown = count

    return tell


@dataclass(frozen=True)
class _Waiting:
    """A row that waits, the `place`-th of its request: of two requests, the first rows go before the second ones."""

    asked: _Asked
    row: Row
    place: int


class _Scheduler:
    """The engine's thread: what waits, what runs, and whose turn it is."""

    def __init__(self) -> None:
        self._new: queue.SimpleQueue[_Asked | None] = queue.SimpleQueue()
        self._waiting: list[_Waiting] = []
        self._running: dict[Row, _Asked] = {}
        self._batches: dict[Base, Batch] = {}
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._stopped = False

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped = True
        self._new.put(None)

    def add(self, asked: _Asked) -> None:
        if self._stopped:
            raise RuntimeError("the server is stopping")
        self._new.put(asked)

    def _run(self) -> None:
        while not self._stopped:
            self._receive()
            for base, batch in list(self._batches.items()):
                self._guarded(batch, batch.leave)
                if not batch.rows and not any(one.row.loaded.base is base for one in self._waiting):
                    del self._batches[base]  # so that the model may go
            self._running = {row: asked for row, asked in self._running.items() if not (row.finish or row.cancelled)}
            self._admit()
            for batch in self._turn():
                self._guarded(batch, partial(self._step, batch))

    def _receive(self) -> None:
        """Take in what has come; wait for something if there is nothing to do."""
        import time

        idle = not self._waiting and not any(batch.rows for batch in self._batches.values())
        if idle:
            self._take(self._new.get())
            time.sleep(_GATHER)
        while not self._new.empty():
            self._take(self._new.get())
        self._waiting = [one for one in self._waiting if not one.row.cancelled]

    def _take(self, asked: _Asked | None) -> None:
        if asked is not None:
            self._waiting += [_Waiting(asked, row, place) for place, row in enumerate(asked.rows)]
            self._waiting.sort(key=lambda one: (one.asked.background, one.place))  # a stable sort

    def _admit(self) -> None:
        """Let those that wait into the batches of their models, as many as there is room for."""
        from ftbuild.local.engine import Batch

        live = any(not asked.background for asked in (*self._running.values(), *(one.asked for one in self._waiting)))
        chosen: dict[Base, list[Row]] = {}
        left = []
        behind = sum(asked.background for asked in self._running.values())
        for one in self._waiting:
            asked, row, base = one.asked, one.row, one.row.loaded.base
            mine = chosen.get(base, [])
            batch = self._batches.setdefault(base, Batch(row.loaded))
            held = asked.background and (live or behind >= _IN_BACKGROUND)
            if held or len(mine) >= _AT_ONCE or not batch.takes([*mine, row]):
                left.append(one)
                continue
            chosen[base] = [*mine, row]
            self._running[row] = asked
            behind += asked.background
        self._waiting = left
        for base, rows in chosen.items():
            self._guarded(self._batches[base], partial(self._enter, self._batches[base], rows))

    def _enter(self, batch: Batch, rows: Sequence[Row]) -> None:
        batch.admit(rows)
        self._told(rows)

    def _step(self, batch: Batch) -> None:
        self._told(batch.step())

    def _turn(self) -> list[Batch]:
        """Return the batches that go on by a step: all that have a live row, or else all."""
        live = {row.loaded.base for row, asked in self._running.items() if not asked.background}
        return [batch for base, batch in self._batches.items() if batch.rows and (base in live or not live)]

    @staticmethod
    def _told(rows: Sequence[Row]) -> None:
        for row in rows:
            if row.tell:
                row.tell(row)

    def _guarded(self, batch: Batch, do: Callable[[], None]) -> None:
        """Do something to a batch; if it fails, those whose rows are in it hear of it, and the batch is given up."""
        try:
            do()
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must hear of it
            for row, asked in list(self._running.items()):
                if row.loaded.base is batch.base and not row.finish:
                    row.cancelled = True
                    asked.tell(error)
            self._batches.pop(batch.base, None)
