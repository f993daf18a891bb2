"""Preferences: of two answers to one question, make the one likelier and the other less likely.

In: pairs of rows that begin alike.  Out: the gradients of one step, and what was measured.  The loss of a pair is
`-log sigmoid(beta * (margin - reference))`, where `margin` is the log-probability of the preferred answer less that of the
other one, and `reference` the same by the untouched model, computed once before the first step.

A pair is one tree (`packing`): the question is computed once.  The tokens of the preferred answer weigh 1 and those of the
other one -1, so that the weighted sum over the tree is the margin; what both answers begin with cancels itself out.

Source: Direct Preference Optimization (Rafailov et al., 2023).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftbuild.local.conversation import preference
from ftbuild.local.packing import Row, batch, tree
from ftbuild.store import read_json, write_json

if TYPE_CHECKING:
    import torch

    from ftbuild.local.training import Run


@dataclass
class Pair:
    """Two answers to one question, and the margin between them by the untouched model."""

    preferred: Row
    other: Row
    reference: float = 0.0

    @classmethod
    def of(cls, row: Mapping[str, Any], tokenizer: Any) -> Pair:
        """Return the pair of a preference row."""
        return cls(*preference(row, tokenizer))

    @property
    def tokens(self) -> tuple[int, ...]:
        """What is computed for this pair."""
        return self.preferred.tokens + self.other.tokens

    def longest(self) -> int:
        """Return the length of the longer row."""
        return max(len(self.preferred.tokens), len(self.other.tokens))

    def cut(self, most: int) -> Pair:
        """Return the pair with both rows cut to `most` tokens."""
        return Pair(self.preferred.cut(most), self.other.cut(most))


class Preferences:
    """The objective of a run whose rows are pairs."""

    def __init__(self, beta: float) -> None:
        self.beta = beta

    def refer(self, run: Run, pairs: Sequence[Pair], record: Path) -> Iterator[int]:
        """Ask the untouched model for its margins, or take them from `record`; yield how many there are after each."""
        known = read_json(record)
        if isinstance(known, list) and len(known) == len(pairs):
            for pair, margin in zip(pairs, known, strict=True):
                pair.reference = margin
            return
        with run.at_rest():
            for count, pair in enumerate(pairs, start=1):
                pair.reference = float(self._margin(run, pair))
                yield count
        write_json(record, [p.reference for p in pairs])

    def learn(self, run: Run, pairs: Sequence[Pair]) -> dict[str, float]:
        """Compute the gradients of one step."""
        told = [0.0, 0.0, 0.0]
        for pair in run.place.mine(pairs):
            loss, measured = self._loss(run, pair)
            (loss / len(pairs)).backward()  # type: ignore[no-untyped-call]
            told = [a + b for a, b in zip(told, measured, strict=True)]
        told = run.place.add_up(run.computed, told)
        return _named(told, len(pairs), "train")

    def measure(self, run: Run, pairs: Sequence[Pair]) -> dict[str, float]:
        """Return loss and accuracy without learning anything."""
        told = [0.0, 0.0, 0.0]
        for pair in run.place.mine(pairs):
            _, measured = self._loss(run, pair)
            told = [a + b for a, b in zip(told, measured, strict=True)]
        return _named(run.place.agreed(told), len(pairs), "valid")

    def _loss(self, run: Run, pair: Pair) -> tuple[torch.Tensor, tuple[float, float, float]]:
        """Return a pair's loss; and as numbers loss, whether the preferred answer has gained, and what it has gained."""
        import torch

        reward = self.beta * (self._margin(run, pair) - pair.reference)
        loss = -torch.nn.functional.logsigmoid(reward)
        return loss, (float(loss.detach()), float(reward.detach() > 0), float(reward.detach()))

    def _margin(self, run: Run, pair: Pair) -> torch.Tensor:
        against = Row(pair.other.tokens, tuple(-w for w in pair.other.weights))
        minus, _ = run.loss(batch([tree([pair.preferred, against])], run.dtype))
        return -minus


def _named(told: Sequence[float], count: int, of: str) -> dict[str, float]:
    loss, right, reward = (t / max(1, count) for t in told)
    if not math.isfinite(loss):
        raise ValueError("the loss is not a number any more; a smaller learning_rate may help")
    return {f"{of}_loss": loss, f"{of}_accuracy": right, **({"reward_margin": reward} if of == "train" else {})}
