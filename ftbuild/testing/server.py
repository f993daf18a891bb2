"""HTTP for the scripted provider: requests in, answers out, on a free loopback port.

In: a function from `Request` and key to an answer.  Out: JSON, bytes or an error's envelope, with the headers OpenAI sends.
"""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import socket
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from ftbuild.testing.replies import Request, Status

Answer: TypeAlias = dict[str, Any] | bytes | Status

_BASE = "/v1"
_NAME = re.compile(rb'\bname="([^"]*)"')
_FILENAME = re.compile(rb'\bfilename="([^"]*)"')


class Server(ThreadingHTTPServer):
    """A thread for each connection; all of them have ended once the server is closed."""

    daemon_threads = False
    request_queue_size = 128
    key_header = ""
    """The header that holds the key, where it is not `Authorization`."""

    def __init__(self, answer: Callable[[Request, str], Answer]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self.connections: set[socket.socket] = set()

    @property
    def base_url(self) -> str:
        """The address to give to clients."""
        return f"http://127.0.0.1:{self.server_address[1]}{_BASE}"

    def server_close(self) -> None:
        """Hang up on clients that keep their connections open, and wait for the threads."""
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        super().server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client went away in the middle, which is its right."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        cast("Server", self.server).connections.add(self.connection)

    def finish(self) -> None:
        cast("Server", self.server).connections.discard(self.connection)
        super().finish()

    def _handle(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        server = cast("Server", self.server)
        scheme, _, key = self.headers.get("Authorization", "").partition(" ")
        if server.key_header:
            scheme, key = "bearer", self.headers.get(server.key_header, "")
        url = urlsplit(self.path)
        try:
            body = _body(self.headers.get("Content-Type", ""), content)
        except ValueError as error:
            self._send(Status(400, message=f"We could not parse the body of your request: {error}"))
            return
        path = unquote(url.path)
        path = path.removeprefix(_BASE) if path.startswith(f"{_BASE}/") else f"/..{path}"
        request = Request(self.command, path, body, dict(parse_qsl(url.query)))
        self._send(server.answer(request, key.strip() if scheme.lower() == "bearer" else ""))

    do_GET = do_POST = do_DELETE = do_PUT = _handle  # noqa: N815 - so http.server wants it

    def _send(self, answer: Answer) -> None:
        status = answer if isinstance(answer, Status) else Status(200)
        value = answer.envelope if isinstance(answer, Status) else answer
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        headers = {
            "Content-Type": "application/octet-stream" if isinstance(value, bytes) else "application/json",
            "Content-Length": str(len(content)),
            "openai-version": "2020-10-01",
            "x-request-id": f"req_{secrets.token_hex(16)}",
            **({"Retry-After": f"{status.retry_after:g}"} if status.retry_after is not None else {}),
            **status.headers,
        }
        self.send_response(status.status)
        for name, text in headers.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _body(kind: str, content: bytes) -> Any:
    """Return a body as JSON or as a form's fields; a file is its name and its content.  ValueError if it is neither."""
    if not kind.startswith("multipart/form-data"):
        return json.loads(content) if content else None
    fields: dict[str, Any] = {}
    boundary = b"\r\n--" + kind.partition("boundary=")[2].strip('"').encode()
    for part in (b"\r\n" + content).split(boundary)[1:-1]:
        head, _, value = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        name, filename = _NAME.search(head), _FILENAME.search(head)
        if name is None:
            raise ValueError("a part of the form has no name")
        fields[name[1].decode()] = (filename[1].decode(), value) if filename else value.decode()
    return fields
