"""What the routes of the protocol share: the state, the queue of jobs, the models that answer, batches; and pages of lists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ftbuild.local.answers import Answers
from ftbuild.local.batches import Batches
from ftbuild.local.jobs import Queue
from ftbuild.local.state import State


@dataclass(frozen=True)
class Hub:
    """One running server's parts."""

    state: State
    queue: Queue
    answers: Answers
    batches: Batches


def page(items: list[dict[str, Any]], after: str | None, limit: int, *, key: str = "id") -> dict[str, Any]:
    """Return one page of a list: what follows the item `after`, at most `limit` of it."""
    if after:
        place = next((n for n, item in enumerate(items) if item[key] == after), len(items) - 1)
        items = items[place + 1 :]
    shown = items[:limit]
    return {
        "object": "list",
        "data": shown,
        "has_more": len(items) > limit,
        "first_id": shown[0][key] if shown else None,
        "last_id": shown[-1][key] if shown else None,
    }
