"""Completions: prompts are continued, as texts or as tokens.

In: a `CompletionRequest` and its model.  Out: `text_completion` objects, whole or in chunks.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

from ftbuild.local.asking import CompletionRequest
from ftbuild.local.engine import Row, Wanted
from ftbuild.local.exchange import finite, head, named, shown, usage
from ftbuild.local.protocol import ProtocolError
from ftbuild.local.sampling import Scored

if TYPE_CHECKING:
    from ftbuild.local.answers import Piece
    from ftbuild.local.library import Loaded

_DEFAULT = 16  # tokens
_MOST_ROWS = 20000


class Completing:
    """A request for completions, prepared for its model."""

    def __init__(self, request: CompletionRequest, loaded: Loaded) -> None:
        self.request, self.loaded = request, loaded
        most = _DEFAULT if request.max_tokens is None else request.max_tokens
        given = request.prompts()
        self.prompts = [one if isinstance(one, list) else loaded.encode(one) for one in given]
        self._texts = [one if isinstance(one, str) else loaded.tokenizer.decode(one) for one in given]
        if len(self.prompts) * (request.n or 1) > _MOST_ROWS:
            raise ProtocolError(400, f"More than {_MOST_ROWS} completions in one request.", param="prompt")
        for prompt in self.prompts:
            self._check(prompt, most)
        samplings = request.samplings(loaded.base.words, request.logprobs)
        scored = bool(request.echo) and request.logprobs is not None
        self.wanted = [Wanted(tuple(p), most, request.stops(), s, scored) for p in self.prompts for s in samplings]

    def _check(self, prompt: Sequence[int], most: int) -> None:
        context = self.loaded.base.context
        if not prompt:
            raise ProtocolError(400, "The prompt is empty.", param="prompt", code="context_length_exceeded")
        if unknown := [token for token in prompt if token >= self.loaded.base.words]:
            raise ProtocolError(400, f"Invalid 'prompt': there is no token {unknown[0]}.", param="prompt")
        if len(prompt) + most > context:
            message = (
                f"This model's maximum context length is {context} tokens, however you requested {len(prompt) + most} tokens "
                f"({len(prompt)} in your prompt; {most} for the completion). Please reduce your prompt; or completion length."
            )
            raise ProtocolError(400, message, param="prompt", code="context_length_exceeded")

    def whole(self, rows: Sequence[Row]) -> dict[str, Any]:
        """Return the response."""
        choices = [
            {
                "index": n,
                "text": self._echo(n) + row.text,
                "finish_reason": row.finish,
                "logprobs": self._logprobs(n, row, range(len(row.scores)), prompt=True),
            }
            for n, row in enumerate(rows)
        ]
        return {
            **head("text_completion", "cmpl", self.request.model),
            "choices": choices,
            "usage": usage(self.prompts, rows),
        }

    async def chunks(self, pieces: AsyncIterator[Piece]) -> AsyncIterator[dict[str, Any]]:
        """Yield the response in chunks."""
        first = head("text_completion", "cmpl", self.request.model)
        extra = {"usage": None} if self.request.usage_wanted else {}
        rows: dict[int, Row] = {}
        async for piece in pieces:
            echo = self._echo(piece.index) if piece.index not in rows else ""
            choice = {
                "index": piece.index,
                "text": echo + piece.text,
                "finish_reason": piece.finish or None,
                "logprobs": self._logprobs(piece.index, piece.row, piece.tokens, prompt=piece.index not in rows),
            }
            rows[piece.index] = piece.row
            yield {**first, "choices": [choice], **extra}
        if self.request.usage_wanted:
            yield {**first, "choices": [], "usage": usage(self.prompts, [rows[n] for n in sorted(rows)])}

    def _echo(self, index: int) -> str:
        return self._texts[index // (self.request.n or 1)] if self.request.echo else ""

    def _logprobs(self, index: int, row: Row, places: range, *, prompt: bool) -> dict[str, Any] | None:
        if self.request.logprobs is None:
            return None
        text = self._texts[index // (self.request.n or 1)]
        told = [(scored, len(text) + start) for scored, start in shown(row, places)]
        if prompt and self.request.echo:
            told = [*self._prompt_starts(row.prompt_scores), *told]
        tops = [self._top(scored) for scored, _ in told] if self.request.logprobs else None
        return {
            "tokens": [named(self.loaded, scored.token) for scored, _ in told],
            "token_logprobs": [None if scored.logprob is None else finite(scored.logprob) for scored, _ in told],
            "top_logprobs": tops,
            "text_offset": [start for _, start in told],
        }

    def _prompt_starts(self, scores: Sequence[Scored]) -> list[tuple[Scored, int]]:
        from ftbuild.local.writing import Writing

        writing = Writing()
        for scored in scores:
            writing.add(self.loaded.base.bytes_of[scored.token])
        return list(zip(scores, writing.starts, strict=True))

    def _top(self, scored: Scored) -> dict[str, float] | None:
        if scored.logprob is None:
            return None
        pairs = [*scored.top[: self.request.logprobs], (scored.token, scored.logprob)]
        return {named(self.loaded, token): finite(logprob) for token, logprob in pairs}
