"""Run the steps of a plan that have to run, and publish what they make.

In: a plan.  Out: the records of all its stages.  A stage works in a folder aside; what it made becomes visible all at once,
when it is done.  What is stopped in the middle leaves nothing behind but the replies and the job ids that it paid for.

Whoever is at work on a key holds its lock; another build that wants the same waits, and takes the result.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftbuild.accounts import Account
from ftbuild.budget import Spending
from ftbuild.console import Console, seconds
from ftbuild.digest import digest_file
from ftbuild.errors import FtbuildError, Interrupted
from ftbuild.options import Options
from ftbuild.plan import Last, Plan, Step, Verdict, inputs_of, plan
from ftbuild.reasons import Why
from ftbuild.services import Services
from ftbuild.stage import STAGES, Stage, Task
from ftbuild.store import Action, Store

if TYPE_CHECKING:
    from ftbuild.lockfile import Pinned
    from ftbuild.recipe import Recipe


@dataclass
class Execution:
    """One build while it runs.  `done` holds the records of finished stages, `ran` the names of those that were run here."""

    recipe: Recipe
    store: Store
    last: Last
    options: Options
    console: Console
    services: Services
    pinned: Pinned | None = None
    account: Account | None = None
    done: dict[str, Action] = field(default_factory=dict)
    ran: list[str] = field(default_factory=list)

    def take(self, planned: Step) -> None:
        """Bring one step of the plan to its end."""
        step = planned if planned.key else self.again(planned.stage)
        if self.pinned:
            self.pinned.check(step)
        if step.verdict is Verdict.RUN:
            self._quote(step)
            self.done[step.stage.name] = self._alone(step)
        else:
            assert step.action is not None
            self.done[step.stage.name] = step.action

    def again(self, stage: Stage) -> Step:
        """Plan a stage again, now that more is known of what it is given, together with all that is left."""
        steps = plan(self.recipe, self.store, self.last, self.options, self.done).steps
        return next(step for step in steps if step.stage is stage)

    def _quote(self, step: Step) -> None:
        """Before the first stage that asks or trains, write down what all that is left is expected to take."""
        if self.account is None or self.account.quotes is not None or not (step.stage.requests or step.stage.trains):
            return
        from ftbuild.quote import Known, quotes
        from ftbuild.replies import Replies

        left = plan(self.recipe, self.store, self.last, self.options, self.done).steps
        known = Known(self.recipe, self.store, Replies(self.store), self.done, self.last)
        self.account.quoted(quotes(known, left), self.console)

    def _alone(self, step: Step) -> Action:
        """Run a step while nobody else does, or take what somebody else made of it meanwhile."""
        name = step.stage.name

        def waiting() -> None:
            self.console.heading(name, step.stage.summary)
            self.console.note("another build is at this already; waiting for its result")

        with self.store.locks.hold(f"{name} {step.key}", patience=self.options.lock_timeout, waiting=waiting):
            made = self.store.find(name, step.key)  # somebody may have made it since the plan was, waited for or not
            forced = name in self.options.force and made == step.action
            if made and not forced and not self.store.lacks(made):
                return made
            return self.run(step)

    def run(self, step: Step) -> Action:
        """Run a step and publish its outputs."""
        stage = step.stage
        self.console.heading(stage.name, stage.summary)
        for reason in step.reasons:
            if reason.why is not Why.FIRST:
                self.console.note(f"because: {reason}")
        started = time.monotonic()
        with self.store.workspace() as folder:
            if self.account:
                self.account.begin(stage.name, step.key)
            facts = self.work(stage, step.key, folder)
            if self.account:
                facts = {**facts, **self.account.facts(stage.name, step.key)}
            took = time.monotonic() - started
            action = self.store.publish(
                stage.name,
                step.key,
                folder,
                inputs=inputs_of(stage, self.done) or {},
                config=stage.slice(self.recipe),
                depends=stage.depends(self.recipe),
                version=stage.version,
                facts={**facts, "seconds": round(took, 2)},
            )
        if self.pinned:
            self.pinned.made(action)
        self.ran.append(stage.name)
        self.console.note(f"done in {seconds(took)}" + _told(facts))
        return action

    def work(self, stage: Stage, key: str, folder: Path, held: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Have a stage put its outputs into a folder, and return its facts.

        `held` are the revisions that it is to keep to; unless told, those that the lock file names, if the build is held to it.
        """
        inputs = {name: self.store.sound(d) for name, d in (inputs_of(stage, self.done) or {}).items()}
        earlier = takewhile(lambda name: name != stage.name, STAGES)
        before = {name: self.done[name].facts for name in earlier if name in self.done}
        forced = stage.name in self.options.force
        locked = self.pinned.revisions(stage.name) if self.pinned and held is None else held
        task = Task(
            stage.view(self.recipe), key, inputs, folder, self.services, self.console, before, forced=forced, locked=locked
        )
        try:
            stage.run(task)
        except OSError as error:
            where = error.filename or self.store.root
            raise FtbuildError(f"{stage.name}: {error.strerror or error}: {where}", hint="is the disk full?") from error
        made = {p.name for p in folder.iterdir()}
        if made != set(stage.outputs):
            raise FtbuildError(f"the stage {stage.name!r} made {sorted(made)}, but declares {sorted(stage.outputs)}")
        return task.facts


def execute(
    plan: Plan,
    recipe: Recipe,
    store: Store,
    console: Console,
    *,
    options: Options | None = None,
    last: Last | None = None,
    pinned: Pinned | None = None,
    spending: Spending | None = None,
) -> Execution:
    """Run what has to run, in order.  Interrupted on Ctrl-C, BudgetError where going on would pass a limit of `spending`."""
    options, spending = options or Options(), spending or Spending(recipe.budget)
    account = Account(store, recipe.name, spending)
    with Services(store, console, options, spending) as services, _accounted(account, spending) as outcome:
        execution = Execution(recipe, store, last or Last(), options, console, services, pinned, account)
        for planned in plan.steps:
            try:
                execution.take(planned)
            except KeyboardInterrupt:
                raise Interrupted(
                    f"stopped during {planned.stage.name}",
                    hint="what is finished is kept; the same command goes on from here",
                ) from None
            outcome.extend(execution.ran[-1:])
        if options.check == "rebuild":
            _check(plan, execution)
    return execution


@contextlib.contextmanager
def _accounted(account: Account, spending: Spending) -> Iterator[list[str]]:
    """Yield a list for the names of the stages that are finished; write down at the end what was spent, however it ends."""
    finished: list[str] = []
    outcome = "stopped"
    try:
        yield finished
        outcome = "done"
    except FtbuildError as error:
        outcome = f"{type(error).__name__}: {error.message}"
        raise
    finally:
        spending.close()
        with contextlib.suppress(*(() if outcome == "done" else (FtbuildError,))):  # what went wrong first is told
            account.save(outcome, tuple(finished))


def _check(plan: Plan, execution: Execution) -> None:
    """Run every stage of a build a second time and compare.  FtbuildError names what differs.

    Training is run again only if it is forced: another run is another job, and another model.
    """
    store, console, differing = execution.store, execution.console, []
    for stage, before in ((s.stage, execution.done[s.stage.name]) for s in plan.steps):
        if not stage.reproducible and stage.name not in execution.options.force:
            continue
        console.heading(stage.name, "Once more, to compare.")
        with store.workspace() as folder:
            execution.work(stage, before.key, folder, before.facts.get("revisions"))
            for name, was in before.outputs.items():
                if digest_file(folder / name) != was:
                    differing.append(f"{stage.name}/{name}: {_difference(store.sound(was), folder / name)}")
    if differing:
        raise FtbuildError("check=rebuild: not the same when made again: " + "; ".join(differing))
    console.note("check=rebuild: everything is the same when made again")


def _difference(one: Path, other: Path) -> str:
    """Return the first line in which two texts differ."""
    lines = [path.read_text(encoding="utf-8", errors="replace").splitlines() for path in (one, other)]
    for number, (old, new) in enumerate(zip(*lines, strict=False), start=1):
        if old != new:
            return f"line {number} was {old[:80]!r} and is {new[:80]!r}"
    return f"{len(lines[0])} lines before, {len(lines[1])} now"


def _told(facts: Mapping[str, object]) -> str:
    numbers = {k.replace("_", " "): v for k, v in facts.items() if isinstance(v, int) and not isinstance(v, bool)}
    shown = [f"{v:,} {k.removesuffix('s') if v == 1 else k}" for k, v in numbers.items()]
    return ": " + ", ".join(shown) if shown else ""
