"""Sending one request to a model and reading what comes back, over aiohttp.

In: an endpoint and a body.  Out: an `Answer`, or a `Trouble` that says what kind of trouble it is: the provider takes no more
just now, it may pass, this request will never be answered, or nobody's will.

The `openai` client is not used for this, as it costs several times as much for each request and its transports slow down with
many requests in flight (docs/asking.md has the figures); addresses, keys and headers are still its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from ftbuild.errors import ConfigError, FtbuildError, SourceError
from ftbuild.signals import told_to_wait, used_up

if TYPE_CHECKING:
    import aiohttp

PATHS = {"chat": "chat/completions", "completion": "completions"}

_NO_CREDIT = frozenset(
    {
        "insufficient_quota",
        "billing_hard_limit_reached",
        "billing_not_active",
        "insufficient_balance",
        "arrearage",
        "account_deactivated",
        "credits_exhausted",
    }
)
_NO_MODEL = frozenset({"model_not_found", "model_not_exist", "deploymentnotfound"})
_COUNTS = ("x-ratelimit-remaining-requests", "x-ratelimit-remaining-tokens")
_CONNECTING = 30.0  # seconds that it may take until a connection stands


class Kind(Enum):
    """What a trouble means: come back later, try again, give this request up, or give everything up."""

    BUSY = "busy"
    PASSING = "passing"
    THIS_ONE = "this one"
    ALL = "all"


class Trouble(Exception):
    """A request was not answered.  `error` is what to tell the user, `wait` the seconds that the provider asks for."""

    def __init__(
        self, kind: Kind, error: FtbuildError, *, wait: float | None = None, status: int = 0, late: bool = False
    ) -> None:
        super().__init__(error.message)
        self.kind, self.error, self.wait, self.status, self.late = kind, error, wait, status, late


@dataclass(frozen=True)
class Address:
    """Where to send requests and with which headers.  Never printed, never stored."""

    base_url: str
    headers: Mapping[str, str] = field(repr=False)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout: float = 120.0


@dataclass(frozen=True)
class Answer:
    """What a model said: the text, why it ended, the tokens, a refusal if it is one, and how long to pause."""

    text: str
    finish: str
    usage: dict[str, int]
    refusal: str = ""
    pause: float | None = None


class Wire:
    """The connections to one provider, opened when first used."""

    def __init__(self, address: Address, connections: int) -> None:
        self.address = address
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None
        self._base = address.base_url.rstrip("/") + "/"

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            import aiohttp

            secure: Any = True
            if self._base.startswith("https:"):
                import httpx2

                secure = httpx2.create_ssl_context()  # the same certificates as for everything else
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._connections, ssl=secure, ttl_dns_cache=300, keepalive_timeout=30),
                headers=self.address.headers,
                timeout=aiohttp.ClientTimeout(total=self.address.timeout or None, sock_connect=_CONNECTING),
                proxy=_proxy(self._base),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def post(self, endpoint: str, body: Mapping[str, Any]) -> Answer:
        """Send a request.  Raises Trouble if it is not answered."""
        import aiohttp

        try:
            content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
            asked = self._opened().post(self._base + PATHS[endpoint], data=content, params=self.address.query or None)
            async with asked as response:
                content = await response.read()
                status, headers = response.status, response.headers
        except TimeoutError as error:
            what = f"{self._base}: no answer within {self.address.timeout:g} s"
            raise Trouble(Kind.PASSING, SourceError(what, hint="provider.timeout says how long to wait"), late=True) from error
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
            raise Trouble(Kind.ALL, ConfigError(f"provider.base_url: {self._base}: this is no address")) from error
        except (aiohttp.ClientError, OSError) as error:
            said = str(error) or type(error).__name__
            hint = "is the server running, and the address right?"
            raise Trouble(Kind.PASSING, SourceError(f"{self._base}: cannot be reached: {said}", hint=hint)) from error
        if status >= 400:  # noqa: PLR2004
            raise self._refusal(status, headers, content)
        answer = answer_in(endpoint, content)
        if answer is None:
            raise Trouble(
                Kind.THIS_ONE,
                SourceError(
                    f"{self._base}: what came back is no answer of a model",
                    hint="is this the address of an API? most end in /v1",
                ),
            )
        return Answer(*answer, pause=used_up(headers) if any(name in headers for name in _COUNTS) else None)

    def _refusal(self, status: int, headers: Mapping[str, str], content: bytes) -> Trouble:
        said, code, kind = error_in(content)
        where = f"{self._base}: HTTP {status}: {said or 'no reason is given'}"
        names = {code.casefold(), kind.casefold()}
        if status == 402 or names & _NO_CREDIT:  # noqa: PLR2004
            hint = "the account has no credit left; what was answered so far is kept"
            return Trouble(Kind.ALL, SourceError(where, hint=hint), status=status)
        if status in (401, 403):
            hint = "is the key in the environment variable the right one for this provider?"
            return Trouble(Kind.ALL, ConfigError(where, hint=hint), status=status)
        if status == 404 or names & _NO_MODEL:  # noqa: PLR2004
            hint = "does the provider have this model? set teacher.model"
            return Trouble(Kind.ALL, ConfigError(where, hint=hint), status=status)
        wait = told_to_wait(headers)
        if status == 429 or (status in (503, 529) and wait is not None):  # noqa: PLR2004
            return Trouble(Kind.BUSY, SourceError(where, hint=_LATER), wait=wait, status=status)
        told = headers.get("x-should-retry", "").lower()
        passing = told == "true" or (told != "false" and (status in (408, 409, 425) or status >= 500))  # noqa: PLR2004
        return Trouble(Kind.PASSING if passing else Kind.THIS_ONE, SourceError(where), wait=wait, status=status)


def _proxy(url: str) -> str | None:
    """Return the proxy that the environment names for an address.  aiohttp would look it up again for every request."""
    from urllib.parse import urlsplit
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(url)
    return None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)


_LATER = "the provider takes no more for now; what was answered is kept, and the same command goes on later"


def error_in(content: bytes) -> tuple[str, str, str]:
    """Return message, code and type out of an error's body, whatever of them there is."""
    try:
        body = json.loads(content)
    except ValueError:
        return content[:200].decode(errors="replace").strip().partition("\n")[0], "", ""
    inner = body.get("error", body) if isinstance(body, dict) else body
    if not isinstance(inner, dict):
        return str(inner).partition("\n")[0], "", ""
    message = inner.get("message") or inner.get("detail") or ""
    return str(message).partition("\n")[0], str(inner.get("code") or ""), str(inner.get("type") or "")


def answer_in(endpoint: str, content: bytes) -> tuple[str, str, dict[str, int], str] | None:
    """Return text, finish reason, tokens and refusal, or None if this is no answer of a model."""
    try:
        body = json.loads(content)
        choices = body["choices"]
        usage = body.get("usage") or {}
        spent = {k: int(usage[f"{k}_tokens"]) for k in ("prompt", "completion") if usage.get(f"{k}_tokens") is not None}
        if not choices:
            return "", "", spent, ""
        first = choices[0]
        if endpoint == "completion":
            text, refusal = first.get("text") or "", ""
        else:
            text, refusal = first["message"].get("content") or "", first["message"].get("refusal") or ""
        finish = str(first.get("finish_reason") or "")
    except (ValueError, TypeError, KeyError, AttributeError, IndexError):
        return None
    if isinstance(text, list):  # the parts of a message
        text = "".join(str(part.get("text", "")) for part in text if isinstance(part, dict))
    if finish == "content_filter":
        refusal = refusal or "stopped by the provider's content filter"
    return str(text), finish, spent, f"refused: {refusal}" if refusal else ""
