"""How fast to ask: how many requests are under way at once, and how many go out in a minute.

The number at once begins at a guess and doubles with every round of answers until the provider pushes back (HTTP 429).  Then
it falls to what the provider did take, stays there, and tries one more now and then, more rarely each time that is refused.
Requests and tokens a minute are kept to by spacing: no minute holds more than the limit.

As refusals come at once and answers do not, a moment of silence at the beginning lets it grow as well.

In: refusals, answers, headers.  Out: `enter`, which returns when the next request may go.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

_FIRST = 32  # requests at once to begin with: quick enough for a short run, few enough to be refused by a small server
_SILENCE = 0.1  # seconds after the first requests in which a server that is full would have said so; then as many again go
_PATIENT = 8  # rounds of answers before one more request at once is tried where one was refused
_HALF = 0.5
_MANY = 16
_NOTHING = 1e-6  # seconds that are not worth waiting for
_BURST = 600.0  # the share of a minute's limit that may go at once: a tenth of a second's worth


@dataclass
class Bucket:
    """A limit for a minute.  What is taken comes back evenly; it may be overdrawn by one taking."""

    a_minute: float
    clock: Callable[[], float] = time.monotonic
    level: float = field(init=False)
    seen: float = field(init=False)

    def __post_init__(self) -> None:
        self.size = max(1.0, self.a_minute / _BURST)
        self.rate = (self.a_minute - self.size + 1) / 60 if self.size > 1 else self.a_minute / 60
        self.level, self.seen = self.size, self.clock()

    def wait(self, amount: float) -> float:
        """Return how many seconds it takes until `amount` may be taken."""
        now = self.clock()
        self.level, self.seen = min(self.size, self.level + (now - self.seen) * self.rate), now
        seconds = (min(amount, self.size) - self.level) / self.rate
        return seconds if seconds > _NOTHING else 0.0

    def take(self, amount: float) -> None:
        """Take an amount, or give some back if it is negative."""
        self.level -= amount


@dataclass
class Ticket:
    """A request under way: in which epoch it was sent, and the tokens that were set aside for it."""

    epoch: int
    tokens: float


class Pace:
    """The pace at which one provider is asked.  It is kept from stage to stage of a build."""

    def __init__(
        self,
        most: int,
        *,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.most, self.limit = most, float(min(most, _FIRST))
        self._room = most if most < _MANY else 2 * most  # so that many at once need not wait for the disk
        self.under_way = 0
        self.unsaved = 0  # answered, and not on the disk yet: these count towards the most, but not for the provider
        self.refused = 0
        self._clock = clock
        self._requests = Bucket(requests_per_minute, clock) if requests_per_minute else None
        self._tokens = Bucket(tokens_per_minute, clock) if tokens_per_minute else None
        self._goal = float("inf")  # up to here the number grows with every answer
        self._epoch = 0  # counts the times that it was lowered
        self._answered = False  # whether anything sent in this epoch was answered
        self._rounds = float(_PATIENT)
        self._paused_until = 0.0
        self._first: deque[asyncio.Future[None]] = deque()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._alarm: asyncio.TimerHandle | None = None
        self._heard = self._listening = False  # whether anything came back yet, and whether that is being waited for
        self._tokens_next: dict[asyncio.Future[None], float] = {}

    async def enter(self, tokens: float = 0, *, first: bool = False) -> Ticket:
        """Wait until a request of about so many tokens may be sent.  One that was refused goes `first`."""
        import asyncio

        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        (self._first if first else self._waiting).append(place)
        self._tokens_next[place] = tokens
        self._let_go()
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self.under_way -= 1
            self._let_go()
            raise
        finally:
            self._tokens_next.pop(place, None)
        return Ticket(self._epoch, tokens)

    def _let_go(self) -> None:
        """Let those go who may, and set the alarm for when the next one may."""
        while queue := self._first or self._waiting:
            place = queue[0]
            if place.done():  # given up
                queue.popleft()
                continue
            if self.under_way >= int(self.limit) and not self._heard:
                self._listen()
            if self.under_way >= int(self.limit) or self.under_way + self.unsaved >= self._room:
                return
            tokens = self._tokens_next.get(place, 0)
            wait = max(
                self._paused_until - self._clock(),
                self._requests.wait(1) if self._requests else 0.0,
                self._tokens.wait(tokens) if self._tokens else 0.0,
            )
            if wait > 0:
                self._wake_in(wait)
                return
            queue.popleft()
            if self._requests:
                self._requests.take(1)
            if self._tokens:
                self._tokens.take(tokens)
            self.under_way += 1
            place.set_result(None)

    def _listen(self) -> None:
        """Send more after a moment, unless something comes back: whoever is full says so at once."""
        import asyncio

        def silent() -> None:
            self._listening = False
            if not self._heard:
                self.limit = min(float(self.most), 2 * self.limit)
                self._let_go()

        if not self._listening and self.limit < self.most:
            self._listening = True
            asyncio.get_running_loop().call_later(_SILENCE, silent)

    def _wake_in(self, seconds: float) -> None:
        import asyncio

        if self._alarm:
            self._alarm.cancel()
        self._alarm = asyncio.get_running_loop().call_later(seconds, self._let_go)

    def leave(self, ticket: Ticket, used: float | None = None, *, unsaved: bool = False) -> None:
        """Hear that a request has ended, how many tokens it took if that is known, and whether a reply is to be saved."""
        self.under_way -= 1
        self.unsaved += unsaved
        self._heard = True
        if self._tokens and used is not None:
            self._tokens.take(used - ticket.tokens)
        self._let_go()

    def saved(self) -> None:
        """Hear that a reply is on the disk."""
        self.unsaved -= 1
        self._let_go()

    def answered(self, ticket: Ticket) -> None:
        """Hear that the provider took a request: a little more may be tried."""
        if ticket.epoch == self._epoch:
            self._answered = True
        if self.limit >= self.most or self.under_way < self.limit * _HALF:
            return
        step = 1.0 if self.limit < self._goal else 1 / (self._rounds * self.limit)
        self.limit = min(float(self.most), self.limit + step)

    def push_back(self, ticket: Ticket, seconds: float) -> None:
        """Hear that the provider took no more, and how long it wants to be left alone by this request.

        What is under way besides shows what it does take.  If nothing that was sent since the last refusals was taken, it is
        not about how many go at once: then nobody sends until the time is over.
        """
        self.refused += 1
        others = max(1, self.under_way - 1)
        if ticket.epoch != self._epoch:  # sent before the last lowering, which this refusal belongs to
            self.limit = max(1.0, min(self.limit, others))
            self._goal = min(self._goal, self.limit)
            return
        paced = self._epoch > 0 and not self._answered
        if self._epoch:
            self._rounds *= 2
        self._epoch += 1
        self._answered = False
        if paced:
            self._goal, self.limit = max(1.0, self.limit), max(1.0, self.limit * _HALF)
            self.pause(seconds)
        else:
            self.limit = max(1.0, min(self.limit, others))
            self._goal = self.limit

    def overrun(self, ticket: Ticket) -> None:
        """Hear that an answer took longer than anybody waits: perhaps too many were asked for at once."""
        if ticket.epoch == self._epoch:
            self._epoch += 1
            self.limit = max(1.0, self.limit * _HALF)
            self._goal = self.limit

    def pause(self, seconds: float) -> None:
        """Let nobody send for so many seconds."""
        self._paused_until = max(self._paused_until, self._clock() + seconds)


def backoff(attempt: int, told: float | None = None, *, longest: float = 60.0) -> float:
    """Return how long to wait before another attempt: what was told and a little more, or longer each time, by chance."""
    if told is not None:
        return told * random.uniform(1.0, 1.1)  # noqa: S311 - so that not all come back at once
    return min(longest, 0.5 * 2.0**attempt) * random.uniform(0.5, 1.0)  # noqa: S311
