"""The embedded server under requests that nobody means well: a fuzzer, a thousand wrong ones, two hundred clients at once.

Nothing of it may be answered with 5xx, hang, or leave open files, threads or uploads behind, and others are answered meanwhile.
"""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.serving import PATIENCE, ROWS, Served, lines, served, until

SCHEMATHESIS = "schemathesis==4.32.5"
HANGS = 60.0  # seconds after which an answer does not count as one any more

VALUES: list[Any] = [
    None, True, 0, -1, 2**31, 2**64, 10**400, 1e308, "", "\x00", "\ud800", "../../etc/passwd", "ft:a:b:c:d", "~nobody", "%00",
    "a" * 3000, "'; DROP TABLE jobs;--",
    "{{ 7 * 7 }}", "\U0001f600" * 500, [], [[]], {}, [None], {"a": {"b": []}}, {"type": "json_schema"}, "nan", ["x"] * 5, [-5],
]  # fmt: skip
FIELDS = {
    "/completions": ("model", "prompt", "stop", "max_tokens", "temperature", "top_p", "n", "seed", "logprobs", "echo", "stream",
                     "stream_options", "logit_bias", "best_of", "suffix"),
    "/chat/completions": ("model", "messages", "stop", "max_tokens", "max_completion_tokens", "n", "seed", "logprobs", "stream",
                          "top_logprobs", "response_format", "tools", "tool_choice", "logit_bias"),
    "/fine_tuning/jobs": ("model", "training_file", "validation_file", "suffix", "seed", "metadata", "hyperparameters",
                          "method", "integrations", "learning_rate", "lora_rank", "packing"),
    "/batches": ("input_file_id", "endpoint", "completion_window", "metadata"),
    "/embeddings": ("model", "input"),
    "/nothing": ("of", "this"),
}  # fmt: skip
PATHS = (
    "/files", "/files/{}", "/files/{}/content", "/fine_tuning/jobs", "/fine_tuning/jobs/{}",
    "/fine_tuning/jobs/{}/events",
    "/fine_tuning/jobs/{}/checkpoints", "/fine_tuning/jobs/{}/cancel", "/fine_tuning/jobs/{}/pause",
    "/fine_tuning/jobs/{}/resume",
    "/models", "/models/{}", "/batches", "/batches/{}", "/batches/{}/cancel",
)  # fmt: skip
IDS = (
    "..%2f..%2fetc%2fpasswd",
    "%00",
    "%ff%fe",
    "a" * 3000,
    "%F0%9F%98%80",
    "ft:x:local::1",
    "' OR 1=1",
    "-1",
    "*",
    "~nobody",
    "%0d%0aset-cookie:a",
)
QUERIES = ("", "limit=0", "limit=-1", "limit=x", "limit=99999999999999999999", "after=%00", "after=no", "order=up",
           "metadata=1", "metadata[a]=%00", "purpose=%ff", "limit=1&limit=2", "&&&=", "after=" + "a" * 5000)  # fmt: skip
RAW = (
    b"GET / HTTP/9.9\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
    b"POST /v1/files HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\n",
    b"POST /v1/files HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcde",
    b"POST /v1/files HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nZZZ\r\n",
    b"GET /v1/models HTTP/1.1\r\n" + b"x: " + b"a" * 100_000 + b"\r\n\r\n",
    b"GET /v1/models HTTP/1.1\r\nauthorization: Bearer \xff\xfe\x00\r\n\r\n",
    b"\r\n" * 1000,
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("store"), "log=none") as server:
        yield server


@pytest.fixture(scope="module")
def model(server: Served, tiny_model: Path) -> str:
    """Have the model in memory, as it is on any server that is used."""
    with server.client() as client:
        client.completions.create(model=str(tiny_model), prompt="a", max_tokens=1)
        client.chat.completions.create(
            model=str(tiny_model), messages=[{"role": "user", "content": "a"}], max_tokens=1,
            response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": {"enum": ["a"]}}},
        )  # fmt: skip
    return str(tiny_model)


def held(server: Served) -> tuple[int, int]:
    """Return how many open files and threads the server has."""
    process = Path(f"/proc/{server.process.pid}")
    return len(list((process / "fd").iterdir())), len(list((process / "task").iterdir()))


def body(chance: random.Random, path: str, model: str) -> bytes:
    """Return a request of which one or two values are wrong, or that is no JSON at all."""
    valid: dict[str, Any] = {"model": model, "max_tokens": 1, "training_file": "file-no", "input_file_id": "file-no"}
    valid |= {"messages": [{"role": "user", "content": "a"}], "prompt": "a", "endpoint": "/v1/completions"}
    valid |= {"completion_window": "24h"}
    for _ in range(chance.randint(1, 2)):
        valid[chance.choice(FIELDS[path])] = chance.choice(VALUES)
    if path == "/chat/completions" and chance.random() < 0.3:
        valid["messages"] = [{"role": chance.choice(["user", "tool", "", None]), "content": chance.choice(VALUES)}]
    raw = json.dumps(valid).encode()
    kind = chance.random()
    return raw[: len(raw) // 2] if kind < 0.05 else b"[" * 50_000 if kind < 0.07 else os.urandom(40) if kind < 0.1 else raw


def requests(seed: int, count: int, model: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield hostile requests: method, path, and what `httpx2` wants beside them."""
    chance = random.Random(seed)
    for _ in range(count):
        kind = chance.random()
        if kind < 0.55:
            path = chance.choice(list(FIELDS))
            yield "POST", path, {"content": body(chance, path, model), "headers": {"content-type": "application/json"}}
        elif kind < 0.85:
            path = chance.choice(PATHS).replace("{}", chance.choice(IDS))
            yield chance.choice(["GET", "DELETE", "PATCH", "PUT", "OPTIONS"]), f"{path}?{chance.choice(QUERIES)}", {}
        else:
            name = chance.choice(["../../x", "\x00", "a\r\nb: c", "é" * 300, "rows.jsonl"])
            content = chance.choice([b"", os.urandom(200), lines(ROWS[:3])[:-9], b"\xff" * 99, b"[" * 9999, b'{"prompt": 1}'])
            purpose = chance.choice(["fine-tune", "batch", "", "\x00", "x" * 9000])
            yield (
                "POST",
                "/files",
                {"files": {"file": (name, content)}, "data": {"purpose": purpose, "expires_after[seconds]": "x"}},
            )


@pytest.mark.slow
def test_a_thousand_hostile_requests(server: Served, model: str) -> None:
    with httpx2.Client(headers={"authorization": f"Bearer {server.key}"}, timeout=HANGS) as client:
        client.get(f"{server.base_url}/models")
        before = held(server)
        waits: list[float] = []
        over = threading.Event()

        def other() -> None:
            with server.client() as well_meaning:
                while not over.is_set():
                    started = time.monotonic()
                    well_meaning.completions.create(model=model, prompt="a", max_tokens=1)
                    waits.append(time.monotonic() - started)
                    time.sleep(0.05)

        def ask(asked: tuple[str, str, dict[str, Any]]) -> tuple[int, Any]:
            method, path, given = asked
            try:
                told = client.request(method, server.base_url + path, **given)
            except (httpx2.InvalidURL, ValueError):
                return 0, asked  # what cannot even be sent
            if told.status_code >= 400 and method != "HEAD":
                assert set(told.json()["error"]) == {"message", "type", "param", "code"}, (asked, told.text)
            return told.status_code, asked

        def rude(number: int) -> None:
            with socket.create_connection(("127.0.0.1", urlsplit(server.base_url).port or 0), timeout=20) as wire:
                wire.sendall(RAW[number % len(RAW)])  # and does not wait for an answer

        with ThreadPoolExecutor(9) as pool:
            meanwhile = pool.submit(other)
            answers = list(pool.map(ask, requests(7, 1000, model)))
            list(pool.map(rude, range(50)))
            over.set()
            meanwhile.result()
    counted = Counter(status for status, _ in answers)
    assert not [(status, repr(asked)[:300]) for status, asked in answers if status >= 500], counted
    assert counted[400] > 200, counted
    assert len(waits) > 3
    assert max(waits) < HANGS
    until(lambda: all(now <= then + 3 for now, then in zip(held(server), before, strict=True)), "what was held", 30)
    assert not list(server.state.rglob("*upload*/*"))


@pytest.mark.slow
def test_two_hundred_clients_at_once(server: Served, model: str) -> None:
    with server.client() as client:
        file = client.files.create(file=("rows.jsonl", lines(ROWS)), purpose="fine-tune").id
        job = client.fine_tuning.jobs.create(model=model, training_file=file, hyperparameters={"n_epochs": 1}).id
    before, together = held(server), threading.Barrier(200)

    def visit(number: int) -> str:
        with server.client() as client:
            together.wait(PATIENCE)
            if number % 4 == 0:
                return client.completions.create(model=model, prompt=f"{number}", max_tokens=4).object
            if number % 4 == 1:
                return client.files.create(file=(f"{number}.jsonl", lines(ROWS)), purpose="fine-tune").object
            if number % 4 == 2:
                stream = client.chat.completions.create(
                    model=model, messages=[{"role": "user", "content": "a"}], max_tokens=4, stream=True
                )
                return [chunk.object for chunk in stream][-1]
            return client.fine_tuning.jobs.retrieve(job).object

    with ThreadPoolExecutor(200) as pool:
        told = Counter(pool.map(visit, range(200)))
    assert told == {"text_completion": 50, "file": 50, "chat.completion.chunk": 50, "fine_tuning.job": 50}
    with server.client() as client:
        assert len(list(client.files.list(purpose="fine-tune"))) >= 51
    # The pool of threads that answer stays, forty at most; nothing else does.
    until(lambda: held(server)[0] <= before[0] + 5 and held(server)[1] <= before[1] + 40, "what was held", 60)


@pytest.mark.slow
def test_a_fuzzer_finds_no_server_error(server: Served, tmp_path: Path) -> None:
    aside = tmp_path / "packages"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", str(aside)]
    constraints = Path(__file__).resolve().parent.parent / "constraints.txt"
    subprocess.run([*pip, "--constraint", str(constraints), SCHEMATHESIS], check=True, capture_output=True, timeout=600)
    command = [
        sys.executable, "-m", "schemathesis.cli", "run", f"{server.base_url.removesuffix('/v1')}/openapi.json",
        "--header", f"Authorization: Bearer {server.key}", "--checks", "not_a_server_error",
        "--phases", "examples,coverage,fuzzing",
        "--max-examples", "40", "--seed", "7", "--request-timeout", "60", "--workers", "1", "--warnings", "off", "--no-shrink",
    ]  # fmt: skip
    given = {**os.environ, "PYTHONPATH": str(aside), "no_proxy": "127.0.0.1"}
    done = subprocess.run(command, cwd=tmp_path, env=given, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
