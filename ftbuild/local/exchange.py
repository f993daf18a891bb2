"""One request and its answer, whole or in chunks: what completions and chat completions have in common.

In: a checked request and a loaded model.  Out: what the engine is to make (`wanted`), and from what it makes, the response.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from ftbuild.local.engine import Row, Wanted
from ftbuild.local.sampling import Scored
from ftbuild.local.state import new_id

if TYPE_CHECKING:
    from ftbuild.local.answers import Piece
    from ftbuild.local.library import Loaded

LEAST = -9999.0  # what stands for the logarithm of nothing, which JSON cannot say


class Exchange(Protocol):
    """A request that was prepared for its model."""

    loaded: Loaded
    wanted: list[Wanted]

    def whole(self, rows: Sequence[Row]) -> dict[str, Any]:
        """Return the response."""

    def chunks(self, pieces: AsyncIterator[Piece]) -> AsyncIterator[dict[str, Any]]:
        """Yield the response in chunks."""


def head(kind: str, prefix: str, model: str) -> dict[str, Any]:
    """Return the fields that all chunks of a response share."""
    return {
        "id": new_id(prefix),
        "object": kind,
        "created": int(time.time()),
        "model": model,
        "system_fingerprint": "fp_local",
    }


def usage(prompts: Sequence[Sequence[int]], rows: Sequence[Row]) -> dict[str, Any]:
    """Return how many tokens were read and made; a prompt counts once, however many completions it has."""
    given, told = sum(map(len, prompts)), sum(len(row.scores) for row in rows)
    cached = sum(row.cached for row in rows[:: max(1, len(rows) // len(prompts))])
    return {
        "prompt_tokens": given,
        "completion_tokens": told,
        "total_tokens": given + told,
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def shown(row: Row, places: range) -> list[tuple[Scored, int]]:
    """Return those of a row's tokens whose text begins before the answer was cut, with where it begins."""
    pairs = zip(row.scores[places.start : places.stop], row.writing.starts[places.start : places.stop], strict=True)
    return [(scored, start) for scored, start in pairs if start < len(row.text) or not row.writing.stopped]


def named(loaded: Loaded, token: int) -> str:
    """Return a token as a text; half a character is written as its bytes."""
    raw = loaded.base.bytes_of[token]
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in raw)


def finite(logprob: float) -> float:
    """Return a log-probability that JSON can say."""
    return max(logprob, LEAST)
