"""One build from beginning to end: plan it, run what has to run, bring the readable results and the lock file up to date.

In: a `Build`.  Out: `Made`, what came of it.  Nothing here prints but what the stages say themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ftbuild import lockfile, memo, views
from ftbuild.errors import ConfigError
from ftbuild.plan import Last, Plan, Verdict, plan

if TYPE_CHECKING:
    from ftbuild.config import Build
    from ftbuild.console import Console
    from ftbuild.store import Action

IN_USE = "the store is in use"
"""What every build shares the lock on, and whoever throws things away holds alone."""


@dataclass(frozen=True)
class Made:
    """A finished build: its plan, the records of its stages, which of them ran, and its manifest if anything was done."""

    plan: Plan
    done: Mapping[str, Action]
    ran: tuple[str, ...] = ()
    manifest: Mapping[str, Any] | None = None

    @property
    def score(self) -> float | None:
        """The share of probes answered right after tuning, if there are probes and they were asked."""
        return self.done["evaluate"].facts.get("after") if "evaluate" in self.done else None


def make(build: Build, console: Console) -> Made:
    """Build a recipe.  Raises FtbuildError for whatever goes wrong; what was finished before is kept."""
    began, ran, paid = datetime.now(UTC), list[str](), dict[str, dict[str, Any]]()
    pinned = lockfile.pinned(build.lock, build.recipe.name, locked=build.options.locked)
    last = views.last(build.folder)
    planned = plan(build.recipe, build.store, last, build.options)
    if pinned:
        pinned.check_all(planned.steps, build.store)
    if why := untrainable(build, planned):
        raise ConfigError(why, hint="until=format builds just the rows")
    _check_key(build, planned, last, console)
    if planned.fresh and not build.options.check:
        if all(step.verdict is Verdict.FRESH for step in planned.steps):
            return _kept(build, Made(planned, planned.done))
        done = planned.done
    with ExitStack() as stack:
        if not planned.fresh or build.options.check:
            from ftbuild.budget import Spending
            from ftbuild.execute import execute
            from ftbuild.sweep import PURSE

            stack.enter_context(build.store.locks.share(IN_USE, patience=build.options.lock_timeout))
            spending = Spending(build.recipe.budget, sweep=build.folder.parent / PURSE if build.job else None)
            execution = execute(
                planned, build.recipe, build.store, console,
                options=build.options, last=last, pinned=pinned, spending=spending,
            )  # fmt: skip
            done, ran = execution.done, execution.ran
            paid = {stage: asdict(tally) for stage, tally in spending.tallies.items()}
        from ftbuild.lineage import manifest, remember

        told = manifest(
            build.recipe, done,
            ran=ran, overrides=build.composed.overrides, began=began, before=last.actions, paid=paid,
        )  # fmt: skip
        views.publish(build.folder, build.store, done, told)
        remember(build.store, told, folder=build.folder, lock=build.lock)
        if build.memo:
            memo.remember(build.store.root, build.memo, build.composed)
        return _kept(build, Made(planned, done, tuple(ran), told))


def untrainable(build: Build, planned: Plan) -> str:
    """Return why the trainer could never do what a plan wants of it, which is better known before a teacher is paid."""
    trains = any(step.stage.trains and step.verdict in (Verdict.RUN, Verdict.MAYBE) for step in planned.steps)
    return build.recipe.untrainable if trains else ""


def _check_key(build: Build, planned: Plan, last: Last, console: Console) -> None:
    """End a build that will have to train, before a teacher is paid, if the key for that is not there.

    Where it was trained before, it may turn out that there is nothing to train: then it is only said.
    """
    teacher, provider = build.recipe.teacher, build.recipe.trainer.provider
    will_run = [step.stage for step in planned.steps if step.verdict in (Verdict.RUN, Verdict.MAYBE)]
    asks = any(template.size in (teacher.size, "any") for template in build.recipe.prompts.values())
    if not (asks and {"generate", "train"} <= {stage.name for stage in will_run}):
        return
    from ftbuild.providers.connecting import key_of

    try:
        key_of(provider)
    except ConfigError as error:
        if "train" not in last.actions:
            raise ConfigError(error.message, hint=f"{error.hint}; until=format builds just the rows") from error
        console.warn(f"{error.message}; if the rows change, the build will end before it trains")


def _kept(build: Build, made: Made) -> Made:
    """Bring the lock file up to date, unless it may not change."""
    if build.lock and not build.options.locked:
        lockfile.write(build.lock, build.store, build.recipe.name, made.done)
    return made
