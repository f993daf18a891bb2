"""Charts as SVG text: small, without scripts, in the page's own colours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """A drawing's width and height, and the room for its labels, in SVG units."""

    width: int = 720
    height: int = 220
    left: int = 44
    bottom: int = 26
    top: int = 8
    right: int = 8


def line_chart(points: Sequence[tuple[float, float]], *, smooth: int = 8, size: Size | None = None) -> str:
    """Draw values over steps as one SVG: each value as a faint line, and their running mean over `smooth` as a strong one.

    Values that are no numbers, as a diverging run gives them, are left out; fewer than two leave nothing to draw.
    """
    points = [p for p in points if math.isfinite(p[1])]
    if len(points) < 2:  # noqa: PLR2004
        return ""
    size = size or Size()
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    top = max(ys) * 1.05 or 1.0

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - xs[0]) / (xs[-1] - xs[0] or 1)
        wide, high = size.width - size.left - size.right, size.height - size.top - size.bottom
        return size.left + across * wide, size.top + (1 - y / top) * high

    def path(values: Sequence[tuple[float, float]]) -> str:
        return "M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in (place(*v) for v in values))

    means = [(xs[n], sum(ys[max(0, n - smooth + 1) : n + 1]) / min(n + 1, smooth)) for n in range(len(xs))]
    lines = []
    for tick in _ticks(top):
        _, y = place(xs[0], tick)
        lines.append(f'<line class="grid" x1="{size.left}" x2="{size.width - size.right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        lines.append(f'<text x="{size.left - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for step in (xs[0], (xs[0] + xs[-1]) / 2, xs[-1]):
        x, _ = place(step, 0)
        anchor = "start" if step == xs[0] else "end" if step == xs[-1] else "middle"
        lines.append(f'<text x="{x:.1f}" y="{size.height - 8}" text-anchor="{anchor}">step {step:.0f}</text>')
    label = f"Training loss from {ys[0]:.2f} at step {xs[0]:.0f} to {means[-1][1]:.2f} at step {xs[-1]:.0f}"
    return (
        f'<svg viewBox="0 0 {size.width} {size.height}" role="img" aria-label="{label}">'
        f'{"".join(lines)}<path class="faint" d="{path(points)}"/><path class="strong" d="{path(means)}"/></svg>'
    )


def _ticks(top: float) -> list[float]:
    """Return round numbers from 0 up to `top`, three to six of them."""
    for step in (base * 10**power for power in range(-3, 5) for base in (1, 2, 5)):
        if top / step <= 5:  # noqa: PLR2004
            return [round(step * n, 6) for n in range(int(top / step) + 1)]
    return [0.0]
