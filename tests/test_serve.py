"""`ftbuild serve`: a server that stands on its own, for anybody's client; what it says, refuses, and how it ends."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from ftbuild.cli import main
from tests.serving import PATIENCE, Served, served, until

KEY = "sk-of-our-own-2f1b"
HALF = b'{"model": "\\u0000", "training_file": "\\ud800"}'  # of a pair of surrogates


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log") / "log.txt"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, log: Path) -> Iterator[Served]:
    with log.open("w") as file, served(tmp_path_factory.mktemp("store"), key=KEY, stderr=file) as server:
        yield server


def address(server: Served, path: str) -> str:
    return server.base_url.removesuffix("/v1") + path


def test_a_key_is_made_and_shown_once(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        assert len(server.key) > 30
        assert [f.id for f in server.client().files.list()] == []
        with pytest.raises(openai.AuthenticationError):
            openai.OpenAI(base_url=server.base_url, api_key="sk-other", max_retries=0).files.list()
        listed = subprocess.run(["ps", "-ww", "-eo", "args="], capture_output=True, text=True, check=True).stdout
        assert server.key not in listed
        assert server.stop() == 0


def test_the_welcome_tells_what_to_do(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ftbuild", "serve", "port=0", f"store={tmp_path}"]
    given = {**os.environ, "FTBUILD_API_KEY": KEY}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=given) as process:
        assert process.stdout is not None
        told = [process.stdout.readline() for _ in range(9)]
        health = told[0].split()[2].replace("/v1", "/health")
        until(lambda: httpx2.get(health).is_success, "the server")
        process.terminate()
        assert process.wait(60) == 0
    assert told[0].startswith("ftbuild serves http://127.0.0.1:")
    assert KEY not in "".join(told)
    assert 'api_key=os.environ["FTBUILD_API_KEY"]' in "".join(told)
    assert '/models -H "Authorization: Bearer $FTBUILD_API_KEY"' in "".join(told)


def test_others_are_not_let_in_without_a_key_of_ones_own(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("FTBUILD_API_KEY", raising=False)
    for host in ("0.0.0.0", "::"):
        assert main(["serve", f"host={host}", f"store={tmp_path / 'new'}"]) == 2
        assert "without a key of your own nothing is served there" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_a_busy_port_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["serve", f"port={port}", f"store={tmp_path / 'new'}"]) == 2
    error, hint = capsys.readouterr().err.splitlines()
    assert error == f"error: cannot listen on 127.0.0.1 port {port}: Address already in use"
    assert f"port={port + 1}" in hint
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("port=http", "port (command line): a whole number from 0 to 65535"),
        ("port=70000", "port (command line): a whole number from 0 to 65535"),
        ("memory=much", "memory (command line): a whole number from 0"),
        ("log=all", "log (command line): 'all' is not one of requests, bodies, none"),
        ("hots=::1", "hots (command line): serve does not know this"),
        ("host=no.such.host.invalid", "host (command line): 'no.such.host.invalid' is not an address"),
        ("now", "'now' is neither an override nor a verb"),
        ("store=/dev/null/x", "cannot write to the store /dev/null/x"),
    ],
)
def test_wrong_settings_are_named(word: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "port=0", word]) == 2
    assert said in capsys.readouterr().err


def test_its_help_is_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--help"]) == 0
    assert "ftbuild serve [host=127.0.0.1]" in capsys.readouterr().out


def test_the_docs_need_nothing_from_elsewhere(server: Served) -> None:
    page = httpx2.get(address(server, "/docs"))
    assert page.headers["content-type"].startswith("text/html")
    assert "http://" not in page.text
    assert "https://" not in page.text
    schema = httpx2.get(address(server, "/openapi.json")).json()
    assert {"/v1/files", "/v1/fine_tuning/jobs/{id_}/checkpoints", "/health"} <= set(schema["paths"])


def test_every_answer_has_a_number_and_every_error_an_envelope(server: Served) -> None:
    headers = {"authorization": f"Bearer {KEY}"}
    asked: list[tuple[str, str, dict[str, Any], int]] = [
        ("GET", "/health", {}, 200),
        ("GET", "/v1/files", {}, 401),
        ("GET", "/v1/nothing", {"headers": headers}, 404),
        ("DELETE", "/v1/files", {"headers": headers}, 405),
        ("POST", "/v1/completions", {"headers": headers, "content": b"{"}, 400),
        ("POST", "/v1/completions", {"headers": headers, "content": b"[" * 100_000}, 400),
        (
            "POST",
            "/v1/fine_tuning/jobs",
            {"headers": headers, "content": b'{"model": "\\u0000", "training_file": "\\ud800"}'},
            400,
        ),
        ("GET", "/v1/files?limit=0", {"headers": headers}, 400),
        ("GET", "/v1/files/%2e%2e%2f%2e%2e%2fetc%2fpasswd/content", {"headers": headers}, 404),
        ("POST", "/v1/files", {"headers": headers, "files": {"file": b"x"}}, 400),
    ]
    numbers = set()
    for method, path, given, status in asked:
        answer = httpx2.request(method, address(server, path), **given)
        assert answer.status_code == status, (method, path, answer.text)
        numbers.add(answer.headers["x-request-id"])
        if status != 200:
            assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert len(numbers) == len(asked)


def test_a_request_that_is_too_large_is_refused_while_it_comes(server: Served) -> None:
    headers = {"authorization": f"Bearer {KEY}"}

    def endless() -> Iterator[bytes]:
        for _ in range(40):
            yield b" " * 2**20

    told = httpx2.post(address(server, "/v1/completions"), headers=headers, content=endless())
    assert told.status_code == 413
    assert answered_to_the_head(server, f"authorization: Bearer {KEY}", f"content-length: {2**40}") == 413


def test_a_stranger_is_sent_away_before_the_body_is_read(server: Served) -> None:
    assert answered_to_the_head(server, "content-length: 1000000") == 401


def answered_to_the_head(server: Served, *headers: str) -> int:
    """Send nothing but the head of an upload, and return the status of the answer."""
    host, port = address(server, "").removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as wire:
        wire.sendall("\r\n".join(["POST /v1/files HTTP/1.1", "host: x", *headers, "", ""]).encode())
        return int(wire.recv(100).split()[1])


def test_the_log_holds_requests_and_neither_prompts_nor_keys(server: Served, log: Path) -> None:
    with pytest.raises(openai.NotFoundError):
        server.client().completions.create(model="no-such-model", prompt="a secret question")
    told = log.read_text()
    assert "POST /v1/completions 404" in told
    assert "a secret question" not in told
    assert KEY not in told


def test_bodies_are_logged_when_they_are_asked_for(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as file, served(tmp_path, "log=bodies", key=KEY, stderr=file) as server:
        with pytest.raises(openai.NotFoundError):
            server.client().completions.create(model="no-such-model", prompt=f"a secret question about {KEY}")
        assert server.stop() == 0
    told = (tmp_path / "log").read_text()
    assert "a secret question about …" in told
    assert KEY not in told


def test_many_may_come_at_once(server: Served) -> None:
    import asyncio

    async def ask() -> list[int]:
        async with httpx2.AsyncClient(timeout=120) as client:
            asked = [client.get(address(server, "/v1/files"), headers={"authorization": f"Bearer {KEY}"}) for _ in range(200)]
            return [answer.status_code for answer in await asyncio.gather(*asked)]

    assert set(asyncio.run(ask())) == {200}


def test_a_state_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "local/state.db").mkdir(parents=True)
    command = [sys.executable, "-m", "ftbuild", "serve", "port=0", f"store={tmp_path}", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: cannot use the state in ")
    assert json.loads(done.stdout)["base_url"]


@pytest.mark.parametrize("name", ["a" * 3000, "~nobody", "~nobody/a", "%00"])
def test_a_name_that_cannot_be_a_path_is_no_model(server: Served, name: str) -> None:
    headers = {"authorization": f"Bearer {KEY}"}
    assert httpx2.get(address(server, f"/v1/models/{name}"), headers=headers, timeout=PATIENCE).status_code == 404
    asked = {"model": name, "prompt": "a"}
    told = httpx2.post(address(server, "/v1/completions"), headers=headers, json=asked, timeout=PATIENCE)
    assert (told.status_code, told.json()["error"]["code"]) == (404, "model_not_found")


@pytest.mark.parametrize("field", ["prompt", "stop"])
def test_half_a_surrogate_pair_is_no_text(server: Served, field: str) -> None:
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    content = b'{"model": "a", "prompt": "a", "' + field.encode() + b'": "\\ud800"}'
    told = httpx2.post(address(server, "/v1/completions"), headers=headers, content=content)
    assert (told.status_code, told.json()["error"]["type"]) == (400, "invalid_request_error")


def test_a_body_that_is_not_json_is_refused(server: Served) -> None:
    headers = {"authorization": f"Bearer {KEY}", "content-type": "text/plain"}
    for path in ("/v1/completions", "/v1/chat/completions"):
        assert httpx2.post(address(server, path), headers=headers, content=b"a", timeout=PATIENCE).status_code == 400
