"""Asking a model many things: the one way in which teachers, judges and models under test are asked.

In: exchanges, each of which is a request and what to ask next once it is answered.  Out: each exchange with all its replies, in
the order of the exchanges, as they arrive; neither requests nor replies are all held at once.  A request that was answered
before, in any build, is not sent again, and a reply counts only once it is on the disk.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ftbuild.digest import digest

if TYPE_CHECKING:
    from ftbuild.pace import Pace
    from ftbuild.recipe import Provider
    from ftbuild.replies import Replies
    from ftbuild.wire import Address


@dataclass(frozen=True)
class Request:
    """One request: to which endpoint, with which body, who is asked, and which sample of it this is."""

    endpoint: str
    body: dict[str, Any]
    who: Mapping[str, str] = field(default_factory=dict)
    sample: int = 0

    @cached_property
    def id(self) -> str:
        """The hash that the reply is kept under."""
        return digest(["request", self.endpoint, self.body, dict(self.who), self.sample])


@dataclass(frozen=True)
class Reply:
    """What came back: the text, why it ended, and the tokens that it cost.

    `problem` says why there is no usable text; `lost` that the provider gave no answer at all, so that nothing is kept.
    """

    text: str
    finish: str = ""
    usage: dict[str, int] = field(default_factory=dict)
    problem: str = ""
    cached: bool = False
    lost: bool = False


UNTOLD: Mapping[str, int] = {"untold": 1}
"""The usage of a reply whose provider does not tell what it took."""


class Meter(Protocol):
    """Who watches what asking costs.  It is told of every sending: of first ones, retries and repairs alike."""

    def before(self, request: Request) -> None:
        """Hear of a request that is about to be sent.

        May raise BudgetError: then nothing new is sent, what is under way is still waited for and kept, and the error is
        raised; the same command goes on where this one stopped.  After Reserved it is told of the request again, when what is
        under way may have turned out to cost less.
        """

    def after(self, request: Request, usage: Mapping[str, int]) -> None:
        """Hear that a request has ended, once for each `before` that let it go.

        `usage` holds its tokens by kind (`prompt`, `completion`), `UNTOLD` if nobody told them, and nothing if it was not
        answered.
        """


class Exchange(Protocol):
    """Something to ask, and what to ask next once there are replies: for what is missing, or for a better one."""

    @property
    def request(self) -> Request:
        """What to ask first."""

    def follow(self, said: Sequence[Reply]) -> Request | None:
        """Return what to ask next after these replies, or None if that is all.  The same replies give the same request."""

    def satisfied(self, said: Sequence[Reply]) -> bool:
        """Say whether the replies are of use.  If not, the last request is worth sending again in another build."""


@dataclass(frozen=True)
class Once:
    """A request whose reply is taken as it is."""

    request: Request

    def follow(self, said: Sequence[Reply]) -> Request | None:
        """Ask nothing else."""

    def satisfied(self, said: Sequence[Reply]) -> bool:
        """Be content with anything that was answered."""
        return not said[-1].lost


E = TypeVar("E", bound=Exchange)


class Asks(Protocol):
    """Whoever can be asked many things: a `Teacher`, or one who is asked by the batch."""

    def ask(
        self, exchanges: Iterable[E], *, told: Callable[[int, int], None] = ..., total: int = ...
    ) -> Generator[tuple[E, Sequence[Reply]], None, None]:
        """Yield exchanges with their replies, in order.  `told` hears how many of `total` are done."""


class Teacher:
    """Somebody to ask.  `pace` says how much at once, `note` hears what the user should know."""

    def __init__(
        self,
        address: Callable[[], Address],
        provider: Provider,
        replies: Replies,
        pace: Pace,
        *,
        patience: float = 86400.0,
        meter: Meter | None = None,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.address, self.provider, self.replies, self.pace = address, provider, replies, pace
        self.patience, self.meter, self.note = patience, meter, note

    def ask(
        self, exchanges: Iterable[E], *, told: Callable[[int, int], None] = lambda _done, _all: None, total: int = 0
    ) -> Generator[tuple[E, Sequence[Reply]], None, None]:
        """Yield exchanges with their replies, in order.  `told` hears how many of `total` are done.

        Raises ConfigError for a key or a model that the provider does not know, SourceError if it cannot be reached or has no
        credit left, BudgetError if the meter says so.  What was answered until then is kept.
        """
        waiting = iter(exchanges)
        first: E | None = None
        done, last = 0, 0.0
        told(0, total)

        def tell(count: int) -> None:
            nonlocal done, last
            done += count
            if (now := time.monotonic()) - last > _MOMENT or done == total:
                last = now
                told(done, total)

        for exchange in waiting:  # what is known already needs no connection, and not even asyncio
            known = self.known(exchange)
            if known.next is None:
                yield exchange, known.said
                tell(1)
                continue
            first = exchange
            break
        if first is None:
            return
        import asyncio

        from ftbuild.rounds import Rounds

        rounds = Rounds(self, self.address(), chain([first], waiting))
        with asyncio.Runner() as runner:
            try:
                while batch := runner.run(rounds.next()):
                    for one in batch:
                        yield one
                        tell(1)
            finally:
                runner.run(rounds.close())

    def known(self, exchange: Exchange) -> Known:
        """Return the replies that are kept for an exchange, and what is to be sent next."""
        said: list[Reply] = []
        request: Request | None = exchange.request
        last = exchange.request
        while request is not None:
            reply = self.kept(request)
            if reply is None:
                return Known(said, request)
            said.append(reply)
            last, request = request, exchange.follow(said)
        if exchange.satisfied(said):
            return Known(said, None)
        return Known(said[:-1], last, anew=True)

    def kept(self, request: Request) -> Reply | None:
        """Return the reply to a request that was answered before, if there is one."""
        kept = self.replies.get(request.id)
        if kept is None:
            return None
        return Reply(kept["text"], kept["finish"], kept["usage"], kept.get("refusal", ""), cached=True)


@dataclass(frozen=True)
class Known:
    """What is known of an exchange: its replies so far and the next request, to be sent `anew` though there is a reply."""

    said: list[Reply]
    next: Request | None
    anew: bool = False


_MOMENT = 0.1  # seconds between two words on how far it is
