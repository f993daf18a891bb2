"""Beginnings that were read before, so that the next prompt that begins alike need not be read from its start.

In: the tokens of prompts, and what the model keeps of them.  Out: for new prompts, groups to read together, and the longest
beginning that is known already.  Few-shot prompts, system messages and conversations that go on begin alike all the time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ftbuild.local.adapters import Adapter

if TYPE_CHECKING:
    from ftbuild.local.cache import Beginning

WORTH = 16  # tokens; a shorter common beginning is not worth keeping apart
_MOST_BYTES = 192 * 2**20
_MOST = 16

Tokens = tuple[int, ...]


def common(first: Sequence[int], second: Sequence[int]) -> int:
    """Return how many tokens two prompts begin with in common."""
    most = min(len(first), len(second))
    if first[:most] == second[:most]:
        return most
    return next(n for n in range(most) if first[n] != second[n])


@dataclass(frozen=True, eq=False)
class Known:
    """A beginning that was read with an adapter, or with none."""

    adapter: Adapter | None
    tokens: Tokens
    kept: Beginning

    @property
    def size(self) -> int:
        """The bytes that it takes."""
        return sum(one.numel() * one.element_size() for pair in self.kept for one in pair)


class Prefixes:
    """Beginnings in memory, the least recently used of which goes first."""

    def __init__(self) -> None:
        self._known: list[Known] = []

    def find(self, adapter: Adapter | None, tokens: Tokens) -> tuple[Known | None, int]:
        """Return the beginning that has the most in common with a prompt, and how much; at least one token is left to read."""
        best, most = None, 0
        for one in self._known:
            if one.adapter is adapter and (count := min(common(one.tokens, tokens), len(tokens) - 1)) > most:
                best, most = one, count
        if best is None or most < WORTH:
            return None, 0
        self._known.remove(best)
        self._known.append(best)
        return best, most

    def keep(self, known: Known) -> None:
        """Remember a beginning, in the place of those that it goes on from."""
        old = [k for k in self._known if not (k.adapter is known.adapter and known.tokens[: len(k.tokens)] == k.tokens)]
        self._known = [*old, known][-_MOST:]
        while len(self._known) > 1 and sum(k.size for k in self._known) > _MOST_BYTES:
            self._known.pop(0)


def groups(prompts: Sequence[Tokens], known: Sequence[Known | None]) -> Iterator[list[int]]:
    """Yield groups of prompts to read together: those that begin alike, and then those of like length.

    A prompt is given by its place.  Within a group, padding makes up at most about half of what is read.
    """
    alike: dict[Tokens, list[int]] = {}
    for place, (prompt, one) in enumerate(zip(prompts, known, strict=True)):
        alike.setdefault(one.tokens if one else prompt[:WORTH], []).append(place)
    together = [places for places in alike.values() if len(places) > 1 or known[places[0]]]
    loose = [places[0] for places in alike.values() if len(places) == 1 and not known[places[0]]]
    for bucket in (*together, loose):
        group: list[int] = []
        for place in sorted(bucket, key=lambda p: len(prompts[p])):
            grown = [*group, place]
            if group and len(grown) * len(prompts[place]) > 2 * sum(len(prompts[p]) for p in grown) + 8 * WORTH:
                yield group
                grown = [place]
            group = grown
        if group:
            yield group
