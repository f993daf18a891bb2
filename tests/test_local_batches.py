"""`/v1/batches`, through the official client: requests in a file, answers in a file, joined on `custom_id`."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import openai
import pytest
from openai.types import Batch

from ftbuild.local.batchfile import answered, append, parse
from ftbuild.local.launch import Server, running
from tests.asking import connect, refused, until

COMPLETIONS: Any = "/v1/completions"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        with running(tmp_path_factory.mktemp("state")) as server:
            yield server


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[openai.OpenAI]:
    with connect(server) as client:
        yield client


def request(name: object, model: object, url: str = COMPLETIONS, **body: Any) -> dict[str, Any]:
    asked = {"model": str(model), "prompt": f"Is {name} a number?", "max_tokens": 4, "temperature": 0} | body
    return {"custom_id": f"request {name}", "method": "POST", "url": url, "body": asked}


def create(client: openai.OpenAI, lines: Sequence[Any], endpoint: Any = COMPLETIONS, **given: Any) -> Batch:
    content = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines).encode()
    file = client.files.create(file=("requests.jsonl", content), purpose="batch")
    return client.batches.create(input_file_id=file.id, endpoint=endpoint, completion_window="24h", **given)


def ended(client: openai.OpenAI, batch: Batch) -> Batch:
    def final() -> Batch | None:
        now = client.batches.retrieve(batch.id)
        return now if now.status in ("completed", "failed", "cancelled", "expired") else None

    return cast("Batch", until(final, "the end of the batch"))


def answers(client: openai.OpenAI, file: str | None) -> dict[str, Any]:
    """Return the answers of a file by their ids; each stands there once."""
    lines = [json.loads(line) for line in client.files.content(file or "").text.splitlines()]
    assert len({line["custom_id"] for line in lines}) == len(lines)
    return {line["custom_id"]: line for line in lines}


def counts(batch: Batch) -> tuple[int, int, int]:
    assert batch.request_counts is not None
    return batch.request_counts.total, batch.request_counts.completed, batch.request_counts.failed


def test_a_batch_is_answered_line_by_line(client: openai.OpenAI, tiny_model: Path) -> None:
    lines = [request(n, tiny_model) for n in range(20)]
    made = create(client, lines, metadata={"for": "a test"})
    assert (made.object, made.endpoint, made.completion_window) == ("batch", COMPLETIONS, "24h")
    batch = ended(client, made)
    assert (batch.status, counts(batch), batch.error_file_id, batch.metadata) == (
        "completed",
        (20, 20, 0),
        None,
        {"for": "a test"},
    )
    assert batch.created_at <= (batch.in_progress_at or 0) <= (batch.finalizing_at or 0) <= (batch.completed_at or 0)
    told = answers(client, batch.output_file_id)
    assert sorted(told) == sorted(line["custom_id"] for line in lines)
    for n in (0, 19):
        answer = told[f"request {n}"]
        assert (answer["error"], answer["response"]["status_code"]) == (None, 200)
        alone = client.completions.create(**lines[n]["body"])
        assert answer["response"]["body"]["choices"][0]["text"] == alone.choices[0].text
    assert client.files.retrieve(batch.output_file_id or "").purpose == "batch_output"
    assert batch.id in [b.id for b in client.batches.list(limit=1)]


def test_conversations_are_answered_and_what_cannot_be_is_told_apart(client: openai.OpenAI, tiny_model: Path) -> None:
    url = "/v1/chat/completions"
    turns = {"prompt": None, "messages": [{"role": "user", "content": "Hello"}]}
    lines = [
        request("good", tiny_model, url, **turns),
        request("long", tiny_model, url, messages=[{"role": "user", "content": "a" * 600}]),
        request("hot", tiny_model, url, **turns, temperature=3),
        request("streamed", tiny_model, url, **turns, stream=True),
    ]
    batch = ended(client, create(client, lines, url))
    assert (batch.status, counts(batch)) == ("completed", (4, 1, 3))
    good = answers(client, batch.output_file_id)["request good"]["response"]["body"]
    assert (good["object"], good["usage"]["completion_tokens"]) == ("chat.completion", 4)
    bad = {name: line["response"] for name, line in answers(client, batch.error_file_id).items()}
    assert {name: (r["status_code"], r["body"]["error"]["param"]) for name, r in bad.items()} == {
        "request long": (400, "messages"),
        "request hot": (400, "temperature"),
        "request streamed": (400, "stream"),
    }


def test_one_wrong_line_fails_the_batch_and_is_named(client: openai.OpenAI, tiny_model: Path) -> None:
    lines = [
        request(1, tiny_model),
        "{",
        request(1, tiny_model),
        request(2, tiny_model, "/v1/chat/completions"),
        request(3, tiny_model) | {"method": "GET"},
        request(4, tiny_model) | {"body": {}},
        {"custom_id": 5},
        request(6, "another"),
    ]
    batch = ended(client, create(client, lines))
    assert (batch.status, batch.output_file_id, batch.error_file_id) == ("failed", None, None)
    assert batch.errors is not None
    assert [(e.line, e.code) for e in batch.errors.data or ()] == [
        (2, "invalid_json_line"),
        (3, "duplicate_custom_id"),
        (4, "invalid_url"),
        (5, "invalid_method"),
        (6, "missing_required_parameter"),
        (7, "missing_required_parameter"),
        (None, "mismatched_model"),
    ]


def test_a_batch_is_cancelled_and_keeps_what_was_answered(client: openai.OpenAI, tiny_model: Path) -> None:
    batch = create(client, [request(n, tiny_model, max_tokens=200, n=4, temperature=1) for n in range(300)])
    until(lambda: counts(client.batches.retrieve(batch.id))[1] > 0, "the first answer")
    assert client.batches.cancel(batch.id).status == "cancelling"
    batch = ended(client, batch)
    assert (batch.status, counts(batch)[0]) == ("cancelled", 300)
    assert len(answers(client, batch.output_file_id)) == counts(batch)[1] < 300
    with pytest.raises(openai.ConflictError, match="'cancelled'"):
        client.batches.cancel(batch.id)


def test_who_asks_meanwhile_is_answered_first(client: openai.OpenAI, tiny_model: Path) -> None:
    batch = create(client, [request(n, tiny_model, max_tokens=300, n=8, temperature=1) for n in range(200)])
    until(lambda: client.batches.retrieve(batch.id).status == "in_progress", "its beginning")
    for n in range(3):
        client.completions.create(**request(n, tiny_model)["body"])
    assert client.batches.retrieve(batch.id).status == "in_progress"
    client.batches.cancel(batch.id)
    ended(client, batch)


def test_a_batch_whose_server_is_killed_goes_on_with_the_next(tmp_path: Path, tiny_model: Path) -> None:
    with running(tmp_path) as server, connect(server) as client:
        batch = create(client, [request(n, tiny_model, max_tokens=60, temperature=0.5) for n in range(150)])
        until(lambda: counts(client.batches.retrieve(batch.id))[1] >= 5, "the fifth answer")
        with contextlib.closing(sqlite3.connect(tmp_path / "state.db")) as database:
            owner = database.execute("select owner from batches").fetchone()[0]
        os.kill(int(owner.split(":")[0]), signal.SIGKILL)
    (file,) = (tmp_path / "batches").glob("*/output.jsonl")
    before = file.read_bytes()
    assert 5 <= before.count(b"\n") < 150
    file.write_bytes(before + b'{"custom_id": "request 149", "resp')  # as a killed server leaves it
    with running(tmp_path) as server, connect(server) as client:
        batch = ended(client, batch)
        assert (batch.status, counts(batch)) == ("completed", (150, 150, 0))
        content = client.files.content(batch.output_file_id or "").read()
        assert content.startswith(before)
        assert len(answers(client, batch.output_file_id)) == 150


@pytest.mark.parametrize(
    ("given", "code", "param"),
    [
        ({"endpoint": "/v1/embeddings"}, "invalid_value", "endpoint"),
        ({"input_file_id": "file-nowhere"}, "invalid_input_file_id", "input_file_id"),
        ({"completion_window": "1h"}, None, "completion_window"),
        ({"metadata": {str(n): "x" for n in range(17)}}, None, "metadata"),
    ],
)
def test_a_batch_that_cannot_be_is_refused(
    client: openai.OpenAI, tiny_model: Path, given: dict[str, Any], code: str | None, param: str
) -> None:
    content = json.dumps(request(1, tiny_model)).encode()
    file = client.files.create(file=("requests.jsonl", content), purpose="batch")
    asked: Any = {"input_file_id": file.id, "endpoint": COMPLETIONS, "completion_window": "24h"} | given
    with pytest.raises(openai.BadRequestError) as error:
        client.batches.create(**asked)
    assert refused(error) == (400, code, param)


def test_an_unknown_batch(client: openai.OpenAI) -> None:
    for ask in (client.batches.retrieve, client.batches.cancel):
        with pytest.raises(openai.NotFoundError, match="batch_nowhere"):
            ask("batch_nowhere")


def test_a_file_of_another_purpose_is_no_batch(client: openai.OpenAI) -> None:
    content = b'{"prompt": "a", "completion": "b"}\n'
    file = client.files.create(file=("rows.jsonl", content), purpose="fine-tune")
    with pytest.raises(openai.BadRequestError, match="'fine-tune'; expected 'batch'"):
        client.batches.create(input_file_id=file.id, endpoint=COMPLETIONS, completion_window="24h")


def test_an_empty_file_and_one_with_too_many_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [p["code"] for p in parse(b"\n\n", COMPLETIONS)[1]] == ["empty_file"]
    monkeypatch.setattr("ftbuild.local.batchfile.MOST_REQUESTS", 2)
    lines = b"".join(json.dumps(request(n, "m")).encode() + b"\n" for n in range(3))
    assert [p["code"] for p in parse(lines, COMPLETIONS)[1]] == ["too_many_tasks"]
    assert parse(lines, COMPLETIONS)[0][2].custom_id == "request 2"


def test_a_line_that_was_cut_off_is_taken_away(tmp_path: Path) -> None:
    file = tmp_path / "output.jsonl"
    append(file, {"custom_id": "a", "text": "\u2028 é"})
    append(file, {"custom_id": "b"})
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    assert [a["custom_id"] for a in answered(file)] == ["a"]
    append(file, {"custom_id": "b"})
    assert file.read_bytes() == whole
