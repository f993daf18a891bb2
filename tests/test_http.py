"""The polite HTTP client, against a real server on loopback."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from ftbuild import __version__
from ftbuild.errors import SourceError
from ftbuild.http import Client
from tests.web import Answer, Web


class Patience:
    """Stands in for sleeping, and remembers how long it should have been."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def __call__(self, seconds: float) -> None:
        """Remember a pause."""
        self.waits.append(seconds)


def ask(web: Web, **given: Any) -> tuple[Any, list[float]]:
    """Ask for JSON, and return it with the pauses that the client made."""
    patience = Patience()
    value = Client(wait=patience, **given).get_json(web.url, {"title": "Ranma ½ & co"})
    return value, patience.waits


def refused(web: Web, **given: Any) -> tuple[SourceError, list[float]]:
    """Ask for JSON that cannot be had, and return the error with the pauses that the client made."""
    patience = Patience()
    with pytest.raises(SourceError) as caught:
        Client(wait=patience, **given).get_json(web.url, {})
    return caught.value, patience.waits


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def test_returns_the_value_of_the_reply(web: Web) -> None:
    web.will({"title": "Köln", "list": [1, None]})
    assert ask(web) == ({"title": "Köln", "list": [1, None]}, [])


def test_sends_parameters_and_says_who_asks(web: Web) -> None:
    web.will({})
    ask(web)
    assert web.asked[0].path == "/w/api.php"
    assert web.asked[0].query == {"title": "Ranma ½ & co"}
    assert web.asked[0].headers["User-Agent"].startswith(f"ftbuild/{__version__} (")


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_busy_server_is_asked_again(web: Web, status: int) -> None:
    web.will(Answer("busy", status), {"ok": True})
    value, waits = ask(web)
    assert value == {"ok": True}
    assert len(web.asked) == 2
    assert len(waits) == 1
    assert 0.5 <= waits[0] <= 1.0


def test_retry_after_is_obeyed(web: Web) -> None:
    web.will(Answer(status=503, headers={"Retry-After": "7"}), Answer(status=429, headers={"Retry-After": "2.5"}), {})
    assert ask(web) == ({}, [7.0, 2.5])


def test_a_very_long_retry_after_is_cut(web: Web) -> None:
    web.will(Answer(status=503, headers={"Retry-After": "86400"}), {})
    assert ask(web, longest_wait=3.0) == ({}, [3.0])


@pytest.mark.parametrize("told", ["", "-5", "soon", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_a_retry_after_that_is_no_number_is_not_obeyed(web: Web, told: str) -> None:
    web.will(Answer(status=503, headers={"Retry-After": told}), {})
    _, waits = ask(web)
    assert 0.5 <= waits[0] <= 1.0


def test_pauses_grow_and_end(web: Web) -> None:
    web.will(Answer("busy", 503))
    error, waits = refused(web, attempts=4)
    assert len(web.asked) == 4
    assert len(waits) == 3
    assert all(0.5 * 2**n <= w <= 2**n for n, w in enumerate(waits))
    assert error.message == f"{web.url}: HTTP 503 (4 attempts)"
    assert error.exit_code == 3


@pytest.mark.parametrize(("status", "reason"), [(400, "Bad Request"), (403, "Forbidden"), (404, "Not Found"), (410, "Gone")])
def test_a_refusal_is_final(web: Web, status: int, reason: str) -> None:
    web.will(Answer("<h1>no</h1>", status))
    error, waits = refused(web)
    assert error.message == f"{web.url}: HTTP {status} {reason}"
    assert (len(web.asked), waits) == (1, [])


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer("<!doctype html><title>Wiki</title>"), "text/html; charset=utf-8"),
        (Answer('{"cut": ', headers={"Content-Type": "application/json"}), "application/json"),
        (Answer(""), "text/html; charset=utf-8"),
        (Answer(b'{"title": "K\xf6ln"}', headers={"Content-Type": "application/json; charset=utf-8"}), "application/json"),
    ],
    ids=["a page", "cut off", "nothing", "not UTF-8"],
)
def test_what_is_not_json_is_an_error_at_once(web: Web, answer: Answer, kind: str) -> None:
    web.will(answer)
    error, waits = refused(web)
    assert error.message.startswith(f"{web.url}: the reply is not JSON ({kind}")
    assert error.hint == "is this the address of an API?"
    assert (len(web.asked), waits) == (1, [])


def test_a_reply_that_says_later_is_asked_for_again(web: Web) -> None:
    web.will(Answer({"later": True}, headers={"Retry-After": "4"}), {"now": True})
    patience = Patience()
    value = Client(wait=patience).get_json(web.url, {}, busy=lambda reply: "later" if "later" in reply else "")
    assert (value, patience.waits) == ({"now": True}, [4.0])


def test_redirects_are_followed(web: Web) -> None:
    web.will(Answer(status=301, headers={"Location": "/w/moved.php"}), {"moved": True})
    assert ask(web) == ({"moved": True}, [])
    assert [a.path for a in web.asked] == ["/w/api.php", "/w/moved.php"]


def test_an_endless_redirect_is_an_error(web: Web) -> None:
    web.will(Answer(status=302, headers={"Location": "/w/api.php"}))
    error, waits = refused(web)
    assert error.message.startswith(f"{web.url}: ")
    assert "redirect" in error.message
    assert waits == []


def test_a_lost_connection_is_tried_again(web: Web) -> None:
    web.will(Answer(hang_up=True), {"back": True})
    value, waits = ask(web)
    assert value == {"back": True}
    assert len(waits) == 1


def test_a_slow_server_is_tried_again(web: Web) -> None:
    web.will(Answer({}, wait=1.0), {"quick": True})
    assert ask(web, timeout=0.2)[0] == {"quick": True}


def test_a_refused_connection_says_so() -> None:
    url = f"http://127.0.0.1:{free_port()}/w/api.php"
    error, waits = unreachable(url)
    assert error.message.startswith(f"{url}: ConnectError: ")
    assert error.message.endswith("(3 attempts)")
    assert error.hint == "is the network up, and the address right?"
    assert len(waits) == 2


def unreachable(url: str) -> tuple[SourceError, list[float]]:
    patience = Patience()
    with pytest.raises(SourceError) as caught:
        Client(wait=patience, attempts=3).get_json(url, {})
    return caught.value, patience.waits


@pytest.mark.parametrize("url", ["en.wikipedia.org/w/api.php", "gopher://127.0.0.1/api.php", "http://[::1/api.php", ""])
def test_an_address_that_is_none_is_not_tried_again(url: str) -> None:
    error, waits = unreachable(url)
    assert error.message.startswith(f"{url}: ")
    assert (error.hint, waits) == ("is the address right?", [])


def test_a_body_that_cannot_be_unpacked_is_an_error(web: Web) -> None:
    web.will(Answer(b"this is not gzip", headers={"Content-Encoding": "gzip"}))
    error, waits = refused(web, attempts=2)
    assert error.message.startswith(f"{web.url}: DecodingError")
    assert (len(web.asked), len(waits)) == (2, 1)
