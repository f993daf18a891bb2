"""`ftbuild plan`: what a build would do, and why, and what it would cost."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ftbuild.cli import Arguments
    from ftbuild.config import Build
    from ftbuild.console import Console
    from ftbuild.plan import Last, Plan, Step
    from ftbuild.quote import Quote

_MOST_REASONS = 8


def plan(build: Build, arguments: Arguments, console: Console) -> tuple[int, float | None]:
    """Show for every stage what a build would do and why, and the requests, tokens and dollars that it would take.

    ftbuild plan +recipe=NAME [KEY=VALUE …] [--json]

      fresh      it is done, and where people look for it
      restore    it was made before, and only has to be put back; nobody is asked
      run        it has to run: the keys that changed are named with their old and new values
      run only if its input changes
                 a stage before it has to run first; if that gives the same as before, this one is done

    Nothing is touched and nobody is asked.  Tokens are estimates; costs are upper bounds, by the provider's price table.
    """
    from ftbuild.lockfile import pinned
    from ftbuild.plan import plan as planned_
    from ftbuild.views import last
    from ftbuild.words import none

    none(arguments.words)
    held, before = pinned(build.lock, build.recipe.name, locked=build.options.locked), last(build.folder)
    planned = planned_(build.recipe, build.store, before, build.options)
    if held:
        held.check_all(planned.steps, build.store)
    found, quotes = _quoted(build, planned, before)
    if console.as_json:
        console.json([_told(step, quotes.get(step.stage.name)) for step in found])
        return 0, None
    rows = [(s.stage.name, s.verdict.value, _why(s, quotes.get(s.stage.name))) for s in found]
    console.table("", ("Stage", "Verdict", "Why"), rows, styles=("bold", "", "dim"))
    total = _total(list(quotes.values()))
    if total:
        console.result()
        console.result(total)
    return 0, None


def _quoted(build: Build, planned: Plan, before: Last) -> tuple[tuple[Step, ...], dict[str, Quote]]:
    if planned.fresh:
        return planned.steps, {}
    from ftbuild.quote import quoted

    found = quoted(build.recipe, build.store, before, build.options)
    return found.plan.steps, dict(found.quotes)


def _why(step: Step, quote: Quote | None) -> str:
    from ftbuild.plan import Verdict

    lines = [str(r) for r in step.reasons[:_MOST_REASONS]] if step.verdict is not Verdict.FRESH else []
    if len(step.reasons) > _MOST_REASONS:
        lines.append(f"… and {len(step.reasons) - _MOST_REASONS} more")
    if quote and quote.requests:
        lines.append(f"{_counted(quote.requests)}: {quote.cached:,} kept, {quote.to_send:,} to send")
    if quote and quote.trained_tokens:
        lines.append(f"about {quote.trained_tokens:,} tokens to train on")
    return "\n".join(lines)


def _total(quotes: list[Quote]) -> str:
    send = sum(q.to_send for q in quotes)
    tokens = sum(q.prompt_tokens for q in quotes)
    written, trained = sum(q.completion_tokens for q in quotes), sum(q.trained_tokens for q in quotes)
    if not send and not trained:
        return ""
    parts = [f"{_counted(send)} to send, about {tokens:,} tokens to read and at most {written:,} to write"] if send else []
    parts += [f"about {trained:,} tokens to train on"] if trained else []
    dates = ", ".join(sorted({q.prices for q in quotes if q.prices}))
    known = [q.usd for q in quotes if q.usd is not None]
    money = f"at most ${sum(known):.2f}" if any(known) else "free of charge"
    if len(known) < len(quotes):
        money = "cost not known: the provider's option has no price"
    return "; ".join([*parts, money + (f" (prices of {dates})" if dates else "")])


def _counted(requests: int) -> str:
    return f"{requests:,} request" + ("" if requests == 1 else "s")


def _told(step: Step, quote: Quote | None) -> dict[str, Any]:
    reasons = [{**asdict(r), "why": r.why.name.lower(), "text": str(r)} for r in step.reasons]
    told = {"stage": step.stage.name, "verdict": step.verdict.value, "key": step.key, "reasons": reasons}
    return {**told, "quote": {**asdict(quote), "to_send": quote.to_send} if quote else None}
