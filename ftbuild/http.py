"""Polite GET requests: a User-Agent that says who asks, patience when told to wait, and clear errors.

Only for documents; models are asked through the `openai` client.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ftbuild import __version__
from ftbuild.errors import SourceError

if TYPE_CHECKING:
    import httpx2

_FORBIDDEN: ContextVar[bool] = ContextVar("forbidden", default=False)
BUSY = frozenset({429, 500, 502, 503, 504})


@contextmanager
def forbidden(yes: bool) -> Iterator[None]:  # noqa: FBT001 - reads well where it is called
    """Refuse to send anything while this lasts, for builds that are to run offline."""
    token = _FORBIDDEN.set(yes)
    try:
        yield
    finally:
        _FORBIDDEN.reset(token)


def is_forbidden() -> bool:
    """Say whether this build is to run offline."""
    return _FORBIDDEN.get()


def refuse_if_forbidden(url: str) -> None:
    """Refuse to ask an address in a build that is to run offline.  SourceError says how to allow it."""
    if _FORBIDDEN.get():
        raise SourceError(f"offline=true: this build would have to ask {url}", hint="without offline=true it is asked")


@dataclass
class Client:
    """A small HTTP client.  `wait` is called with each number of seconds to sleep, so that a test need not.

    Within a `with` block its requests share one connection, and cookies; outside of one, each has its own.
    """

    user_agent: str = f"ftbuild/{__version__} (builds training data from articles; one request at a time)"
    timeout: float = 30.0
    attempts: int = 5
    longest_wait: float = 120.0
    wait: Callable[[float], None] = field(default=time.sleep)
    _session: httpx2.Client | None = field(default=None, init=False, repr=False)
    _inside: bool = field(default=False, init=False, repr=False)

    def __enter__(self) -> Self:
        self._inside = True
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._session is not None:
            self._session.close()
        self._session, self._inside = None, False

    def get_json(
        self,
        url: str,
        params: Mapping[str, str],
        *,
        busy: Callable[[Any], str] = lambda _: "",
        form: Mapping[str, str] | None = None,
    ) -> Any:
        """GET `url` and return the JSON value of the reply; with a `form`, POST that.

        A refused connection, a time-out, a status of 429 or 5xx, and a reply of which `busy` says that the server wants
        to be asked later, are tried again with growing pauses, or after as long as `Retry-After` says.
        SourceError when all attempts are used up, for any other status, and for a reply that is not JSON.
        """
        return self._ask(url, params, form, lambda reply: _json(url, reply), busy)

    def get_page(self, url: str) -> tuple[str, str]:
        """GET `url` and return the address that it led to and the text there, with the same patience."""
        found: tuple[str, str] = self._ask(url, {}, None, lambda reply: (str(reply.url), reply.text), lambda _: "")
        return found

    def _ask(
        self,
        url: str,
        params: Mapping[str, str],
        form: Mapping[str, str] | None,
        read: Callable[[httpx2.Response], Any],
        busy: Callable[[Any], str],
    ) -> Any:
        import httpx2

        refuse_if_forbidden(url)
        problem = ""
        with self._opened() as http:
            for attempt in range(self.attempts):
                reply: httpx2.Response | None = None
                try:
                    given = dict(params) or None  # what stands in the address stays there where nothing is to be added
                    reply = http.get(url, params=given) if form is None else http.post(url, params=given, data=dict(form))
                except (httpx2.InvalidURL, httpx2.UnsupportedProtocol, httpx2.TooManyRedirects) as error:
                    raise SourceError(f"{url}: {error}", hint="is the address right?") from error
                except httpx2.RequestError as error:
                    problem = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
                if reply is not None:
                    if reply.status_code in BUSY:
                        problem = f"HTTP {reply.status_code}"
                    elif reply.is_error:
                        raise SourceError(f"{url}: HTTP {reply.status_code} {reply.reason_phrase}")
                    else:
                        value = read(reply)
                        problem = busy(value)
                        if not problem:
                            return value
                if attempt + 1 < self.attempts:
                    self.wait(self.pause(attempt, reply))
        raise SourceError(f"{url}: {problem} ({self.attempts} attempts)", hint="is the network up, and the address right?")

    @contextmanager
    def _opened(self) -> Iterator[httpx2.Client]:
        import httpx2

        if self._session is None:
            told = {"User-Agent": self.user_agent}
            http = httpx2.Client(timeout=self.timeout, follow_redirects=True, headers=told)
            if not self._inside:
                with http:
                    yield http
                return
            self._session = http
        yield self._session

    def pause(self, attempt: int, reply: httpx2.Response | None) -> float:
        """Return how long to wait before the next attempt: as long as the server says, or a little longer each time."""
        told = reply.headers.get("Retry-After", "") if reply is not None else ""
        seconds = float(told) if told.replace(".", "", 1).isdigit() else random.uniform(0.5, 1.0) * 2**attempt  # noqa: S311
        return min(seconds, self.longest_wait)


def _json(url: str, reply: httpx2.Response) -> Any:
    try:
        return reply.json()
    except ValueError as error:
        kind = reply.headers.get("content-type", "no content type")
        raise SourceError(f"{url}: the reply is not JSON ({kind})", hint="is this the address of an API?") from error
