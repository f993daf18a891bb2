"""Chat completions: conversations are answered in the words of the model's own template.

In: a `ChatRequest` and its model.  Out: `chat.completion` objects, whole or in chunks.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

from ftbuild.local import tools
from ftbuild.local.asking import ChatRequest
from ftbuild.local.conversation import asked
from ftbuild.local.engine import Row, Wanted
from ftbuild.local.exchange import finite, head, named, shown, usage
from ftbuild.local.formats import grammar_for
from ftbuild.local.protocol import ProtocolError
from ftbuild.local.sampling import Scored

if TYPE_CHECKING:
    from ftbuild.local.answers import Piece
    from ftbuild.local.library import Loaded

_DEFAULT = 4096  # tokens, where the request does not say


class Chatting:
    """A request for chat completions, prepared for its model."""

    def __init__(self, request: ChatRequest, loaded: Loaded) -> None:
        self.request, self.loaded = request, loaded
        self._tools = tools.choice(request)
        tokens = loaded.encode(self._laid_out())
        grammar = self._tools.grammar(loaded) or grammar_for(request, loaded)
        logprobs = (request.top_logprobs or 0) if request.logprobs else None
        samplings = request.samplings(loaded.base.words, logprobs, grammar)
        most = self._room(tokens)
        self.prompts = [tokens]
        self.wanted = [Wanted(tuple(tokens), most, request.stops(), sampling) for sampling in samplings]

    def _laid_out(self) -> str:
        if not self.loaded.tokenizer.chat_template:
            message = f"The model {self.request.model!r} has no chat template; use /v1/completions."
            raise ProtocolError(400, message, param="model", code="unsupported_value")
        turns = [{**m.model_dump(exclude_none=True), "content": m.text(n)} for n, m in enumerate(self.request.messages)]
        try:
            return asked(turns, self._tools.shown, self.loaded.tokenizer)
        except Exception as error:
            # A template may refuse a conversation in any way.
            message = f"The model's chat template does not take these messages: {error}".splitlines()[0]
            raise ProtocolError(400, message, param="messages") from error

    def _room(self, tokens: Sequence[int]) -> int:
        context, most = self.loaded.base.context, self.request.most
        if most is not None and most > context:
            name = "max_tokens" if self.request.max_completion_tokens is None else "max_completion_tokens"
            message = f"{name} is too large: {most}. This model supports at most {context} completion tokens."
            raise ProtocolError(400, message, param=name, code="invalid_value")
        if len(tokens) >= context:
            message = (
                f"This model's maximum context length is {context} tokens. However, your messages resulted in "
                f"{len(tokens)} tokens. Please reduce the length of the messages."
            )
            raise ProtocolError(400, message, param="messages", code="context_length_exceeded")
        return min(most or _DEFAULT, context - len(tokens))

    def whole(self, rows: Sequence[Row]) -> dict[str, Any]:
        """Return the response."""
        choices = []
        for n, row in enumerate(rows):
            content, calls = self._tools.read(row.text)
            message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": None, "annotations": []}
            if calls:
                message["tool_calls"] = calls
            choices.append(
                {
                    "index": n,
                    "message": message,
                    "finish_reason": self._tools.finish(row.finish, calls),
                    "logprobs": self._logprobs(row, range(len(row.scores))),
                }
            )
        return {
            **head("chat.completion", "chatcmpl", self.request.model),
            "choices": choices,
            "usage": usage(self.prompts, rows),
            "service_tier": "default",
        }

    async def chunks(self, pieces: AsyncIterator[Piece]) -> AsyncIterator[dict[str, Any]]:
        """Yield the response in chunks."""
        first = head("chat.completion.chunk", "chatcmpl", self.request.model)
        extra = {"usage": None} if self.request.usage_wanted else {}
        rows: dict[int, Row] = {}

        def chunk(index: int, delta: dict[str, Any], finish: str | None = None, logprobs: Any = None) -> dict[str, Any]:
            choice = {"index": index, "delta": delta, "finish_reason": finish, "logprobs": logprobs}
            return {**first, "choices": [choice], **extra}

        async for piece in pieces:
            if piece.index not in rows:
                rows[piece.index] = piece.row
                yield chunk(piece.index, {"role": "assistant", "content": "", "refusal": None})
            calls: list[dict[str, Any]] = []
            text = piece.text
            if self._tools.active:  # whether it is a call shows at the end
                content, calls = self._tools.read(piece.row.text) if piece.finish else (None, [])
                text = content or ""
            logprobs = self._logprobs(piece.row, piece.tokens)
            if text or (logprobs and logprobs["content"]):
                yield chunk(piece.index, {"content": text}, None, logprobs)
            if calls:
                yield chunk(piece.index, {"tool_calls": [{"index": n, **call} for n, call in enumerate(calls)]})
            if piece.finish:
                yield chunk(piece.index, {}, self._tools.finish(piece.finish, calls))
        if self.request.usage_wanted:
            yield {**first, "choices": [], "usage": usage(self.prompts, [rows[n] for n in sorted(rows)])}

    def _logprobs(self, row: Row, places: range) -> dict[str, Any] | None:
        if not self.request.logprobs:
            return None
        return {"content": [self._scored(scored) for scored, _ in shown(row, places)], "refusal": None}

    def _scored(self, scored: Scored) -> dict[str, Any]:
        told = self._one(scored.token, scored.logprob or 0.0)
        return {**told, "top_logprobs": [self._one(token, logprob) for token, logprob in scored.top]}

    def _one(self, token: int, logprob: float) -> dict[str, Any]:
        return {
            "token": named(self.loaded, token),
            "logprob": finite(logprob),
            "bytes": list(self.loaded.base.bytes_of[token]),
        }
