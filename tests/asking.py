"""What the tests of answers share: a server with the very small model, and clients for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, cast

import openai

from ftbuild.local.launch import Server

PATIENCE = 300.0  # seconds; for a busy machine, not for a slow test


def connect(server: Server) -> openai.OpenAI:
    return openai.OpenAI(base_url=server.base_url, api_key=server.api_key, max_retries=0, timeout=PATIENCE)


def until(seen: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """Wait until `seen` returns something, and return that."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := seen():
            return value
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {seconds:.0f} s")


def refused(error: Any) -> tuple[int, str | None, str | None]:
    """Return what an error says: status, code, parameter."""
    assert set(cast("dict[str, Any]", error.value.body)) == {"message", "type", "param", "code"}
    return error.value.status_code, error.value.code, error.value.param


def text_of(client: openai.OpenAI, model: object, prompt: Any = "hello", **given: Any) -> str:
    """Return what a model says, by default greedily and 20 tokens of it."""
    return str(complete(client, model, prompt, **given).choices[0].text)


def complete(client: openai.OpenAI, model: object, prompt: Any = "hello", **given: Any) -> Any:
    """Ask for a completion, by default a greedy one of 20 tokens."""
    return client.completions.create(model=str(model), prompt=prompt, **({"temperature": 0, "max_tokens": 20} | given))


def chat(client: openai.OpenAI, model: object, said: str = "Hello", **given: Any) -> Any:
    """Ask for the answer to one turn, by default a greedy one of 20 tokens."""
    asked: dict[str, Any] = {"messages": [{"role": "user", "content": said}], "temperature": 0}
    if "max_completion_tokens" not in given:
        asked["max_tokens"] = 20
    return client.chat.completions.create(model=str(model), **(asked | given))
