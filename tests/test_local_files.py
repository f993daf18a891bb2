"""The embedded server's files, through the official client: what they are called, how long they stay, how they are listed."""

from __future__ import annotations

import io
import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.serving import ROWS, Served, lines, refused, served


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("store")) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Served) -> Iterator[openai.OpenAI]:
    with server.client() as client:
        yield client


def upload(client: openai.OpenAI, name: str = "a.txt", purpose: Any = "user_data", **given: Any) -> Any:
    return client.files.create(file=(name, b"content"), purpose=purpose, **given)


def test_a_file_may_expire(client: openai.OpenAI, server: Served) -> None:
    made = upload(client, expires_after={"anchor": "created_at", "seconds": 3600})
    assert made.expires_at == pytest.approx(made.created_at + 3600, abs=2)
    assert upload(client).expires_at is None
    assert upload(client, purpose="batch").expires_at == pytest.approx(time.time() + 30 * 86400, abs=60)
    with sqlite3.connect(server.state / "state.db") as db:
        db.execute("update files set expires_at = 1 where id = ?", (made.id,))
    db.close()
    assert made.id not in [f.id for f in client.files.list()]
    for ask in (client.files.retrieve, client.files.content):
        with pytest.raises(openai.NotFoundError, match=made.id):
            ask(made.id)
    assert not (server.state / "files" / made.id).exists()


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"expires_after": {"anchor": "created_at", "seconds": 3599}}, "expires_after.seconds"),
        ({"expires_after": {"anchor": "created_at", "seconds": 2592001}}, "expires_after.seconds"),
        ({"expires_after": {"anchor": "last_active_at", "seconds": 3600}}, "expires_after.anchor"),
        ({"expires_after": {"seconds": 3600}}, "expires_after.anchor"),
        ({"expires_after": {"anchor": "created_at"}}, "expires_after.seconds"),
        ({"purpose": "answers"}, "purpose"),
        ({"purpose": "fine-tune-results"}, "purpose"),
    ],
)
def test_what_cannot_be_is_named(client: openai.OpenAI, given: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as error:
        upload(client, **given)
    assert refused(error) == (400, "invalid_value", param)


@pytest.mark.parametrize("purpose", ["assistants", "batch", "vision", "user_data", "evals"])
def test_every_purpose_of_the_protocol_is_known(client: openai.OpenAI, purpose: str) -> None:
    made = upload(client, purpose=purpose)
    assert made.purpose == purpose
    assert made.id in [f.id for f in client.files.list(purpose=purpose)]


def test_files_are_listed_in_either_order_page_by_page(client: openai.OpenAI) -> None:
    made = [upload(client, f"{n}.txt", "evals").id for n in range(5)]
    oldest_first = [f.id for f in client.files.list(purpose="evals", order="asc", limit=2)]
    assert oldest_first[-5:] == made
    assert [f.id for f in client.files.list(purpose="evals", limit=3)] == oldest_first[::-1]
    page = client.files.list(purpose="evals", order="asc", limit=2, after=made[1])
    assert ([f.id for f in page.data], page.has_more) == (made[2:4], True)
    client.files.delete(made[1])  # and still it is a place in the list
    assert [f.id for f in client.files.list(purpose="evals", order="asc", after=made[1])] == made[2:]


@pytest.mark.parametrize(("given", "param"), [({"limit": 0}, "limit"), ({"limit": 10001}, "limit"), ({"order": "up"}, "order")])
def test_pages_have_limits(client: openai.OpenAI, given: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as error:
        client.files.list(**given)
    assert refused(error) == (400, None, param)
    with pytest.raises(openai.BadRequestError) as error:
        client.files.list(after="file-nowhere")
    assert refused(error) == (400, "invalid_cursor", "after")


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("../../../etc/passwd", "passwd"),
        ("..\\..\\windows\\system.ini", "system.ini"),
        ("/etc/cron.d/x", "x"),
        ("..", ".."),
        ("a\x07b.jsonl", "ab.jsonl"),
        ("ß" * 300, "ß" * 255),
    ],
)
def test_names_never_become_paths(client: openai.OpenAI, server: Served, given: str, shown: str) -> None:
    made = upload(client, given)
    assert made.filename in (shown, shown.replace("ab", "a%07b"))
    assert (server.state / "files" / made.id).read_bytes() == b"content"
    assert client.files.content(made.id).read() == b"content"


def test_a_refused_upload_leaves_nothing(client: openai.OpenAI, server: Served) -> None:
    before = sorted((server.state / "files").iterdir())
    for content in (b"{}\n", b"\xff\xfe", b'{"prompt": "a", "completion": "\\ud800"}\n', b'{"a":' * 50_000):
        with pytest.raises(openai.BadRequestError) as error:
            client.files.create(file=("rows.jsonl", content), purpose="fine-tune")
        assert refused(error) == (400, "invalid_file_format", "file")
    assert sorted((server.state / "files").iterdir()) == before


def test_a_large_file_is_never_whole_in_memory(client: openai.OpenAI, server: Served, tiny_model: Path) -> None:
    row = json.dumps({"prompt": "a" * 5000, "completion": " b"}).encode() + b"\n"

    def memory() -> int:
        status = Path(f"/proc/{server.process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) // 1024

    client.files.create(file=("rows.jsonl", lines(ROWS)), purpose="fine-tune")
    client.completions.create(model=str(tiny_model), prompt="a", max_tokens=1)  # what models need is in memory now
    before = memory()
    made = client.files.create(file=("rows.jsonl", io.BytesIO(row * 20_000)), purpose="fine-tune")
    assert made.bytes == 20_000 * len(row)
    assert memory() - before < 40
    client.files.delete(made.id)


ASKED: dict[str, Any] = {"messages": [{"role": "user", "content": "Hello"}]}
ONE: list[dict[str, Any]] = [{"role": "assistant", "content": "Hello!"}]
OTHER: list[dict[str, Any]] = [{"role": "assistant", "content": "Go away."}]
CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}


@pytest.mark.parametrize(
    "row",
    [
        {"input": ASKED, "preferred_output": ONE, "non_preferred_output": OTHER},
        {
            "input": dict(ASKED, tools=[TOOL], parallel_tool_calls=True),
            "preferred_output": ONE,
            "non_preferred_output": OTHER,
        },
        {"messages": [*ASKED["messages"], {"role": "assistant", "tool_calls": [CALL]}], "tools": [TOOL]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}, *ONE]},
    ],
)
def test_rows_of_every_kind_are_taken(client: openai.OpenAI, row: dict[str, Any]) -> None:
    assert client.files.create(file=("rows.jsonl", lines([row])), purpose="fine-tune").status == "processed"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"preferred_output": ONE, "non_preferred_output": OTHER}, "there is no object under 'input'"),
        ({"input": ASKED, "preferred_output": ONE}, "'non_preferred_output' is not a list of turns"),
        ({"input": ASKED, "preferred_output": ONE, "non_preferred_output": ONE}, "both outputs are the same"),
        ({"input": ASKED, "preferred_output": ASKED["messages"], "non_preferred_output": ONE}, "holds other turns than"),
        ({"input": {"messages": []}, "preferred_output": ONE, "non_preferred_output": OTHER}, "'input.messages' is not a list"),
        ({"messages": ONE, "tools": [{"function": {}}]}, "tools is not a list of functions"),
        ({"messages": [{"role": "assistant", "tool_calls": []}]}, "messages[0].tool_calls is not a list of calls"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}, *ONE]}, "messages[0] has no text"),
    ],
)
def test_what_is_wrong_with_a_row_is_said(client: openai.OpenAI, row: dict[str, Any], said: str) -> None:
    with pytest.raises(openai.BadRequestError) as error:
        client.files.create(file=("rows.jsonl", lines([row])), purpose="fine-tune")
    assert f"line 1: {said}" in error.value.message or said in error.value.message
