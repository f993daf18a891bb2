"""The shapes of the protocol: what requests may hold, and how errors look.

Source: OpenAI's API reference.  Unknown fields are ignored, wrong values are named.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field


class ProtocolError(Exception):
    """An error as the protocol reports it: a status, and an envelope with message, type, param and code."""

    def __init__(self, status: int, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        kinds = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
        kind = kinds.get(status, "server_error" if status >= 500 else "invalid_request_error")  # noqa: PLR2004
        self.envelope = {"error": {"message": message, "type": kind, "param": param, "code": code}}


class Sampling(BaseModel):
    """What completions and chat completions have in common."""

    model: str
    max_tokens: Annotated[int, Field(ge=1, le=8192)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    stop: str | Annotated[list[str], Field(max_length=4)] | None = None
    seed: int | None = None
    stream: bool | None = None

    def stops(self) -> tuple[str, ...]:
        """Return the stop strings."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())


class CompletionRequest(Sampling):
    """`POST /v1/completions`."""

    prompt: str | list[str] | list[int] | list[list[int]] = "<|endoftext|>"
    echo: bool | None = None
    logprobs: int | None = None


class Message(BaseModel):
    """One turn of a conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[dict[str, Any]] | None = None

    def text(self) -> str:
        """Return the turn's text; parts that are not text are refused."""
        if isinstance(self.content, list):
            for part in self.content:
                if part.get("type") != "text":
                    raise ProtocolError(400, f"content of type {part.get('type')!r} is not supported", param="messages")
            return "".join(str(part.get("text", "")) for part in self.content)
        return self.content or ""


class ChatRequest(Sampling):
    """`POST /v1/chat/completions`."""

    messages: Annotated[list[Message], Field(min_length=1)]
    max_completion_tokens: Annotated[int, Field(ge=1, le=8192)] | None = None
