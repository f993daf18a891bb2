"""What is asked and what comes back: requests, replies, exchanges of several of them, and who counts what they cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, TypeVar

from ftbuild.digest import digest


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
        raised; the same command goes on where this one stopped.  After Reserved it is told of the request again, when what
        is under way may have turned out to cost less.
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


@dataclass(frozen=True)
class Known:
    """What is known of an exchange: its replies so far and the next request, to be sent `anew` though there is a reply."""

    said: list[Reply]
    next: Request | None
    anew: bool = False


E = TypeVar("E", bound=Exchange)


class Asks(Protocol):
    """Whoever can be asked many things: a `Teacher`, or one who is asked by the batch."""

    def ask(
        self,
        exchanges: Iterable[E],
        take: Callable[[E, Sequence[Reply]], None],
        *,
        told: Callable[[int, int], None] = ...,
        total: int = ...,
    ) -> None:
        """Hand exchanges with their replies to `take`, in order.  `told` hears how many of `total` are done."""
