"""A scripted web server on loopback: it gives the answers that a test lines up, and remembers what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Answer:
    """One HTTP answer.  A body that is neither text nor bytes is sent as JSON; `hang_up` closes the connection instead."""

    body: Any = ""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    hang_up: bool = False
    wait: float = 0.0


@dataclass(frozen=True)
class Asked:
    """One request as it arrived."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    form: Mapping[str, str] = field(default_factory=dict)


class Web:
    """A server for as long as the `with` block lasts.  The last of `answers` is given again and again."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.asked: list[Asked] = []
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.web = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        """The address of the server, in the form of a wiki's API."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/w/api.php"

    def will(self, *answers: Any) -> None:
        """Line up answers; what is not an `Answer` is the body of one."""
        self.answers = [a if isinstance(a, Answer) else Answer(a) for a in answers]

    def next(self, asked: Asked) -> Answer:
        """Remember a request, and return what to answer."""
        self.asked.append(asked)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class _Server(ThreadingHTTPServer):
    web: Web

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that gave up waiting


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode())

    def do_GET(self) -> None:
        self._answer("")

    def _answer(self, form: str) -> None:
        web = cast("_Server", self.server).web
        url = urlsplit(self.path)
        query, given = (dict(parse_qsl(text, keep_blank_values=True)) for text in (url.query, form))
        answer = web.next(Asked(url.path, query, dict(self.headers), given))
        threading.Event().wait(answer.wait)
        if answer.hang_up:
            self.close_connection = True
            return
        headers = {"Content-Type": "text/html; charset=utf-8", **answer.headers}
        content = answer.body
        if not isinstance(content, str | bytes):
            headers = {**headers, "Content-Type": "application/json; charset=utf-8"}
            content = json.dumps(content, ensure_ascii=False)
        content = content.encode() if isinstance(content, str) else content
        self.send_response(answer.status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        pass
