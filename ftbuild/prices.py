"""What a build cost, or would cost, by the provider's prices.

In: tokens by model, and the price table of a provider's option file with its date.  Out: US dollars, or None where the table
does not know the model.  What comes from the reply cache costs nothing and is not counted.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ftbuild.recipe import Provider, Recipe

_MILLION = 1_000_000


@dataclass(frozen=True)
class Price:
    """US dollars for a million tokens: read, written, and trained on."""

    input: float = 0.0
    output: float = 0.0
    training: float = 0.0


@dataclass(frozen=True)
class Prices:
    """A provider's prices by model, and the day on which they were looked up.  `free` is somebody's own machine.

    `batch` is the part of the price of a request that is asked through the Batch API.
    """

    date: str = ""
    free: bool = False
    batch: float = 0.5
    models: Mapping[str, Price] = field(default_factory=dict)

    def of(self, model: str) -> Price | None:
        """Return the price of a model; a tuned one is looked up by its own name, then by its base with `ft:`."""
        if self.free:
            return Price()
        base = ":".join(model.split(":")[:2]) if model.startswith("ft:") else model
        return self.models.get(model) or self.models.get(base)

    def age(self, today: dt.date) -> int | None:
        """Return how many days ago the prices were looked up, or None if nobody says when."""
        try:
            return (today - dt.date.fromisoformat(self.date)).days
        except ValueError:
            return None


@dataclass(frozen=True)
class Spent:
    """Tokens, and what they cost in US dollars (None: the price table does not say)."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    trained_tokens: int = 0
    usd: float | None = 0.0
    prices: str = ""

    @property
    def tokens(self) -> int:
        """All tokens: read, written and trained on."""
        return self.prompt_tokens + self.completion_tokens + self.trained_tokens


def cost(
    provider: Provider, model: str, *, prompt: int = 0, completion: int = 0, trained: int = 0, batch: bool = False
) -> float | None:
    """Return what tokens cost at a provider, or None if its price table does not know the model.

    `batch` is for requests asked through the Batch API; training has no such discount.
    """
    if not (prompt or completion or trained):
        return 0.0
    price = provider.prices.of(model)
    if price is None:
        return None
    asked = (prompt * price.input + completion * price.output) * (provider.prices.batch if batch else 1.0)
    return (asked + trained * price.training) / _MILLION


def estimated_tokens(text: str) -> int:
    """Return about how many tokens a text has: a quarter of its letters, most of its Chinese ones.  Only a model knows."""
    wide = sum(ch > "\u2e7f" for ch in text)
    return round((len(text) - wide) / 4 + wide * 0.8)


def spent(recipe: Recipe, facts: Mapping[str, Mapping[str, Any]]) -> Spent:
    """Add up what the stages of a build spent, by their facts."""
    told = [f["spent"] for f in facts.values() if isinstance(f.get("spent"), Mapping)]
    known = [float(t["usd"]) for t in told if t["usd"] is not None]
    who = (recipe.teacher.provider, recipe.trainer.provider)
    return Spent(
        sum(int(t["prompt_tokens"]) for t in told),
        sum(int(t["completion_tokens"]) for t in told),
        sum(int(t["trained_tokens"]) for t in told),
        round(sum(known), 6) if len(known) == len(told) else None,
        ", ".join(sorted({p.prices.date for p in who if p.prices.date})),
    )
