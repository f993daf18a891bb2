"""What a build would ask and what it would cost, found out without asking: quick stages are tried in a folder aside.

In: a recipe and a store.  Out: the plan, more exact than without the trial, and a `Quote` for each step that asks or trains.
Tokens are estimated by the length of the text and costs are upper bounds: every reply as long as it may be.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftbuild.console import Console
from ftbuild.errors import FtbuildError
from ftbuild.execute import Execution
from ftbuild.options import Options
from ftbuild.plan import Last, Plan, Step, Verdict, inputs_of, plan
from ftbuild.prices import cost, estimated_tokens
from ftbuild.records import read_jsonl
from ftbuild.replies import Replies
from ftbuild.services import Services
from ftbuild.stage import Task
from ftbuild.store import Overlay, Store

if TYPE_CHECKING:
    from ftbuild.recipe import Provider, Recipe
    from ftbuild.teacher import Request

_MOST_BYTES = 20 * 2**20  # of a document beyond which a plan does not try what its stages would give


@dataclass(frozen=True)
class Quote:
    """What one step would send and cost: requests in all, those whose replies are kept, tokens (about), dollars at most.

    `usd` is None where the provider's price table does not know the model.
    """

    requests: int = 0
    cached: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    trained_tokens: int = 0
    usd: float | None = 0.0
    prices: str = ""

    @property
    def to_send(self) -> int:
        """How many requests would be sent."""
        return self.requests - self.cached


@dataclass(frozen=True)
class Quoted:
    """A plan with the quotes of those of its steps that ask somebody or train."""

    plan: Plan
    quotes: Mapping[str, Quote] = field(default_factory=dict)


def quoted(recipe: Recipe, store: Store, last: Last, options: Options) -> Quoted:
    """Return the plan of a build and what its steps would cost.  Nothing is asked, and the store is not touched."""
    planned = plan(recipe, store, last, options)
    if planned.fresh:
        return Quoted(planned)
    with tempfile.TemporaryDirectory(prefix="ftbuild-plan-") as folder:
        console, trial = Console(quiet=True), Overlay(Path(folder), store)
        services = Services(trial, console, Options(offline=True))
        execution = Execution(recipe, trial, last, options, console, services)
        steps, quotes = [], {}
        for before in planned.steps:
            step = before
            if not before.key and (again := execution.again(before.stage)).key:
                step = again
            if step.verdict is Verdict.RUN and step.key:
                if (quote := _quote(step, execution, store)) is not None:
                    quotes[step.stage.name] = quote
                _try(step, execution)
            elif step.action is not None and step.verdict is not Verdict.RUN:
                execution.done[step.stage.name] = step.action
            steps.append(step)
    return Quoted(Plan(tuple(steps)), quotes)


def _try(step: Step, execution: Execution) -> None:
    """Run a quick stage in the trial's own folder, so that what follows it can be planned.  What fails is left open."""
    inputs = inputs_of(step.stage, execution.done) or {}
    small = sum(execution.store.object(d).stat().st_size for d in inputs.values()) <= _MOST_BYTES
    if small and step.stage.quick(execution.recipe):
        with suppress(FtbuildError, OSError):
            execution.done[step.stage.name] = execution.run(step)


def _quote(step: Step, execution: Execution, store: Store) -> Quote | None:
    stage, recipe = step.stage, execution.recipe
    inputs = {name: execution.store.object(d) for name, d in (inputs_of(stage, execution.done) or {}).items()}
    if stage.requests is not None:
        task = Task(stage.view(recipe), step.key, inputs, Path(), execution.services, execution.console)
        teacher = stage.name == "generate"
        who = recipe.teacher.provider if teacher else recipe.trainer.provider
        with suppress(OSError):
            return _of_requests(stage.requests(task), who, Replies(store))
    if stage.name == "train":
        return _of_training(recipe, inputs["format/rows.jsonl"])
    return None


def _of_requests(requests: Sequence[Request], provider: Provider, replies: Replies) -> Quote:
    missing = [r for r in requests if replies.get(r.id) is None]
    read = sum(estimated_tokens(_prompt(r.body)) for r in missing)
    written = sum(int(r.body.get("max_tokens", 0)) for r in missing)
    usd = cost(provider, str(missing[0].body["model"]), prompt=read, completion=written) if missing else 0.0
    return Quote(len(requests), len(requests) - len(missing), read, written, 0, usd, provider.prices.date)


def _of_training(recipe: Recipe, rows: Path) -> Quote:
    text = sum(estimated_tokens(value) for row in read_jsonl(rows) for value in _texts(row))
    trained, provider = text * recipe.train.epochs, recipe.trainer.provider
    return Quote(0, 0, 0, 0, trained, cost(provider, recipe.trainer.base_model, trained=trained), provider.prices.date)


def _prompt(body: Mapping[str, Any]) -> str:
    return str(body["prompt"]) if "prompt" in body else "\n".join(str(m["content"]) for m in body["messages"])


def _texts(row: Mapping[str, Any]) -> list[str]:
    return [str(m["content"]) for m in row["messages"]] if "messages" in row else [row["prompt"], row["completion"]]
