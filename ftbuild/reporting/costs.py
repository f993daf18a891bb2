"""What a build cost, for its report: what each stage was quoted before the first request, against what it spent.

In: the facts of the stages.  Out: rows of texts, the last of which adds them up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ftbuild.budget import dollars

if TYPE_CHECKING:
    from ftbuild.recipe import Recipe

_TOKENS = ("prompt_tokens", "completion_tokens", "trained_tokens")
Table = dict[str, Any]


def costs(recipe: Recipe, facts: Mapping[str, Mapping[str, Any]]) -> Table | None:
    """Return the table of costs, or None if no stage has asked anybody or trained."""
    stages = {name: (f.get("quoted"), f.get("spent")) for name, f in facts.items() if f.get("quoted") or f.get("spent")}
    if not stages:
        return None
    free = recipe.teacher.provider.prices.free and recipe.trainer.provider.prices.free
    quoted = [q for q, _ in stages.values() if q]
    spent = [s for _, s in stages.values() if s]
    rows = [(name, *_cells(q, s, free=free)) for name, (q, s) in stages.items()]
    if len(rows) > 1:
        rows.append(("all", *_cells(_sum(quoted), _sum(spent), free=free)))
    dates = sorted({str(q["prices"]) for q in quoted if q.get("prices")})
    return {"rows": rows, "dates": dates, "free": free, "batch": any(q.get("batch") for q in quoted)}


def _cells(quoted: Mapping[str, Any] | None, spent: Mapping[str, Any] | None, *, free: bool) -> tuple[str, ...]:
    return (
        _number(quoted, "to_send"),
        _number(spent, "requests"),
        _number(quoted, *_TOKENS),
        _number(spent, *_TOKENS),
        _money(quoted, "usd", free=free),
        _money(quoted, "most_usd", free=free),
        _money(spent, "usd", free=free),
    )


def _number(told: Mapping[str, Any] | None, *names: str) -> str:
    number = sum(int(told.get(name) or 0) for name in names) if told else 0
    return f"{number:,}" if number else "–"


def _money(told: Mapping[str, Any] | None, name: str, *, free: bool) -> str:
    if told is None:
        return "–"
    if free:
        return "free"
    return "?" if told.get(name) is None else dollars(float(told[name]))


def _sum(many: list[Mapping[str, Any]]) -> dict[str, Any] | None:
    if not many:
        return None
    names = {name for one in many for name in one}
    total: dict[str, Any] = {}
    for name in names & {"to_send", "requests", "usd", "most_usd", *_TOKENS}:
        values = [one.get(name, 0) for one in many]
        total[name] = None if None in values else sum(values)
    return total
