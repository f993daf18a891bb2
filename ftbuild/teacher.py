"""Asking a model many things: the one way in which teachers, judges and models under test are asked.

In: exchanges, each of which is a request and what to ask next once it is answered.  Out: each exchange with all its replies, in
the order of the exchanges, as they arrive; neither requests nor replies are all held at once.  A request that was answered
before, in any build, is not sent again, and a reply counts only once it is on the disk.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from ftbuild.exchange import E, Exchange, Known, Meter, Once, Reply, Request

if TYPE_CHECKING:
    from ftbuild.pace import Pace
    from ftbuild.recipe import Provider
    from ftbuild.replies import Replies
    from ftbuild.wire import Address

__all__ = ["Exchange", "Meter", "Once", "Reply", "Request", "Teacher"]


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
        self,
        exchanges: Iterable[E],
        take: Callable[[E, Sequence[Reply]], None],
        *,
        told: Callable[[int, int], None] = lambda _done, _all: None,
        total: int = 0,
    ) -> None:
        """Hand exchanges with their replies to `take`, in order.  `told` hears how many of `total` are done.

        Raises ConfigError for a key or a model that the provider does not know, SourceError if it cannot be reached or has no
        credit left, BudgetError if the meter says so.  What was answered until then is kept.
        """
        done, last = 0, 0.0
        told(0, total)

        def over(exchange: E, said: Sequence[Reply]) -> None:
            nonlocal done, last
            take(exchange, said)
            done += 1
            if (now := time.monotonic()) - last > _MOMENT or done == total:
                last = now
                told(done, total)

        waiting = iter(exchanges)
        for exchange in waiting:  # what is known already needs no connection, and not even asyncio
            known = self.known(exchange)
            if known.next is not None:
                import asyncio

                from ftbuild.rounds import Rounds

                asyncio.run(Rounds(self, self.address(), chain([exchange], waiting)).play(over))
                return
            over(exchange, known.said)

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


_MOMENT = 0.1  # seconds between two words on how far it is
