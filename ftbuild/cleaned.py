"""What a cleaning rule may return instead of a text: the text, and what was taken out of it, by kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Cleaned:
    """A clean text, and the pieces that went, in their order, by kind: `references`, `tables`.

    A piece is what stood in the text; what was put in its place, such as the words of a link, is in none of them.
    """

    text: str
    removed: Mapping[str, Sequence[str]] = field(default_factory=dict)
