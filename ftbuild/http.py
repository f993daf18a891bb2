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
from typing import TYPE_CHECKING, Any

from ftbuild import __version__
from ftbuild.errors import SourceError

if TYPE_CHECKING:
    import httpx2

_FORBIDDEN: ContextVar[bool] = ContextVar("forbidden", default=False)
_BUSY = frozenset({429, 500, 502, 503, 504})


@contextmanager
def forbidden(yes: bool) -> Iterator[None]:  # noqa: FBT001 - reads well where it is called
    """Refuse to send anything while this lasts, for builds that are to run offline."""
    token = _FORBIDDEN.set(yes)
    try:
        yield
    finally:
        _FORBIDDEN.reset(token)


@dataclass
class Client:
    """A small HTTP client.  `wait` is called with each number of seconds to sleep, so that a test need not."""

    user_agent: str = f"ftbuild/{__version__} (builds training data from articles; one request at a time)"
    timeout: float = 30.0
    attempts: int = 5
    longest_wait: float = 120.0
    wait: Callable[[float], None] = field(default=time.sleep)

    def get_json(self, url: str, params: Mapping[str, str], *, busy: Callable[[Any], str] = lambda _: "") -> Any:
        """GET `url` and return the JSON value of the reply.

        A refused connection, a time-out, a status of 429 or 5xx, and a reply of which `busy` says that the server wants
        to be asked later, are tried again with growing pauses, or after as long as `Retry-After` says.
        SourceError when all attempts are used up, for any other status, and for a reply that is not JSON.
        """
        import httpx2

        if _FORBIDDEN.get():
            raise SourceError(f"offline=true: this build would have to ask {url}", hint="without offline=true it is asked")
        problem = ""
        with httpx2.Client(timeout=self.timeout, follow_redirects=True, headers={"User-Agent": self.user_agent}) as http:
            for attempt in range(self.attempts):
                reply: httpx2.Response | None = None
                try:
                    reply = http.get(url, params=dict(params))
                except (httpx2.InvalidURL, httpx2.UnsupportedProtocol, httpx2.TooManyRedirects) as error:
                    raise SourceError(f"{url}: {error}", hint="is the address right?") from error
                except httpx2.RequestError as error:
                    problem = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
                if reply is not None:
                    if reply.status_code in _BUSY:
                        problem = f"HTTP {reply.status_code}"
                    elif reply.is_error:
                        raise SourceError(f"{url}: HTTP {reply.status_code} {reply.reason_phrase}")
                    else:
                        value = _json(url, reply)
                        problem = busy(value)
                        if not problem:
                            return value
                if attempt + 1 < self.attempts:
                    self.wait(self._pause(attempt, reply))
        raise SourceError(f"{url}: {problem} ({self.attempts} attempts)", hint="is the network up, and the address right?")

    def _pause(self, attempt: int, reply: httpx2.Response | None) -> float:
        told = reply.headers.get("Retry-After", "") if reply is not None else ""
        seconds = float(told) if told.replace(".", "", 1).isdigit() else random.uniform(0.5, 1.0) * 2**attempt  # noqa: S311
        return min(seconds, self.longest_wait)


def _json(url: str, reply: httpx2.Response) -> Any:
    try:
        return reply.json()
    except ValueError as error:
        kind = reply.headers.get("content-type", "no content type")
        raise SourceError(f"{url}: the reply is not JSON ({kind})", hint="is this the address of an API?") from error
