"""The engine that asks: many exchanges at once, each of which goes on by itself, and given out in their order.

In: exchanges and a `Teacher`.  Out: exchanges with their replies.  When something goes wrong that asking on cannot
mend, nothing new is sent, what is under way is waited for and kept, and the error is raised.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic

from ftbuild.errors import FtbuildError, Reserved, SourceError
from ftbuild.exchange import UNTOLD, E, Known, Reply, Request
from ftbuild.pace import backoff
from ftbuild.replies import Writer
from ftbuild.wire import Address, Answer, Kind, Trouble, Wire

if TYPE_CHECKING:
    from ftbuild.teacher import Teacher

_AT_LEAST, _AT_MOST = 1_000, 10_000  # exchanges that may be done before the oldest one is
_A_BATCH = 256
_STRIKES = 3  # exchanges without an answer, and none with one, until the provider is given up
_STRIKES_LATER = 25  # the same in a row, once there were answers
_TOO_LONG = 600.0  # seconds; nobody waits longer for a provider that takes no more
_FOREVER = 3600.0  # seconds that one request waits for its turn while others are answered
_LETTERS_A_TOKEN = 3
_A_MOMENT = 0.05  # seconds


class _StoppedError(Exception):
    """Nothing is to be sent any more."""


@dataclass
class _Place(Generic[E]):
    """The place of an exchange in the line: its replies so far, and whether they are all."""

    exchange: E
    said: list[Reply] = field(default_factory=list)
    done: bool = False


class Rounds(Generic[E]):
    """Asks exchanges; made for one `play`."""

    def __init__(self, teacher: Teacher, address: Address, exchanges: Iterator[E]) -> None:
        self._teacher, self._exchanges = teacher, exchanges
        self._pace, self._meter = teacher.pace, teacher.meter
        self._line: deque[_Place[E]] = deque()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._sending: set[asyncio.Task[Any]] = set()  # those that must not be ended, as somebody pays for their replies
        self._writer = Writer(teacher.replies)
        self._changed = asyncio.Event()
        self._over = False
        self._error: BaseException | None = None
        self._wire = Wire(address, self._pace.most)
        self._longest = min(_AT_MOST, max(_AT_LEAST, 20 * self._pace.most))
        self._answers = self._strikes = 0
        self._proven = False  # whether this provider has answered before, in another build
        self._plain = False  # whether the provider turned out to have no structured output

    async def play(self, take: Callable[[E, Sequence[Reply]], None]) -> None:
        """Ask all exchanges and hand each of them over, in order."""
        try:
            while batch := await self._next():
                for exchange, said in batch:
                    take(exchange, said)
                await asyncio.sleep(0)
        finally:
            await self._close()

    async def _next(self) -> list[tuple[E, list[Reply]]]:
        """Return the next exchanges that are done.  Raises what went wrong once nothing is under way any more."""
        while True:
            more = self._fill()
            ready = []
            while self._line and self._line[0].done and self._error is None:
                place = self._line.popleft()
                ready.append((place.exchange, place.said))
            if ready:
                return ready
            if not self._tasks and (self._over or self._error):
                if self._error:
                    raise self._error
                return []
            self._changed.clear()
            if not more:
                await self._changed.wait()

    async def _close(self) -> None:
        """End whatever is under way, and see that everything that arrived is on the disk."""
        self._over = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._writer.close()
        await self._wire.close()

    def _fill(self) -> bool:
        """Begin with exchanges while there is room for them, and say whether there is still some."""
        for _ in range(_A_BATCH):
            if self._over or self._error or len(self._line) >= self._longest or len(self._tasks) >= 2 * self._pace.most + 16:
                return False
            try:
                exchange = next(self._exchanges)
            except StopIteration:
                self._over = True
                return False
            except Exception as error:  # noqa: BLE001 - whatever it is, what is under way comes first
                self._stop(error)
                return False
            known = self._teacher.known(exchange)
            self._proven |= bool(known.said)
            place = _Place(exchange, known.said, done=known.next is None)
            self._line.append(place)
            if not place.done:
                task = asyncio.get_running_loop().create_task(self._converse(place, known))
                self._tasks.add(task)
                task.add_done_callback(self._ended)
        return True

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._changed.set()
        if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, _StoppedError):
            self._stop(error)

    def _stop(self, error: BaseException) -> None:
        """Send nothing any more, and wait only for what is under way; the first error is the one that counts."""
        self._error = self._error or error
        for task in self._tasks - self._sending:
            if task is not asyncio.current_task():
                task.cancel()
        self._changed.set()

    async def _converse(self, place: _Place[E], known: Known) -> None:
        request, anew = known.next, known.anew
        while request is not None:
            reply = await self._reply(request, anew=anew)
            place.said.append(reply)
            request, anew = (None if reply.lost else place.exchange.follow(place.said)), False
        place.done = True

    async def _reply(self, request: Request, *, anew: bool) -> Reply:
        """Return the reply to a request that nobody else is asking; whoever is, in any process, is waited for."""
        if self._error:
            raise _StoppedError
        async with self._teacher.replies.asking(request.id, patience=self._teacher.patience):
            if not anew and (kept := self._teacher.kept(request)):
                return kept
            try:
                answer = await self._answer(request)
                self._strikes, self._answers = 0, self._answers + 1
                record: dict[str, Any] = {"text": answer.text, "finish": answer.finish, "usage": answer.usage}
                record |= {"refusal": answer.refusal} if answer.refusal else {}
                await self._writer.put(request.id, record)
                return Reply(answer.text, answer.finish, answer.usage, answer.refusal)
            except Trouble as trouble:
                self._count(trouble)
                return Reply("", problem=trouble.error.message, lost=True)
            finally:
                self._sending.discard(_this_task())

    def _count(self, trouble: Trouble) -> None:
        """Count an exchange that was given up.  A provider that answers nobody is given up too: then this raises."""
        self._strikes += 1
        proven = self._answers or (self._proven and trouble.kind is Kind.THIS_ONE)
        alone = self._over and len(self._tasks) <= 1
        if trouble.kind is Kind.ALL or self._strikes >= (_STRIKES_LATER if proven else _STRIKES) or (alone and not proven):
            self._stop(trouble.error)
            raise _StoppedError from trouble

    async def _answer(self, request: Request) -> Answer:
        """Send a request until it is answered.  Raises Trouble when it is given up."""
        tries, waits, waited, plain = 0, 0, 0.0, False
        while True:
            try:
                answer = await self._send(request, plain=plain, first=plain or tries + waits > 0)
            except Trouble as trouble:
                if trouble.kind is Kind.BUSY:
                    wait = backoff(waits, trouble.wait)
                    waits, waited = waits + 1, waited + wait
                    if wait > _TOO_LONG or waited > (_FOREVER if self._answers else _TOO_LONG):
                        raise Trouble(Kind.ALL, _too_long(trouble.error, wait)) from trouble
                elif trouble.status in (400, 422) and "response_format" in request.body and not plain:
                    plain, wait = True, 0.0
                elif trouble.kind is Kind.PASSING and tries < self._teacher.provider.retries:
                    wait = backoff(tries, trouble.wait)
                    tries += 1
                elif tries:
                    raise Trouble(trouble.kind, _tried(trouble.error, tries + 1)) from trouble
                else:
                    raise
            else:
                if plain and not self._plain and "response_format" in request.body:
                    self._plain = True
                    self._teacher.note("the provider takes no response_format; going on without structured output")
                return answer
            self._sending.discard(_this_task())
            if self._error:
                raise _StoppedError
            await asyncio.sleep(wait)

    async def _send(self, request: Request, *, plain: bool, first: bool) -> Answer:
        """Send a request once, when its turn comes; a `plain` one without what not every provider takes."""
        ticket = await self._pace.enter(_tokens(request.body), first=first)
        body = request.body
        if plain or self._plain:
            body = {name: value for name, value in body.items() if name != "response_format"}
        usage: Mapping[str, int] = {}
        used: float | None = 0.0
        try:
            if self._error:
                raise _StoppedError
            await self._allowed(request)
            self._sending.add(_this_task())
            try:
                answer = await self._wire.post(request.endpoint, body)
                usage = answer.usage or UNTOLD
                used = float(sum(answer.usage.values())) if answer.usage else None
            finally:
                if self._meter:
                    self._meter.after(request, usage)
            self._pace.answered(ticket)
            if answer.pause:
                self._pace.pause(answer.pause)
        except Trouble as trouble:
            if trouble.kind is Kind.BUSY:
                self._pace.push_back(ticket, backoff(0, trouble.wait))
            elif trouble.late:
                self._pace.overrun(ticket)
            raise
        finally:
            self._pace.leave(ticket, used)
        return answer

    async def _allowed(self, request: Request) -> None:
        """Wait until the meter lets a request go, which may be when those under way have turned out to cost less."""
        while self._meter:
            try:
                self._meter.before(request)
            except Reserved:
                await asyncio.sleep(_A_MOMENT)
                if self._error:
                    raise _StoppedError from None
            else:
                return


def _this_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


def _tokens(body: Mapping[str, Any]) -> float:
    """Return about how many tokens a request may take."""
    text = body["prompt"] if "prompt" in body else body.get("messages", "")
    letters = len(text) if isinstance(text, str) else len(json.dumps(text, ensure_ascii=False))
    return letters / _LETTERS_A_TOKEN + float(body.get("max_tokens") or body.get("max_completion_tokens") or 0)


def _tried(error: FtbuildError, times: int) -> FtbuildError:
    return type(error)(f"{error.message} ({times} attempts)", hint=error.hint)


def _too_long(error: FtbuildError, wait: float) -> FtbuildError:
    return SourceError(f"{error.message} (it wants to be left alone for {wait:.0f} s)", hint=error.hint)
