"""What requests for completions and for chat completions may hold, checked: wrong values are named, unknown fields ignored.

In: JSON from a client.  Out: requests whose values are right in themselves; what only a model can tell, such as whether a
prompt fits, is asked later.  Source: OpenAI's API reference.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ftbuild.local.protocol import ProtocolError
from ftbuild.local.sampling import Sampling

_STOPS = 4
_BIAS = 100


class StreamOptions(BaseModel):
    """How to stream."""

    include_usage: bool | None = None


class AnswerRequest(BaseModel):
    """What completions and chat completions have in common."""

    model_config = ConfigDict(strict=True)

    model: str
    max_tokens: Annotated[int, Field(ge=0)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    logit_bias: dict[str, float] | None = None
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    stop: Any = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None

    @model_validator(mode="before")
    @classmethod
    def _is_text(cls, given: Any) -> Any:
        if not isinstance(given, dict):  # such as the bytes of a body that is not JSON
            return given
        try:
            json.dumps(given, ensure_ascii=False).encode()
        except (ValueError, RecursionError):
            raise ProtocolError(400, "There is half a surrogate pair in the request, which is no text.") from None
        return given

    @field_validator("stop")
    @classmethod
    def _stops(cls, stop: Any) -> Any:
        if stop is None or isinstance(stop, str):
            return stop
        if not isinstance(stop, list) or not all(isinstance(s, str) for s in stop):
            raise ProtocolError(400, "Invalid type for 'stop': expected a string or an array of strings.", param="stop")
        if len(stop) > _STOPS:
            message = f"Invalid 'stop': array too long. Expected at most {_STOPS} strings, but got {len(stop)} instead."
            raise ProtocolError(400, message, param="stop")
        return stop

    @field_validator("logit_bias")
    @classmethod
    def _biases(cls, bias: dict[str, float] | None) -> dict[str, float] | None:
        for token, value in (bias or {}).items():
            if not token.isascii() or not token.isdigit():
                raise ProtocolError(400, f"Invalid key in 'logit_bias': {token!r} is no token.", param="logit_bias")
            if not -_BIAS <= value <= _BIAS:
                message = f"Invalid value for 'logit_bias': {value} is not between -{_BIAS} and {_BIAS}."
                raise ProtocolError(400, message, param="logit_bias")
        return bias

    @model_validator(mode="after")
    def _streams(self) -> AnswerRequest:
        if self.stream_options is not None and not self.stream:
            message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
            raise ProtocolError(400, message, param="stream_options")
        return self

    def stops(self) -> tuple[str, ...]:
        """Return the stop strings."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    def samplings(self, words: int, logprobs: int | None, grammar: str | None = None) -> list[Sampling]:
        """Return how to sample each of the `n` completions of a prompt, by a model that knows so many tokens."""
        bias = tuple((int(token), value) for token, value in (self.logit_bias or {}).items())
        if unknown := [token for token, _ in bias if token >= words]:
            raise ProtocolError(400, f"Invalid key in 'logit_bias': there is no token {unknown[0]}.", param="logit_bias")
        return [
            Sampling(
                1.0 if self.temperature is None else self.temperature,
                1.0 if self.top_p is None else self.top_p,
                None if self.seed is None else self.seed + n,
                self.presence_penalty or 0.0,
                self.frequency_penalty or 0.0,
                bias,
                logprobs,
                grammar,
            )
            for n in range(self.n or 1)
        ]

    @property
    def usage_wanted(self) -> bool:
        """Whether a stream is to end with the usage."""
        return bool(self.stream_options and self.stream_options.include_usage)


class CompletionRequest(AnswerRequest):
    """`POST /v1/completions`."""

    prompt: Any = "<|endoftext|>"
    echo: bool | None = None
    logprobs: Annotated[int, Field(ge=0, le=5)] | None = None
    best_of: Annotated[int, Field(ge=1, le=20)] | None = None
    suffix: str | None = None

    @model_validator(mode="after")
    def _supported(self) -> CompletionRequest:
        if self.suffix:
            raise ProtocolError(
                400, "'suffix' is not supported: these models cannot insert text.", param="suffix", code="unsupported_parameter"
            )
        if self.best_of is not None and self.best_of != (self.n or 1):
            message = f"'best_of' is supported only where it is 'n' ({self.n or 1}); ask for 'n' and choose."
            raise ProtocolError(400, message, param="best_of", code="unsupported_value")
        return self

    def prompts(self) -> list[str | list[int]]:
        """Return the prompts, each as a text or as tokens."""
        given = self.prompt
        if given is None:
            return ["<|endoftext|>"]
        if isinstance(given, str) or (isinstance(given, list) and given and all(_token(one) for one in given)):
            return [given]
        if isinstance(given, list) and given:
            if all(isinstance(one, str) for one in given):
                return list(given)
            if all(isinstance(one, list) and one and all(_token(t) for t in one) for one in given):
                return list(given)
        message = "Invalid 'prompt': expected a string, an array of strings, an array of tokens, or an array of token arrays."
        raise ProtocolError(400, message, param="prompt")


def _token(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


class Message(BaseModel):
    """One turn of a conversation."""

    model_config = ConfigDict(extra="allow")

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[dict[str, Any]] | None = None
    tool_calls: list[dict[str, Any]] | None = None

    def text(self, place: int) -> str:
        """Return the turn's text; parts that are not text are refused."""
        param = f"messages[{place}].content"
        if isinstance(self.content, list):
            for part in self.content:
                if part.get("type") not in ("text", "refusal"):
                    raise ProtocolError(400, f"Content of type {part.get('type')!r} is not supported.", param=param)
            return "".join(str(part.get("text") or part.get("refusal") or "") for part in self.content)
        if self.content is None and not (self.role == "assistant" and self.tool_calls):
            raise ProtocolError(400, f"Invalid value for '{param}': expected a string, got null.", param=param)
        return self.content or ""


class ChatRequest(AnswerRequest):
    """`POST /v1/chat/completions`."""

    messages: Annotated[list[Message], Field(min_length=1)]
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    response_format: dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> ChatRequest:
        if self.max_tokens is not None and self.max_completion_tokens is not None:
            message = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
            raise ProtocolError(400, message, param="max_tokens", code="invalid_parameter_combination")
        if self.top_logprobs is not None and not self.logprobs:
            message = "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled."
            raise ProtocolError(400, message, param="top_logprobs")
        return self

    @property
    def most(self) -> int | None:
        """How many tokens the answer may have, if the request says."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens
