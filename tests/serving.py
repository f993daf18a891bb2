"""Servers for tests, the embedded one and `ftbuild serve`, and what one asks them through the official client."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import openai
import pytest
from openai.types.fine_tuning import FineTuningJob, FineTuningJobEvent

from ftbuild.local.launch import Server

PATIENCE = 300.0  # seconds; for a busy machine, not for a slow test
ROWS = [{"prompt": f"Is {n} a number?\n\n###\n\n", "completion": " yes, it is [DONE]"} for n in range(12)]
TURNS = [
    {"messages": [{"role": "user", "content": f"Is {n} a number?"}, {"role": "assistant", "content": "Yes."}]}
    for n in range(12)
]


def lines(rows: Sequence[Any]) -> bytes:
    """Return rows as a training file."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def connect(server: Server, key: str = "") -> openai.OpenAI:
    return openai.OpenAI(base_url=server.base_url, api_key=key or server.api_key, max_retries=0, timeout=PATIENCE)


def until(seen: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """Wait until `seen` returns something, and return that."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := seen():
            return value
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {seconds:.0f} s")


def create(client: openai.OpenAI, model: object, rows: Sequence[Any] = ROWS, **hyperparameters: Any) -> FineTuningJob:
    """Upload rows and create a job."""
    file = client.files.create(file=("rows.jsonl", lines(rows)), purpose="fine-tune")
    method: Any = {"type": "supervised", "supervised": {"hyperparameters": hyperparameters}}
    return client.fine_tuning.jobs.create(model=str(model), training_file=file.id, suffix="words", seed=3, method=method)


def ended(client: openai.OpenAI, job: str) -> FineTuningJob:
    """Wait for the end of a job."""

    def final() -> FineTuningJob | None:
        now = client.fine_tuning.jobs.retrieve(job)
        return now if now.status in ("succeeded", "failed", "cancelled") else None

    return cast("FineTuningJob", until(final, f"the end of job {job}"))


def events(client: openai.OpenAI, job: str) -> list[FineTuningJobEvent]:
    """Return all events of a job, the oldest first."""
    return list(client.fine_tuning.jobs.list_events(job, limit=100))[::-1]


def steps(client: openai.OpenAI, job: str) -> list[int]:
    """Return the steps that a job has told of."""
    return [cast("dict[str, Any]", e.data)["step"] for e in events(client, job) if e.type == "metrics"]


def table(client: openai.OpenAI, job: FineTuningJob) -> list[dict[str, str]]:
    """Return a job's result file."""
    return list(csv.DictReader(io.StringIO(client.files.content(job.result_files[0]).text)))


def processes(*words: str) -> list[int]:
    """Return the ids of the processes on whose command lines all these words stand."""
    listed = subprocess.run(["ps", "-ww", "-eo", "pid=,stat=,args="], capture_output=True, text=True, check=True).stdout
    told = (line.split(maxsplit=2) for line in listed.splitlines())
    return [int(p[0]) for p in told if len(p) == 3 and not p[1].startswith("Z") and all(w in p[2] for w in words)]


def listening(base_url: str) -> bool:
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex(("127.0.0.1", cast("int", urlsplit(base_url).port))) == 0


def refused(error: pytest.ExceptionInfo[openai.APIStatusError]) -> tuple[int, str | None, str | None]:
    """Return what an error says: status, code, parameter."""
    assert set(cast("dict[str, Any]", error.value.body)) == {"message", "type", "param", "code"}
    return error.value.status_code, error.value.code, error.value.param


@dataclass
class Served:
    """A running `ftbuild serve`: its process, its address and key, and where its state lies."""

    process: subprocess.Popen[str]
    base_url: str
    key: str
    state: Path

    def client(self, **given: Any) -> openai.OpenAI:
        """Return a client that gives up after the first attempt."""
        return openai.OpenAI(base_url=self.base_url, api_key=self.key, **({"max_retries": 0, "timeout": PATIENCE} | given))

    def kill(self) -> None:
        """End it as the lack of memory would."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """End it as Ctrl-C does, and return its exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)


@contextlib.contextmanager
def served(
    store: Path, *settings: str, key: str = "", prefix: Sequence[str] = (), stderr: Any = None, **environment: str
) -> Iterator[Served]:
    """Run `ftbuild serve` on a free port, its state in `store`."""
    command = [*prefix, sys.executable, "-m", "ftbuild", "serve", "port=0", f"store={store}", *settings, "--json"]
    given = {**os.environ, "OMP_NUM_THREADS": "1", "FTBUILD_API_KEY": key, **environment}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=given)
    try:
        assert process.stdout is not None
        told = ""
        for line in process.stdout:
            told += line
            if line.startswith("}"):
                break
        welcome = json.loads(told)
        yield Served(process, welcome["base_url"], welcome.get("api_key", key), store / "local")
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
