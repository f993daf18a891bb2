"""What builds were quoted and what they spent, remembered: one file a run, `spending/RECIPE/TIME.json` in the store.

In: a run's quotes, before its first request, and what its stages spend.  Out: the same, from this run and from earlier ones
that were stopped: what a stage has cost is what all runs have paid that worked at it.  A run that asks nobody leaves nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ftbuild.budget import KINDS, Amount, Spending, Tally, dollars
from ftbuild.errors import FtbuildError
from ftbuild.quote import Quote, total
from ftbuild.store import Store, read_json, write_json

if TYPE_CHECKING:
    from ftbuild.console import Console


class Account:
    """The account of one run."""

    def __init__(self, store: Store, recipe: str, spending: Spending) -> None:
        self._store, self._recipe, self._spending = store, recipe, spending
        self._began = datetime.now(UTC)
        self._keys: dict[str, str] = {}
        self.quotes: dict[str, Quote] | None = None

    def quoted(self, quotes: Mapping[str, Quote], console: Console) -> None:
        """Write down what the build is expected to take, and warn where that is more than it may."""
        self.quotes = dict(quotes)
        expected, _ = total(quotes.values())
        self._spending.left = expected
        for problem in short(self._spending, expected):
            console.warn(f"{problem}; the build goes as far as that lasts")
        self.save("running")

    def begin(self, stage: str, key: str) -> None:
        """Note which stage spends from now on."""
        self._spending.stage = stage
        self._keys[stage] = key

    def facts(self, stage: str, key: str) -> dict[str, Any]:
        """Return what a stage was quoted and what it has cost, this run and earlier ones that were stopped together."""
        tally = self._spending.tallies.get(stage, Tally())
        for run in runs(self._store, self._recipe):
            told = run["stages"].get(stage, {})
            if told.get("key") == key and run["began"] != self._at and not told.get("done"):
                tally = _sum(tally, Tally(**{k: v for k, v in told.items() if k in asdict(tally)}))
        facts: dict[str, Any] = {"spent": asdict(tally)} if tally != Tally() else {}
        if self.quotes and stage in self.quotes:
            facts["quoted"] = self.quotes[stage].plain()
        return facts

    @property
    def _at(self) -> str:
        return self._began.isoformat(timespec="microseconds")

    def save(self, outcome: str, done: tuple[str, ...] = ()) -> None:
        """Write the account down.  `done` are the stages whose results are kept, with what they cost.

        FtbuildError if the disk refuses.
        """
        if self.quotes is None:
            return
        stages = {
            stage: {**asdict(tally), "key": self._keys.get(stage, ""), "done": stage in done}
            for stage, tally in self._spending.tallies.items()
            if tally != Tally()
        }
        told = {
            "recipe": self._recipe,
            "began": self._at,
            "outcome": outcome,
            "quoted": {stage: quote.plain() for stage, quote in self.quotes.items()},
            "stages": stages,
        }
        name = self._began.strftime("%Y-%m-%dT%H%M%S.%f")
        try:
            write_json(self._store.root / "spending" / self._recipe / f"{name}.json", told)
        except OSError as error:
            raise FtbuildError(
                f"cannot write to the store {self._store.root}: {error.strerror}", hint="is the disk full or read-only?"
            ) from error


def runs(store: Store, recipe: str) -> Iterator[dict[str, Any]]:
    """Yield the accounts of a recipe's runs, the newest first."""
    for file in sorted((store.root / "spending" / recipe).glob("*.json"), reverse=True):
        if isinstance(told := read_json(file), dict) and isinstance(told.get("stages"), dict):
            yield told


def spent_so_far(store: Store, recipe: str) -> tuple[int, Amount, bool]:
    """Return in how many runs a recipe has spent how much, and whether all of its prices were known."""
    count, usd, tokens, requests, priced = 0, 0.0, 0, 0, True
    for run in runs(store, recipe):
        count += bool(run["stages"])
        for told in run["stages"].values():
            usd, priced = usd + (told["usd"] or 0.0), priced and told["usd"] is not None
            tokens += told["prompt_tokens"] + told["completion_tokens"] + told["trained_tokens"]
            requests += told["requests"]
    return count, Amount(usd, tokens, requests), priced


def short(spending: Spending, expected: Amount) -> Iterator[str]:
    """Yield for which limits a quote is too large."""
    for purse in spending.purses:
        spent = purse.spent()
        for kind in KINDS:
            limit, wanted = getattr(purse.limits, kind), expected.of(kind)
            if limit is not None and spent.of(kind) + wanted > limit:
                shown = dollars(wanted) if kind == "usd" else f"{wanted:,.0f} {kind}"
                yield f"{purse.name}.{kind}={limit:g} is less than the quote, about {shown}"


def _sum(one: Tally, other: Tally) -> Tally:
    usd = None if one.usd is None or other.usd is None else round(one.usd + other.usd, 9)
    rest = {k: v + getattr(other, k) for k, v in asdict(one).items() if k != "usd"}
    return Tally(usd=usd, **rest)
