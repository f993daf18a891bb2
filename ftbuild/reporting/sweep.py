"""The page of a sweep: its jobs in a table, each with its score, cost, tokens and time, and a link to its report.

In: how the jobs ended.  Out: HTML that needs no other file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ftbuild.reporting.templates import render

if TYPE_CHECKING:
    from ftbuild.sweep import Ended


def page(name: str, keys: Sequence[str], rows: Sequence[Mapping[str, Any]], best: Ended | None) -> str:
    """Return the page of a sweep.  Each row holds `values` for the `keys` in which the jobs differ."""
    highest = max((r["score"] for r in rows if r["score"] is not None), default=0.0)
    return render("sweep.html.j2", name=name, keys=keys, rows=rows, best=best.number if best else None, highest=highest or 1.0)
