"""What the routes of the protocol share: the state, the queue of jobs, the models that answer, batches; and pages of lists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ftbuild.local.answers import Answers
from ftbuild.local.batches import Batches
from ftbuild.local.jobs import Queue
from ftbuild.local.protocol import ProtocolError
from ftbuild.local.state import State


@dataclass(frozen=True)
class Hub:
    """One running server's parts."""

    state: State
    queue: Queue
    answers: Answers
    batches: Batches


def page(items: list[dict[str, Any]], after: str | None, limit: int, *, key: str = "id") -> dict[str, Any]:
    """Return one page of a list: what follows the item `after`, at most `limit` of it.  400 if there is no such item."""
    if after:
        place = next((n for n, item in enumerate(items) if item[key] == after), None)
        if place is None:
            raise no_cursor(after)
        items = items[place + 1 :]
    return listed(items, limit, key=key)


def listed(items: list[dict[str, Any]], limit: int, *, key: str = "id") -> dict[str, Any]:
    """Return at most `limit` of these items as one page; what is beyond says that there are more."""
    shown = items[:limit]
    return {
        "object": "list",
        "data": shown,
        "has_more": len(items) > limit,
        "first_id": shown[0][key] if shown else None,
        "last_id": shown[-1][key] if shown else None,
    }


def no_cursor(after: str) -> ProtocolError:
    """Return the error of a page that is to begin after something that is not there."""
    return ProtocolError(400, f"There is nothing with the id {after!r} in this list", param="after", code="invalid_cursor")
