"""What a build may spend, and what it has spent: every request is set aside at its worst before it is sent, and settled after.

In: the recipe's budget, and what is about to be sent or trained.  Out: BudgetError before a limit is passed, and a `Tally` a
stage.  A limit of a sweep is shared by its jobs, in whichever process they run, through one small file beside their results.

Limits are those of one command: what an earlier one spent on the same recipe does not count (its replies cost nothing more).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftbuild.errors import BudgetError, ConfigError, FtbuildError, Reserved
from ftbuild.prices import cost

if TYPE_CHECKING:
    from ftbuild.recipe import Allowance, Budget, Provider
    from ftbuild.teacher import Request
    from ftbuild.tokens import Counter

KINDS = ("usd", "tokens", "requests")
_LONGEST = 4096  # tokens that a reply may have where nobody said how many
_SILENT = 60.0  # seconds after which what another process has set aside counts as spent
_ROUNDING = 1e-9
_guard = threading.Lock()


@dataclass(frozen=True)
class Amount:
    """What something costs, or may cost."""

    usd: float = 0.0
    tokens: int = 0
    requests: int = 0

    def of(self, kind: str) -> float:
        """Return one of the three."""
        return float(getattr(self, kind))


@dataclass
class Tally:
    """What one stage has spent.  `usd` is None where the price table does not know a model."""

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    trained_tokens: int = 0
    usd: float | None = 0.0

    def add(self, usd: float | None, **tokens: int) -> None:
        """Count something that was paid for."""
        for name, value in tokens.items():
            setattr(self, name, getattr(self, name) + value)
        self.usd = None if usd is None or self.usd is None else round(self.usd + usd, 9)


@dataclass
class Purse:
    """One set of limits, what has been spent under them, and what is set aside for requests under way.

    `name` is the key that sets them.  With a file, several processes share it.
    """

    name: str
    limits: Allowance
    file: Path | None = None
    _state: dict[str, list[float]] = field(default_factory=lambda: {"spent": [0.0] * 3, "aside": [0.0] * 3})
    _under_way: int = 0
    _seen: tuple[float, str] = (0.0, "")

    @property
    def limited(self) -> bool:
        """Whether there is any limit."""
        return any(getattr(self.limits, kind) is not None for kind in KINDS)

    def spent(self) -> Amount:
        """Return what has been spent, by all who share it."""
        with self._opened() as state:
            usd, tokens, requests = state["spent"]
        return Amount(usd, int(tokens), int(requests))

    def take(self, amount: Amount, what: str) -> None:
        """Set an amount aside.  BudgetError if it does not fit; Reserved if it may fit when others have been settled."""
        with self._opened() as state:
            for n, kind in enumerate(KINDS):
                limit = getattr(self.limits, kind)
                if limit is None or state["spent"][n] + state["aside"][n] + amount.of(kind) <= limit + _ROUNDING:
                    continue
                fits_later = state["spent"][n] + amount.of(kind) <= limit + _ROUNDING
                error = Reserved if fits_later and self._moving(state) else BudgetError
                message = _told(self.name, kind, limit, state["spent"][n], amount, what)
                raise error(message, hint=_need(self.name, kind, limit, amount))
            self._under_way += 1
            state["aside"] = [a + amount.of(k) for a, k in zip(state["aside"], KINDS, strict=True)]

    def settle(self, aside: Amount | None, actual: Amount) -> None:
        """Put what something cost in the place of what was set aside for it."""
        with self._opened() as state:
            if aside is not None:
                self._under_way -= 1
                state["aside"] = [max(0.0, a - aside.of(k)) for a, k in zip(state["aside"], KINDS, strict=True)]
            state["spent"] = [s + actual.of(k) for s, k in zip(state["spent"], KINDS, strict=True)]

    def _moving(self, state: Mapping[str, list[float]]) -> bool:
        """Say whether what is set aside may still be settled: our own is; that of others, as long as anything changes."""
        if self._under_way:
            return True
        now = (time.monotonic(), json.dumps(state))
        if now[1] != self._seen[1]:
            self._seen = now
        return any(state["aside"]) and now[0] - self._seen[0] < _SILENT

    @contextlib.contextmanager
    def _opened(self) -> Iterator[dict[str, list[float]]]:
        if self.file is None:
            yield self._state
            return
        with _guard:  # a process's lock on a file falls with the first descriptor of it that is closed
            try:
                self.file.parent.mkdir(parents=True, exist_ok=True)
                handle = os.open(self.file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            except OSError as error:
                raise FtbuildError(f"cannot write {self.file}: {error.strerror}") from error
            try:
                fcntl.lockf(handle, fcntl.LOCK_EX)
                before = os.read(handle, 4096)
                state = json.loads(before) if before.strip() else {"spent": [0.0] * 3, "aside": [0.0] * 3}
                yield state
                content = json.dumps(state).encode()
                if content != before:
                    os.pwrite(handle, content.ljust(len(before)), 0)
            finally:
                os.close(handle)


def _told(name: str, kind: str, limit: float, spent: float, amount: Amount, what: str) -> str:
    asks = "" if kind == "requests" else f", and {what} may take up to {_shown(kind, amount.of(kind))}"
    return f"{name}.{kind}={limit:g}: {_shown(kind, spent)} spent{asks}"


def _need(name: str, kind: str, limit: float, amount: Amount) -> str:
    """Return how to go on: with the same allowance once more, or with a larger one where no smaller one will do."""
    kept, need = "what was answered is kept", amount.of(kind)
    if need > limit:
        least = f"{math.ceil(need * 100) / 100:g}" if kind == "usd" else f"{need:.0f}"
        return f"{kept}; this step alone needs {name}.{kind}={least} or more"
    return f"{kept}; the same command goes on with another {_shown(kind, limit)}, or give it a higher {name}.{kind}"


def _shown(kind: str, value: float) -> str:
    return dollars(value) if kind == "usd" else f"{value:,.0f} {kind}"


def dollars(value: float) -> str:
    """Write an amount of money: `$12.50`, and `$0.0042` where it is small."""
    return f"${value:,.2f}" if value >= 1 or value == 0 else f"${value:.4f}"


class Spending:
    """The spending of one build.  `stage` is the one that runs just now; `tallies` tell what each has spent."""

    def __init__(self, budget: Budget | None = None, *, sweep: Path | None = None) -> None:
        self.purses = [p for p in _purses(budget, sweep) if p.limited]
        self.tallies: dict[str, Tally] = {}
        self.stage = ""
        self._meters: list[PriceMeter] = []
        self._training: Amount | None = None
        self.left: Amount | None = None
        """What the quote says that the whole build takes, for the hint of an error."""

    @property
    def tally(self) -> Tally:
        """What the stage that runs just now has spent."""
        return self.tallies.setdefault(self.stage, Tally())

    @property
    def priced(self) -> bool:
        """Whether a limit is in dollars, so that every price must be known."""
        return any(p.limits.usd is not None for p in self.purses)

    def take(self, amount: Amount, what: str) -> None:
        """Set an amount aside in every purse.  BudgetError or Reserved if it does not fit."""
        taken = []
        try:
            for purse in self.purses:
                purse.take(amount, what)
                taken.append(purse)
        except BudgetError as error:
            for purse in taken:
                purse.settle(amount, Amount())
            raise type(error)(error.message, hint=error.hint + self._rest()) from None

    def settle(self, aside: Amount | None, actual: Amount) -> None:
        """Put what something cost in the place of what was set aside for it."""
        for purse in self.purses:
            purse.settle(aside, actual)

    def meter(self, provider: Provider, *, batch: bool = False) -> PriceMeter:
        """Return who watches the requests to one provider."""
        meter = PriceMeter(self, provider, batch=batch)
        self._meters.append(meter)
        return meter

    def training(self, provider: Provider, model: str, tokens: int) -> None:
        """Set aside what training on so many tokens costs, before anything is uploaded.  BudgetError if it does not fit."""
        if self.purses:
            amount = Amount(self._usd(provider, model, cost(provider, model, trained=tokens)), tokens)
            self.take(amount, f"training on about {tokens:,} tokens")
            self._training = amount

    def trained(self, provider: Provider, model: str, tokens: int | None) -> None:
        """Count a training that has come to its end.  One whose provider does not tell has cost what was set aside."""
        usd = cost(provider, model, trained=tokens or 0)
        self.tally.add(usd, trained_tokens=tokens or 0)
        aside, self._training = self._training, None
        self.settle(aside, aside if aside and tokens is None else Amount(usd or 0.0, tokens or 0))

    def close(self) -> None:
        """End what is set aside: a training that goes on elsewhere is spent, a request that was lost is not."""
        for meter in self._meters:
            meter.close()
        if self._training is not None:
            self.settle(self._training, self._training)
            self._training = None

    def _usd(self, provider: Provider, model: str, usd: float | None) -> float:
        if usd is None and self.priced:
            raise ConfigError(
                f"budget.usd: nobody says what {model} costs at {provider.base_url or provider.kind}",
                hint="state it in …provider.prices (docs/costs.md), or set budget.tokens or budget.requests instead",
            )
        return usd or 0.0

    def _rest(self) -> str:
        """Return what is left of the build, by its quote."""
        if self.left is None:
            return ""
        spent = self.tallies.values()
        usd = max(0.0, self.left.usd - sum(t.usd or 0.0 for t in spent))
        requests = max(0, self.left.requests - sum(t.requests for t in spent))
        tokens = max(0, self.left.tokens - sum(t.prompt_tokens + t.completion_tokens + t.trained_tokens for t in spent))
        money = "" if any(t.usd is None for t in spent) else f"{dollars(usd)}, "
        return f" (left of the build, by its quote: about {money}{tokens:,} tokens, {requests:,} requests)"


def _purses(budget: Budget | None, sweep: Path | None) -> Iterator[Purse]:
    if budget is not None:
        yield Purse("budget", budget)
        if sweep is not None:
            yield Purse("budget.sweep", budget.sweep, sweep)


class PriceMeter:
    """Watches what is sent to one provider, for a `Spending`: set aside at its worst before, settled by its usage after."""

    def __init__(self, spending: Spending, provider: Provider, *, batch: bool) -> None:
        self._spending, self._provider, self._batch = spending, provider, batch
        self._aside: dict[str, list[Amount]] = {}
        self._counters: dict[str, Counter] = {}

    def before(self, request: Request) -> None:
        """Set aside what a request may cost.  BudgetError or Reserved if that does not fit."""
        if not self._spending.purses:
            return
        model = str(request.body["model"])
        prompt, most = self._read(request), most_written(request)
        usd = self._spending._usd(self._provider, model, self._cost(model, prompt, most))  # noqa: SLF001 - one module
        amount = Amount(usd, prompt + most, 1)
        self._spending.take(amount, f"the next request ({model})")
        self._aside.setdefault(request.id, []).append(amount)

    def after(self, request: Request, usage: Mapping[str, int]) -> None:
        """Count what a reply has cost; give back what was set aside where `usage` is empty, as no reply came."""
        model, aside = str(request.body["model"]), self._returned(request)
        if not usage:
            if aside is not None:
                self._spending.settle(aside, Amount())
            return
        prompt, written = usage.get("prompt", 0), usage.get("completion", 0)
        usd = self._cost(model, prompt, written)
        if "untold" in usage and aside is not None:  # it counts as what was set aside for it
            self._spending.tally.add(aside.usd, requests=1, completion_tokens=aside.tokens)
            self._spending.settle(aside, aside)
            return
        self._spending.tally.add(usd, requests=1, prompt_tokens=prompt, completion_tokens=written)
        self._spending.settle(aside, Amount(usd or 0.0, prompt + written, 1))

    def close(self) -> None:
        """Give back whatever is still set aside."""
        for amount in [a for waiting in self._aside.values() for a in waiting]:
            self._spending.settle(amount, Amount())
        self._aside.clear()

    def _returned(self, request: Request) -> Amount | None:
        waiting = self._aside.get(request.id)
        amount = waiting.pop() if waiting else None
        if waiting == []:
            del self._aside[request.id]
        return amount

    def _cost(self, model: str, prompt: int, written: int) -> float | None:
        return cost(self._provider, model, prompt=prompt, completion=written, batch=self._batch)

    def _read(self, request: Request) -> int:
        from ftbuild.tokens import counter

        model = str(request.body["model"])
        if model not in self._counters:
            self._counters[model] = counter(self._provider, model)
        return read(self._counters[model], request.body)


def read(count: Counter, body: Mapping[str, Any]) -> int:
    """Return how many tokens the body of a request has its model read."""
    return count.count_messages(body["messages"]) if "messages" in body else count.count(str(body["prompt"]))


def most_written(request: Request) -> int:
    """Return how many tokens the reply to a request may have."""
    body = request.body
    return int(body.get("max_tokens") or body.get("max_completion_tokens") or _LONGEST)
