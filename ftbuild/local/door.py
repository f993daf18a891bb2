"""The door of the server: who may come in, how much they may bring, and what is written down about it.

Around the application, for every request: a number (`x-request-id`), the key of whatever lies under `/v1`, before anything
of the request's body is read; the size of the body, as it comes; a line of the access log, which holds no prompt unless
bodies are asked for, and no key ever; and the envelope of errors that nobody foresaw.
"""

from __future__ import annotations

import secrets
import sys
import time
import traceback
from typing import TYPE_CHECKING, Literal

from fastapi.responses import JSONResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException

from ftbuild.local.protocol import ProtocolError
from ftbuild.local.saving import said

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

Log = Literal["none", "requests", "bodies"]

_LARGEST_BODY = 32 * 2**20
_SHOWN = 2000  # bytes of a body in the log


class Door:
    """An ASGI middleware.  `largest` gives paths whose bodies may be larger than others."""

    def __init__(self, app: ASGIApp, *, key: str, largest: dict[str, int], log: Log = "none") -> None:
        self._app, self._key, self._largest, self._log = app, key.encode(), largest, log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request in, or not."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        visit = _Visit(scope, receive, send, self._largest.get(scope["path"], _LARGEST_BODY), bodies=self._log == "bodies")
        try:
            refusal = self._refusal(scope, visit.most)
            if refusal:
                await JSONResponse(refusal.envelope, refusal.status)(scope, visit.receive, visit.send)
            else:
                await self._app(scope, visit.receive, visit.send)
        except Exception as error:
            _write(self._without_key(traceback.format_exc()))
            if visit.status:  # the answer has begun; the connection breaks, and that is all that can be said
                raise
            wrong = ProtocolError(500, f"{said(error)} ({visit.id})")
            await JSONResponse(wrong.envelope, 500)(scope, visit.receive, visit.send)
        finally:
            if self._log != "none":
                _write(self._without_key(visit.line()))

    def _refusal(self, scope: Scope, most: int) -> ProtocolError | None:
        headers = Headers(scope=scope)
        if scope["path"].startswith("/v1"):
            scheme, _, given = headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer":
                return ProtocolError(401, "You didn't provide an API key (Authorization: Bearer KEY).", code="invalid_api_key")
            if not secrets.compare_digest(given.strip().encode("iso-8859-1"), self._key):
                return ProtocolError(401, "Incorrect API key provided.", code="invalid_api_key")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > most:
            return ProtocolError(413, f"The request is larger than {most} bytes.", code="request_too_large")
        return None

    def _without_key(self, text: str) -> str:
        return text.replace(self._key.decode(), "…")


class _Visit:
    """One request on its way through: what came, what went, how long it took."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, most: int, *, bodies: bool) -> None:
        self._scope, self._receive, self._send, self.most = scope, receive, send, most
        self._asked = bytearray() if bodies else None
        self._told = bytearray() if bodies else None
        self._since, self._came = time.perf_counter(), 0
        self.id = f"req_{secrets.token_hex(12)}"
        self.status = 0

    async def receive(self) -> Message:
        message = await self._receive()
        body: bytes = message.get("body", b"")
        self._came += len(body)
        if self._came > self.most:
            raise HTTPException(413, f"The request is larger than {self.most} bytes.")
        _add(self._asked, body)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["x-request-id"] = self.id
            headers["openai-processing-ms"] = str(self._milliseconds())
            headers["openai-version"] = "2020-10-01"
        else:
            _add(self._told, message.get("body", b""))
        await self._send(message)

    def line(self) -> str:
        path = self._scope["path"].encode("unicode_escape").decode()
        line = f"{time.strftime('%H:%M:%S')} {self._scope['method']} {path} {self.status} {self._milliseconds()} ms {self.id}"
        bodies = [b for b in (self._asked, self._told) if b]
        return "\n".join([line, *("    " + repr(bytes(b[:_SHOWN]))[2:-1] for b in bodies)])

    def _milliseconds(self) -> int:
        return round((time.perf_counter() - self._since) * 1000)


def _add(to: bytearray | None, body: bytes) -> None:
    if to is not None and len(to) < _SHOWN:
        to += body[:_SHOWN]


def _write(line: str) -> None:
    try:
        sys.stderr.write(line + "\n")
        sys.stderr.flush()
    except (OSError, ValueError):  # nobody reads it any more
        pass
