"""Streams: the same answers in pieces, with usage and errors, and no work for those who hang up."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from tests.asking import PATIENCE, chat, complete

USAGE: Any = {"stream": True, "stream_options": {"include_usage": True}}


def raw(client: openai.OpenAI, path: str, body: dict[str, Any]) -> httpx2.Response:
    headers = {"authorization": f"Bearer {client.api_key}"}
    return httpx2.post(f"{client.base_url}{path}", json=body, headers=headers, timeout=PATIENCE)


@pytest.mark.parametrize("stop", [None, "yz", ["é", "a"]])
def test_pieces_of_a_completion_are_the_whole(answering: openai.OpenAI, tiny_model: Path, stop: Any) -> None:
    given: Any = {"temperature": 1, "seed": 5, "max_tokens": 40, "stop": stop, "logprobs": 1, "n": 2}
    whole = complete(answering, tiny_model, ["hello", "bye"], **given)
    chunks = list(complete(answering, tiny_model, ["hello", "bye"], **given, **USAGE))
    assert len({(c.id, c.object, c.created, c.model) for c in chunks}) == 1
    for choice in whole.choices:
        mine = [c.choices[0] for c in chunks if c.choices and c.choices[0].index == choice.index]
        assert "".join(c.text for c in mine) == choice.text
        assert [c.finish_reason for c in mine] == [None] * (len(mine) - 1) + [choice.finish_reason]
        assert [t for c in mine for t in c.logprobs.tokens] == choice.logprobs.tokens
        assert [o for c in mine for o in c.logprobs.text_offset] == choice.logprobs.text_offset
    assert chunks[-1].choices == []
    assert chunks[-1].usage.total_tokens == whole.usage.total_tokens
    assert [c.usage for c in chunks[:-1]] == [None] * (len(chunks) - 1)


def test_pieces_of_an_answer_are_the_whole(answering: openai.OpenAI, tiny_model: Path) -> None:
    given: Any = {"temperature": 1, "seed": 5, "max_tokens": 40, "logprobs": True, "top_logprobs": 2, "n": 2}
    whole = chat(answering, tiny_model, **given)
    chunks = list(chat(answering, tiny_model, **given, **USAGE))
    assert {c.object for c in chunks} == {"chat.completion.chunk"}
    for choice in whole.choices:
        mine = [c.choices[0] for c in chunks if c.choices and c.choices[0].index == choice.index]
        assert (mine[0].delta.role, mine[0].delta.content) == ("assistant", "")
        assert "".join(c.delta.content or "" for c in mine) == choice.message.content
        assert (mine[-1].finish_reason, mine[-1].delta.content) == (choice.finish_reason, None)
        told = [one.token for c in mine if c.logprobs for one in c.logprobs.content]
        assert told == [one.token for one in choice.logprobs.content]
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens


def test_the_stream_is_server_sent_events(answering: openai.OpenAI, tiny_model: Path) -> None:
    body = {"model": str(tiny_model), "prompt": "hello", "max_tokens": 3, "stream": True}
    response = raw(answering, "completions", body)
    assert response.headers["content-type"].startswith("text/event-stream")
    events = response.text.split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    assert all(json.loads(event.removeprefix("data: "))["object"] == "text_completion" for event in events[:-2])
    assert all("usage" not in json.loads(event.removeprefix("data: ")) for event in events[:-2])
    assert response.text.isascii()


def test_an_echo_comes_first(answering: openai.OpenAI, tiny_model: Path) -> None:
    chunks = list(complete(answering, tiny_model, echo=True, stream=True, max_tokens=5))
    assert chunks[0].choices[0].text.startswith("hello")
    assert "".join(c.choices[0].text for c in chunks).count("hello") == 1
    (only,) = complete(answering, tiny_model, echo=True, stream=True, max_tokens=0)
    assert (only.choices[0].text, only.choices[0].finish_reason) == ("hello", "length")


def test_what_cannot_be_is_refused_before_the_stream_begins(answering: openai.OpenAI, tiny_model: Path) -> None:
    with pytest.raises(openai.BadRequestError, match="maximum context length"):
        complete(answering, tiny_model, "a" * 600, stream=True)
    with pytest.raises(openai.NotFoundError):
        complete(answering, "gpt-4", stream=True)


def test_text_comes_while_it_is_made(answering: openai.OpenAI, tiny_model: Path) -> None:
    complete(answering, tiny_model)
    began, first = time.monotonic(), 0.0
    for _ in complete(answering, tiny_model, max_tokens=400, logit_bias={"70": 100}, stream=True):
        first = first or time.monotonic() - began
    assert first < 0.3 * (time.monotonic() - began)


def busy(client: openai.OpenAI, model: Path) -> float:
    """Return how long a short question takes."""
    began = time.monotonic()
    complete(client, model, "quick", max_tokens=2)
    return time.monotonic() - began


@pytest.mark.parametrize("stream", [True, False])
def test_who_hangs_up_stops_the_work(answering: openai.OpenAI, tiny_model: Path, stream: bool) -> None:
    headers = {"authorization": f"Bearer {answering.api_key}"}
    body = {
        "model": str(tiny_model),
        "prompt": ["hello"] * 3000,
        "max_tokens": 400,
        "logit_bias": {"70": 100},
        "stream": stream,
    }

    async def ask_and_leave() -> None:
        async with httpx2.AsyncClient(timeout=PATIENCE) as client:
            request = client.stream("POST", f"{answering.base_url}completions", json=body, headers=headers)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(2), request as response:
                    await response.aread()
                    pytest.fail("it was answered")

    asyncio.run(ask_and_leave())
    busy(answering, tiny_model)  # what was begun ends with its next step
    assert busy(answering, tiny_model) < 10


def test_one_who_asks_for_much_does_not_keep_others_waiting(answering: openai.OpenAI, tiny_model: Path) -> None:
    async def ask() -> list[str]:
        client = openai.AsyncOpenAI(base_url=answering.base_url, api_key=answering.api_key, timeout=PATIENCE)
        ended: list[str] = []

        async def one(name: str, prompts: int, delay: float) -> None:
            await asyncio.sleep(delay)
            given: dict[str, Any] = {"max_tokens": 20, "logit_bias": {"70": 100}, "temperature": 0}
            await client.completions.create(model=str(tiny_model), prompt=[name] * prompts, **given)
            ended.append(name)

        async with client:
            await asyncio.gather(one("much", 600, 0), one("little", 1, 0.5), one("a little", 2, 0.7))
        return ended

    assert asyncio.run(ask())[-1] == "much"


def test_short_answers_do_not_wait_for_long_ones(answering: openai.OpenAI, tiny_model: Path) -> None:
    async def ask() -> list[str]:
        client = openai.AsyncOpenAI(base_url=answering.base_url, api_key=answering.api_key, timeout=PATIENCE)
        ended: list[str] = []

        async def one(name: str, count: int, delay: float) -> None:
            await asyncio.sleep(delay)
            bias = {"70": 100}
            await client.completions.create(
                model=str(tiny_model), prompt=name, max_tokens=count, logit_bias=bias, temperature=0
            )
            ended.append(name)

        async with client:
            await asyncio.gather(one("long", 500, 0), *(one("short", 3, 0.2) for _ in range(4)))
        return ended

    assert asyncio.run(ask()) == ["short"] * 4 + ["long"]
