"""Asking a teacher many things at once: bounded concurrency, replies kept as they arrive, empty ones asked for again.

In: requests.  Out: each request with its outcome, in the order of the requests.  A request that was answered before, in any
build, is not sent again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from ftbuild.digest import digest
from ftbuild.errors import ConfigError, FtbuildError, SourceError
from ftbuild.replies import Replies

if TYPE_CHECKING:
    import asyncio

    import openai

    from ftbuild.recipe import Provider


_SEEDS_APART = 1_000_003  # so that the seeds of another attempt are not those of another sample


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
    """What came back: the text, why it ended, and the tokens that it cost.  `problem` says why there is no usable text."""

    text: str
    finish: str = ""
    usage: dict[str, int] = field(default_factory=dict)
    problem: str = ""
    cached: bool = False


class Meter(Protocol):
    """Who watches what asking costs.  It is told of every sending: of first ones, retries and repairs alike."""

    def before(self, request: Request) -> None:
        """Hear of a request that is about to be sent.

        May raise BudgetError: then nothing new is sent, what is under way is still waited for and kept, and the error is
        raised; the same command goes on where this one stopped.
        """

    def after(self, request: Request, usage: Mapping[str, int]) -> None:
        """Hear of a reply that arrived, with its tokens by kind (`prompt`, `completion`); empty where none were told."""


class Teacher:
    """Somebody to ask, with a bound on how much is asked at once."""

    def __init__(
        self,
        open_client: Callable[[], openai.AsyncOpenAI],
        provider: Provider,
        replies: Replies,
        *,
        attempts: int = 3,
        patience: float = 86400.0,
        meter: Meter | None = None,
    ) -> None:
        self._open_client = open_client
        self._provider = provider
        self._replies = replies
        self._attempts = attempts
        self._patience = patience
        self._meter = meter

    def ask(
        self, requests: Sequence[Request], *, usable: Callable[[Request, str], bool], told: Callable[[int, int], None]
    ) -> list[Reply]:
        """Return the replies to `requests`.  A reply that is not `usable` is asked for again; `told` hears how far it is.

        Raises ConfigError for a key or a model that the provider does not know, SourceError if it cannot be reached.
        """
        replies = [self._kept(r, usable) for r in requests]
        told(sum(r is not None for r in replies), len(requests))
        missing = [n for n, reply in enumerate(replies) if reply is None]
        if missing:
            import asyncio

            asyncio.run(self._ask_missing(requests, missing, replies, usable, told))
        return [r for r in replies if r is not None]

    def _kept(self, request: Request, usable: Callable[[Request, str], bool]) -> Reply | None:
        kept = self._replies.get(request.id)
        if kept is None or not usable(request, kept["text"]):
            return None
        return Reply(kept["text"], kept["finish"], kept["usage"], cached=True)

    async def _ask_missing(
        self,
        requests: Sequence[Request],
        missing: Iterable[int],
        replies: list[Reply | None],
        usable: Callable[[Request, str], bool],
        told: Callable[[int, int], None],
    ) -> None:
        import asyncio

        queue = iter(missing)
        async with self._open_client() as client:

            async def work(queue: Iterator[int]) -> None:
                for n in queue:
                    replies[n] = await self._once(client, requests[n], usable)
                    told(sum(r is not None for r in replies), len(requests))

            async with _unwrapped(asyncio.TaskGroup()) as group:
                for _ in range(self._provider.concurrency):
                    group.create_task(work(queue))

    async def _once(self, client: openai.AsyncOpenAI, request: Request, usable: Callable[[Request, str], bool]) -> Reply:
        """Return the reply to a request that nobody else is asking; whoever is, in any process, is waited for."""
        async with self._replies.asking(request.id, patience=self._patience):
            return self._kept(request, usable) or await self._one(client, request, usable)

    async def _one(self, client: openai.AsyncOpenAI, request: Request, usable: Callable[[Request, str], bool]) -> Reply:
        usage: dict[str, int] = {}
        problem = ""
        for attempt in range(self._attempts):
            sent = _again(request, attempt)
            if self._meter:
                self._meter.before(sent)
            with in_our_words(client):
                text, finish, spent, refusal = await _send(client, sent)
            if self._meter:
                self._meter.after(sent, spent)
            usage = {k: usage.get(k, 0) + v for k, v in sorted(spent.items())}  # in the order in which it is read again
            problem = refusal or ("" if text.strip() else "an empty reply")
            if not problem and usable(request, text):
                self._replies.put(request.id, {"text": text, "finish": finish, "usage": usage})
                return Reply(text, finish, usage)
            problem = problem or "nothing usable in the reply"
        return Reply(text, finish, usage, problem=f"{problem} ({self._attempts} attempts)")


def _again(request: Request, attempt: int) -> Request:
    """Return the request with another seed, if it has one: the same seed would only bring the same reply again."""
    if not attempt or "seed" not in request.body:
        return request
    return Request(request.endpoint, {**request.body, "seed": request.body["seed"] + _SEEDS_APART * attempt}, request.who)


class _unwrapped:  # noqa: N801 - used like a function
    """A task group that raises the first error of its tasks by itself rather than in a group."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group

    async def __aenter__(self) -> asyncio.TaskGroup:
        return await self._group.__aenter__()

    async def __aexit__(self, *details: Any) -> None:  # noqa: PYI036 - passed on as they are
        try:
            await self._group.__aexit__(*details)
        except BaseExceptionGroup as group:
            error: BaseException = group
            while isinstance(error, BaseExceptionGroup):
                error = error.exceptions[0]
            raise error from None


async def _send(client: openai.AsyncOpenAI, request: Request) -> tuple[str, str, dict[str, int], str]:
    """Return text, finish reason, token counts, and the refusal if there is one."""
    if request.endpoint == "completion":
        done = await client.completions.create(**request.body)
        if not list(done.choices):
            return "", "", {}, ""
        text, finish, refusal = done.choices[0].text, done.choices[0].finish_reason, ""
        usage = done.usage
    else:
        chat = await client.chat.completions.create(**request.body)
        if not list(chat.choices):
            return "", "", {}, ""
        message = chat.choices[0].message
        text, finish, refusal = message.content or "", chat.choices[0].finish_reason, message.refusal or ""
        usage = chat.usage
    if finish == "content_filter":
        refusal = refusal or "stopped by the provider's content filter"
    spent = {"prompt": usage.prompt_tokens, "completion": usage.completion_tokens} if usage else {}
    return text, str(finish), spent, f"refused: {refusal}" if refusal else ""


@contextmanager
def in_our_words(client: openai.OpenAI | openai.AsyncOpenAI) -> Iterator[None]:
    """Turn whatever goes wrong when a model is asked into a FtbuildError that says who was asked."""
    import openai

    try:
        yield
    except openai.APIConnectionError as error:
        raise SourceError(
            f"{client.base_url}: cannot be reached: {error.__cause__ or error}",
            hint="is the server running, and the address right?",
        ) from error
    except openai.APIStatusError as error:
        raise _status_error(client, error) from error
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise SourceError(
            f"{client.base_url}: what came back is no answer of a model",
            hint="is this the address of an API? most end in /v1",
        ) from error


def _status_error(client: openai.OpenAI | openai.AsyncOpenAI, error: openai.APIStatusError) -> FtbuildError:
    where = f"{client.base_url}: HTTP {error.status_code}: {_message(error)}"
    if error.status_code in (401, 403):
        return ConfigError(where, hint="is the key in the environment variable the right one for this provider?")
    if error.status_code == 404:  # noqa: PLR2004
        return ConfigError(where, hint="does the provider have this model? set teacher.model")
    if error.code == "insufficient_quota":
        return SourceError(where, hint="the account has no credit left; what was answered so far is kept")
    return SourceError(where)


def _message(error: openai.APIStatusError) -> str:
    body = error.body
    message = body.get("message") if isinstance(body, dict) else None
    return str(message or error.message).splitlines()[0]
