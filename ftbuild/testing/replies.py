"""What a scripted model may say, and what it is told about the request that it answers.

In: a `Request`.  Out: a `Reply`, which is a text or one of the things that go wrong at real providers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True)
class Request:
    """A request as it arrived: `path` is relative to the base URL, `body` is JSON or a form's fields.  The key is not kept."""

    method: str
    path: str
    body: Any = None
    query: Mapping[str, str] = field(default_factory=dict)

    @property
    def model(self) -> str:
        """The model that is asked."""
        return str(self.body["model"])

    @property
    def prompt(self) -> str:
        """The prompt, or the text of the last user turn."""
        if "messages" not in self.body:
            return str(self.body["prompt"])
        return next((text_of(m["content"]) for m in reversed(self.body["messages"]) if m["role"] == "user"), "")


@dataclass(frozen=True)
class Status:
    """An HTTP error with OpenAI's envelope.  `retry_after` counts seconds."""

    status: int
    code: str | None = None
    message: str = "scripted error"
    param: str | None = None
    retry_after: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def envelope(self) -> dict[str, Any]:
        """The body of the answer."""
        kinds = {403: "permission_error", 404: "invalid_request_error", 429: "requests"}
        kind = kinds.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")  # noqa: PLR2004
        kind = "insufficient_quota" if self.code == "insufficient_quota" else kind
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}


class Refused(Exception):
    """A request ends with an error status."""

    def __init__(self, status: int, message: str, *, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.status = Status(status, code, message, param)


INSUFFICIENT_QUOTA = Status(429, "insufficient_quota", "You exceeded your current quota, please check your plan and billing.")
"""No credit left: asking again never helps."""

TRAINING_NOT_AVAILABLE = Status(
    403,
    "training_not_available",
    "OpenAI is winding down the fine-tuning platform and your organization is no longer able to create training jobs.",
)
"""What OpenAI says to organisations that never fine-tuned (source: OpenAI's deprecations page, May 2026)."""


@dataclass(frozen=True)
class Refusal:
    """The model declines.  Completions, which have no field for it, end with `content_filter` and no text."""

    text: str = "I can't help with that."


@dataclass(frozen=True)
class CutOff:
    """The reply stops in the middle because its tokens are used up."""

    text: str


@dataclass(frozen=True)
class Empty:
    """A reply without a text."""


Reply: TypeAlias = str | Status | Refusal | CutOff | Empty
Script: TypeAlias = str | Iterable[Reply] | Callable[[Request], Reply]


def speaker(script: Script) -> Callable[[Request], Reply]:
    """Return a script as a function.  A queue that has run dry answers 400, which no client tries again."""
    if isinstance(script, str):
        return lambda _: script
    if callable(script):
        return script
    queue: Iterator[Reply] = iter(script)
    dry = Status(400, "script_exhausted", "the script has no reply left")
    return lambda _: next(queue, dry)


def ended(reply: Reply, stops: Iterable[str]) -> tuple[str | None, str, str | None]:
    """Return a reply's text, finish reason and refusal.  The text ends before the first stop sequence, as it does in life."""
    match reply:
        case str():
            ends = [at for stop in stops if (at := reply.find(stop)) >= 0]
            return reply[: min(ends, default=len(reply))], "stop", None
        case CutOff():
            return reply.text, "length", None
        case Refusal():
            return None, "stop", reply.text
        case _:
            return "", "stop", None


def numbered_pairs(count: int) -> Callable[[Request], str]:
    """Return a script that answers with `count` pairs as JSON Lines; another prompt (or model) gets other pairs."""

    def reply(request: Request) -> str:
        about = hashlib.sha256(f"{request.model}\0{request.prompt}".encode()).hexdigest()[:10]
        pairs = ({"prompt": f"What is fact {n} of {about}?", "completion": f"It is number {n}."} for n in range(1, count + 1))
        return "\n".join(map(json.dumps, pairs))

    return reply


def text_of(content: Any) -> str:
    """Return the text of a turn, which is a string or a list of parts."""
    return content if isinstance(content, str) else "".join(str(part.get("text", "")) for part in content or ())
