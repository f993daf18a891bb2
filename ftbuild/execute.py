"""Run the steps of a plan that have to run, and publish what they make.

In: a plan.  Out: the records of all stages.  A stage works in a folder aside; what it made becomes visible all at once, when
it is done.  What is stopped in the middle leaves nothing behind but the replies and the job ids that it paid for.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ftbuild.console import Console, seconds
from ftbuild.errors import FtbuildError, Interrupted
from ftbuild.plan import Plan, Step, Verdict, inputs_of, step_of
from ftbuild.services import Services
from ftbuild.stage import Stage, Task
from ftbuild.store import Action, Store

if TYPE_CHECKING:
    from ftbuild.recipe import Recipe


def execute(plan: Plan, recipe: Recipe, store: Store, console: Console) -> dict[str, Action]:
    """Run what has to run, in order, and return the records of all stages.  Interrupted on Ctrl-C."""
    done: dict[str, Action] = {}
    with Services(store, console) as services:
        for planned in plan.steps:
            step = planned if planned.verdict is not Verdict.MAYBE else step_of(planned.stage, recipe, store, done)
            try:
                done[step.stage.name] = step.action or _run(step, recipe, store, done, services, console)
            except KeyboardInterrupt:
                raise Interrupted(
                    f"stopped during {step.stage.name}",
                    hint="what is finished is kept; the same command goes on from here",
                ) from None
    return done


def _run(step: Step, recipe: Recipe, store: Store, done: Mapping[str, Action], services: Services, console: Console) -> Action:
    stage = step.stage
    digests = inputs_of(stage, done) or {}
    console.heading(stage.name, stage.summary)
    started = time.monotonic()
    with store.workspace() as folder:
        inputs = {name: store.object(digest) for name, digest in digests.items()}
        before = {name: action.facts for name, action in done.items()}
        task = Task(stage.view(recipe), step.key, inputs, folder, services, console, before)
        stage.run(task)
        _check(stage, {p.name for p in folder.iterdir()})
        took = time.monotonic() - started
        facts = {**task.facts, "seconds": round(took, 2)}
        action = store.publish(stage.name, step.key, folder, inputs=digests, config=stage.slice(recipe), facts=facts)
    console.note(f"done in {seconds(took)}" + _facts(task.facts))
    return action


def _check(stage: Stage, made: set[str]) -> None:
    if made != set(stage.outputs):
        raise FtbuildError(f"the stage {stage.name!r} made {sorted(made)}, but declares {sorted(stage.outputs)}")


def _facts(facts: Mapping[str, object]) -> str:
    shown = [f"{v:,} {k.replace('_', ' ')}" for k, v in facts.items() if isinstance(v, int) and not isinstance(v, bool)]
    return ": " + ", ".join(shown) if shown else ""
