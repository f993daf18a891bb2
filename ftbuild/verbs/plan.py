"""`ftbuild plan`: what a build would do, and why, and what it would cost."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ftbuild.budget import Amount
    from ftbuild.cli import Arguments
    from ftbuild.config import Build
    from ftbuild.console import Console
    from ftbuild.plan import Last, Plan, Step
    from ftbuild.quote import Quote
    from ftbuild.recipe import Provider, Recipe

_MOST_REASONS = 8
_OLD = 90  # days


def plan(build: Build, arguments: Arguments, console: Console) -> tuple[int, float | None]:
    """Show for every stage what a build would do and why, and the requests, tokens and dollars that it would take.

    ftbuild plan +recipe=NAME [KEY=VALUE …] [--json]

      fresh      it is done, and where people look for it
      restore    it was made before, and only has to be put back; nobody is asked
      run        it has to run: the keys that changed are named with their old and new values
      run only if its input changes
                 a stage before it has to run first; if that gives the same as before, this one is done

    The quote counts what is rendered with the model's own vocabulary where there is one, and says "about" where it does not.
    How long replies will be is expected from earlier ones, and bounded by max_tokens; what that comes to stands beside it.
    With a budget (budget.usd=5, budget.tokens=…, budget.requests=…) it says whether the quote fits.  Of a sweep (-m), each job
    is planned by itself.  Nothing is touched and nobody is asked.
    """
    from ftbuild.lockfile import pinned
    from ftbuild.making import untrainable
    from ftbuild.plan import plan as planned_
    from ftbuild.views import last
    from ftbuild.words import none

    none(arguments.words)
    held, before = pinned(build.lock, build.recipe.name, locked=build.options.locked), last(build.folder)
    planned = planned_(build.recipe, build.store, before, build.options)
    if held:
        held.check_all(planned.steps, build.store)
    found, quotes = _quoted(build, planned, before)
    if why := untrainable(build, planned):
        console.warn(why)
    if console.as_json:
        console.json(_told(build, found, quotes))
        return 0, None
    rows = [(s.stage.name, s.verdict.value, _why(s, quotes.get(s.stage.name))) for s in found]
    console.table("", ("Stage", "Verdict", "Why"), rows, styles=("bold", "", "dim"))
    if any(q.to_send or q.trained_tokens or not q.known for q in quotes.values()):
        _show(build, quotes, console)
    return 0, None


def _quoted(build: Build, planned: Plan, before: Last) -> tuple[tuple[Step, ...], dict[str, Quote]]:
    if planned.fresh:
        return planned.steps, {}
    from ftbuild.trial import quoted

    found = quoted(build.recipe, build.store, before, build.options)
    return found.plan.steps, dict(found.quotes)


def _why(step: Step, quote: Quote | None) -> str:
    from ftbuild.plan import Verdict

    lines = [str(r) for r in step.reasons[:_MOST_REASONS]] if step.verdict is not Verdict.FRESH else []
    if len(step.reasons) > _MOST_REASONS:
        lines.append(f"… and {len(step.reasons) - _MOST_REASONS} more")
    if quote and quote.requests:
        lines.append(f"{_counted(quote.requests)}: {quote.cached:,} kept, {quote.to_send:,} to send")
    return "\n".join(lines)


# ---- the quote ----


def _show(build: Build, quotes: Mapping[str, Quote], console: Console) -> None:
    from ftbuild.quote import total

    expected, most = total(quotes.values())
    unknown = any(q.usd is None for q in quotes.values())
    shown = {s: q for s, q in quotes.items() if q.to_send or q.trained_tokens or not q.known}
    free = all(p.prices.free for p in _providers(build.recipe, quotes))
    rows = [_row(stage, quote, free=free) for stage, quote in shown.items()]
    rows.append(_all(list(shown.values()), expected, most, free=free))
    console.result()
    columns = ("Quote", "Requests", "Read", "Written", "Trained on", "Cost", "At most")
    console.table("", columns, rows, styles=("bold",), right=range(1, len(columns)))
    console.result()
    budget = _budget(build, expected, most, unknown=unknown)
    for line in (*notes(build.recipe, quotes), *budget, *_history(build)):
        console.paragraph(line)
    for line in stale(build.recipe, quotes, _today()):
        console.warn(line)


def _row(stage: str, quote: Quote, *, free: bool) -> tuple[str, ...]:
    trained = _about(quote.trained_tokens, exact=quote.exact and quote.known)
    trained = trained or ("" if quote.requests or quote.known else "?")
    read = _about(quote.prompt_tokens, exact=quote.exact and quote.known)
    written = _about(quote.completion_tokens, exact=False)
    return stage, _about(quote.to_send, exact=True), read, written, trained, *_money(quote.usd, quote.most_usd, free=free)


def _all(quotes: Sequence[Quote], expected: Amount, most: Amount, *, free: bool) -> tuple[str, ...]:
    exact = all(q.exact and q.known for q in quotes if q.prompt_tokens)
    read = _about(sum(q.prompt_tokens for q in quotes), exact=exact)
    written = _about(sum(q.completion_tokens for q in quotes), exact=False)
    trained = _about(sum(q.trained_tokens for q in quotes), exact=all(q.exact and q.known for q in quotes if q.trained_tokens))
    unknown = any(q.usd is None for q in quotes)
    money = _money(None, None, free=free) if unknown else _money(expected.usd, most.usd, free=free)
    return "all", _about(expected.requests, exact=True), read, written, trained, *money


def _about(number: int, *, exact: bool) -> str:
    return "" if not number else f"{number:,}" if exact else f"~{number:,}"


def _money(usd: float | None, most: float | None, *, free: bool) -> tuple[str, str]:
    from ftbuild.budget import dollars

    if free:
        return "free", "free"
    return ("?", "?") if usd is None or most is None else (dollars(usd), dollars(most))


def notes(recipe: Recipe, quotes: Mapping[str, Quote]) -> Iterator[str]:
    """Yield what the numbers of a quote rest on, a line each."""
    sent = {s: q for s, q in quotes.items() if q.to_send}
    counters = sorted({("exactly, by " if q.exact else "about, by an ") + q.counted for q in sent.values() if q.counted})
    if counters:
        yield f"Read: counted {'; '.join(counters)}."
    ways: dict[str, list[str]] = {}
    for stage, quote in sent.items():
        ways.setdefault(quote.expected, []).append(stage)
    if sent:
        told = "; ".join(f"{' and '.join(stages)}, {way}" for way, stages in ways.items() if way)
        yield f"Written: expected ({told}); at most max_tokens of each request."
    train = quotes.get("train")
    if train is not None:
        epochs = f"{recipe.train.epochs} epoch" + ("" if recipe.train.epochs == 1 else "s")
        rows = f"the rows there are, counted {'exactly' if train.exact else 'about'}" if train.known else train.expected
        guess = "about, by " if not train.known and train.trained_tokens else ""
        yield f"Trained on: {guess}{rows}, in {epochs}."
    if any(q.batch and q.to_send for q in quotes.values()):
        yield f"The teacher is asked by the batch, at {recipe.teacher.provider.prices.batch:.0%} of the price."
    dates = sorted({q.prices for q in quotes.values() if q.prices})
    unpriced = sorted({f"{p.base_url or p.kind}" for p in _providers(recipe, quotes) if not (p.prices.free or p.prices.models)})
    if unpriced:
        yield f"Cost not known: no prices of {' and '.join(unpriced)}; state them in …provider.prices (docs/costs.md)."
    elif any(q.usd is None for q in quotes.values()):
        stages = [stage for stage, q in quotes.items() if q.usd is None]
        yield f"Cost not known for {' and '.join(stages)}."
    if dates:
        yield f"Prices of {', '.join(dates)}, US dollars."


def stale(recipe: Recipe, quotes: Mapping[str, Quote], today: dt.date) -> Iterator[str]:
    """Yield which price tables are older than three months."""
    for provider in _providers(recipe, quotes):
        age = provider.prices.age(today)
        if age is not None and age > _OLD:
            yield f"the prices of {provider.base_url or provider.kind} are {age} days old; look them up again: provider.prices"


def _today() -> dt.date:
    return dt.datetime.now(dt.UTC).date()


def _providers(recipe: Recipe, quotes: Mapping[str, Quote]) -> Sequence[Provider]:
    found: list[Provider] = []
    for stage, quote in quotes.items():
        provider = recipe.teacher.provider if stage == "generate" else recipe.trainer.provider
        if (quote.to_send or quote.trained_tokens or not quote.known) and provider not in found:
            found.append(provider)
    return found


def _budget(build: Build, expected: Amount, most: Amount, *, unknown: bool) -> Iterator[str]:
    """Yield how the quote compares with each limit."""
    from ftbuild.budget import KINDS

    for name, limits in (("budget", build.recipe.budget), ("budget.sweep", build.recipe.budget.sweep)):
        for kind in KINDS:
            limit = getattr(limits, kind)
            if limit is None:
                continue
            if kind == "usd" and unknown:
                yield f"{name}.{kind}={limit:g}: cannot be kept, as prices are not known; the build would refuse to begin."
            elif most.of(kind) <= limit:
                yield f"{name}.{kind}={limit:g}: the quote fits, even at most."
            elif expected.of(kind) <= limit:
                yield f"{name}.{kind}={limit:g}: the quote fits as expected, but not at most; the build stops before the limit."
            else:
                yield f"{name}.{kind}={limit:g}: the quote does not fit; the build would stop on its way, and go on from there."


def _history(build: Build) -> Iterator[str]:
    """Yield what earlier runs have spent."""
    from ftbuild.accounts import spent_so_far
    from ftbuild.budget import dollars

    count, amount, priced = spent_so_far(build.store, build.recipe.name)
    if count:
        money = dollars(amount.usd) if priced else "cost not known"
        runs = "1 run" if count == 1 else f"{count} runs"
        yield f"Spent on this recipe before, in {runs}: {money}, {amount.requests:,} requests, {amount.tokens:,} tokens."


def _counted(requests: int) -> str:
    return f"{requests:,} request" + ("" if requests == 1 else "s")


def _told(build: Build, steps: Sequence[Step], quotes: Mapping[str, Quote]) -> dict[str, Any]:
    from ftbuild.accounts import spent_so_far
    from ftbuild.quote import total

    told = {"recipe": build.recipe.name, "stages": [_step(step, quotes.get(step.stage.name)) for step in steps]}
    if not quotes:
        return {**told, "quote": None}
    (expected, most), unknown = total(quotes.values()), any(q.usd is None for q in quotes.values())
    runs, before, priced = spent_so_far(build.store, build.recipe.name)
    whole: dict[str, Any] = {
        "expected": asdict(expected) | ({"usd": None} if unknown else {}),
        "most": asdict(most) | ({"usd": None} if unknown else {}),
        "notes": list(notes(build.recipe, quotes)),
        "budget": list(_budget(build, expected, most, unknown=unknown)),
        "warnings": list(stale(build.recipe, quotes, _today())),
        "spent_before": {"runs": runs, **asdict(before), **({} if priced else {"usd": None})},
    }
    return {**told, "quote": whole}


def _step(step: Step, quote: Quote | None) -> dict[str, Any]:
    reasons = [{**asdict(r), "why": r.why.name.lower(), "text": str(r)} for r in step.reasons]
    told = {"stage": step.stage.name, "verdict": step.verdict.value, "key": step.key, "reasons": reasons}
    return {**told, "quote": quote.plain() if quote else None}
