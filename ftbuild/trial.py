"""A plan with its quotes, found out without asking: quick stages are tried in a folder aside.

In: a recipe and a store.  Out: the plan, more exact than without the trial, and a `Quote` for each step that asks or trains.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ftbuild.console import Console
from ftbuild.errors import FtbuildError
from ftbuild.execute import Execution
from ftbuild.options import Options
from ftbuild.plan import Last, Plan, Step, Verdict, inputs_of, plan
from ftbuild.quote import Known, Quote, quotes
from ftbuild.replies import Replies
from ftbuild.services import Services
from ftbuild.store import Overlay, Store

if TYPE_CHECKING:
    from ftbuild.recipe import Recipe

_MOST_BYTES = 20 * 2**20  # of a document beyond which a plan does not try what its stages would give


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
        steps = []
        for before in planned.steps:
            step = before
            if not before.key and (again := execution.again(before.stage)).key:
                step = again
            if step.verdict is Verdict.RUN and step.key:
                _try(step, execution)
            elif step.action is not None and step.verdict is not Verdict.RUN:
                execution.done[step.stage.name] = step.action
            steps.append(step)
        return Quoted(Plan(tuple(steps)), quotes(Known(recipe, trial, Replies(store), execution.done, last), steps))


def _try(step: Step, execution: Execution) -> None:
    """Run a quick stage in the trial's own folder, so that what follows it can be planned.  What fails is left open."""
    inputs = inputs_of(step.stage, execution.done) or {}
    small = sum(execution.store.object(d).stat().st_size for d in inputs.values()) <= _MOST_BYTES
    if small and step.stage.quick(execution.recipe):
        with suppress(FtbuildError, OSError):
            execution.done[step.stage.name] = execution.run(step)
