"""What would run, and why: the plan of a build, computed without touching anything.

In: a recipe, a store, and the records of the last build.  Out: a `Plan`, one step a stage, each with its verdict and its
reasons.  The plan that is shown is the plan that is executed: a step whose inputs are not known yet, because a stage before
it has to run, is planned again by the executor, with the same function, when they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

from ftbuild.digest import digest
from ftbuild.errors import ConfigError
from ftbuild.options import Options
from ftbuild.reasons import Reason, Why, reasons
from ftbuild.schema import nearest
from ftbuild.stage import STAGES, Stage
from ftbuild.store import Action, Store

if TYPE_CHECKING:
    from ftbuild.recipe import Recipe


class Verdict(Enum):
    """What is to be done about a stage."""

    FRESH = "fresh"
    RESTORE = "restore"
    RUN = "run"
    MAYBE = "run only if its input changes"


@dataclass(frozen=True)
class Step:
    """One stage of a plan: its verdict and the reasons for it, and the key and the record if they are known.

    `missing` names outputs that are recorded but not in the store any more.
    """

    stage: Stage
    verdict: Verdict
    key: str = ""
    action: Action | None = None
    reasons: tuple[Reason, ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """All steps of a build in order."""

    steps: tuple[Step, ...]

    @property
    def fresh(self) -> bool:
        """Whether everything was made before and nothing has to run."""
        return all(step.verdict in (Verdict.FRESH, Verdict.RESTORE) for step in self.steps)

    @property
    def done(self) -> dict[str, Action]:
        """The records of the stages that need not run, by name."""
        return {s.stage.name: s.action for s in self.steps if s.action and s.verdict in (Verdict.FRESH, Verdict.RESTORE)}


@dataclass(frozen=True)
class Last:
    """What is known of the last build of the same name: its records by stage, and what is wrong with its readable results.

    `shown` maps each stage to those of its outputs that people are shown, `spoiled` to those that are not as it left them.
    """

    actions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    shown: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    spoiled: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def key_of(stage: Stage, recipe: Recipe, inputs: Mapping[str, str]) -> str:
    """Return the key of a stage: a digest of its name and version, its slice of the recipe, what else it reads, its inputs.

    `inputs` maps what the stage declares (`clean/documents.jsonl`) to digests.
    """
    return digest(["stage", stage.name, stage.version, stage.slice(recipe), stage.depends(recipe), dict(inputs)])


def inputs_of(stage: Stage, done: Mapping[str, Action]) -> dict[str, str] | None:
    """Return the digests of a stage's inputs, or None if a stage before it has yet to run."""
    digests = {}
    for name in stage.inputs:
        before, _, file = name.partition("/")
        if before not in done:
            return None
        digests[name] = done[before].outputs[file]
    return digests


def step_of(stage: Stage, recipe: Recipe, store: Store, done: Mapping[str, Action], last: Last, options: Options) -> Step:
    """Plan one stage, given the records of the stages before it."""
    inputs = inputs_of(stage, done)
    if inputs is None:
        return Step(stage, Verdict.MAYBE)
    key = key_of(stage, recipe, inputs)
    action = store.find(stage.name, key)
    before = last.actions.get(stage.name)
    changed = reasons(stage, stage.slice(recipe), stage.depends(recipe), inputs, before)
    if stage.name in options.force:
        return Step(stage, Verdict.RUN, key, action, (Reason(Why.FORCED),))
    if action is None:
        return Step(stage, Verdict.RUN, key, None, changed or (Reason(Why.LOST),))
    spoiled = tuple(Reason(Why.SPOILED, name) for name in last.spoiled.get(stage.name, ()))
    verdict = Verdict.FRESH if before and before.get("key") == key and not spoiled else Verdict.RESTORE
    return Step(stage, verdict, key, action, spoiled or changed, tuple(store.lacks(action)))


def wanted(until: str | None) -> list[Stage]:
    """Return the stages of a build in order: all of them, or `until` and what it rests on.  ConfigError for a stranger."""
    import ftbuild.stages  # noqa: F401 - registers the stages

    if until is None:
        return list(STAGES.values())
    known(("until", until))
    needed = {until}
    for stage in reversed(STAGES.values()):
        if stage.name in needed:
            needed |= {name.partition("/")[0] for name in stage.inputs}
    return [stage for stage in STAGES.values() if stage.name in needed]


def known(*named: tuple[str, str]) -> None:
    """Check names of stages, each given with the option that names it.  ConfigError for one that there is not."""
    import ftbuild.stages  # noqa: F401 - registers the stages

    wrong = [
        f"{option} (command line): there is no stage {n!r}; {nearest(n, STAGES)}" for option, n in named if n not in STAGES
    ]
    if wrong:
        raise ConfigError(*wrong)


def plan(
    recipe: Recipe,
    store: Store,
    last: Last | None = None,
    options: Options | None = None,
    finished: Mapping[str, Action] | None = None,
) -> Plan:
    """Return the plan of a build, or of what is left of it once the stages whose records are `finished` are done."""
    last, options, finished = last or Last(), options or Options(), finished or {}
    stages = wanted(options.until)
    known(*(("force", name) for name in options.force))
    done = dict(finished)
    steps = []
    for stage in (stage for stage in stages if stage.name not in finished):
        step = step_of(stage, recipe, store, done, last, options)
        if step.action is not None and step.verdict is not Verdict.RUN:
            done[stage.name] = step.action
        steps.append(step)
    return Plan(tuple(_whole(steps, last, everything=options.check is not None)))


def _whole(steps: Iterable[Step], last: Last, *, everything: bool) -> list[Step]:
    """Run again what lost an output that somebody needs.  An output that nobody reads may be gone: its digest is enough.

    `everything` is read where all of it is to be made a second time, to be compared.
    """
    read: set[str] = set()
    lost: set[str] = set()
    planned = []
    for step in reversed(list(steps)):
        name = step.stage.name
        shown = {f"{name}/{output}" for output in last.shown.get(name, ()) if _to_show(step, output, last)}
        gone = [output for output in step.missing if everything or f"{name}/{output}" in read | shown]
        if gone and step.verdict is not Verdict.RUN:
            lost.add(name)
            why = tuple(Reason(Why.MISSING, output) for output in gone)
            planned.append(replace(step, verdict=Verdict.RUN, reasons=why))
        else:
            planned.append(step)
        if planned[-1].verdict in (Verdict.RUN, Verdict.MAYBE):
            read |= set(step.stage.inputs)
    return [_after(step, lost) for step in reversed(planned)]


def _to_show(step: Step, name: str, last: Last) -> bool:
    """Say whether an output has to be copied to where people look for it."""
    return step.verdict is Verdict.RESTORE or name in last.spoiled.get(step.stage.name, ())


def _after(step: Step, lost: set[str]) -> Step:
    """Leave open what follows a stage that has to make its outputs again: they will most likely be the same."""
    follows = any(name.partition("/")[0] in lost for name in step.stage.inputs)
    if not follows:
        return step
    lost.add(step.stage.name)
    if step.verdict is Verdict.RUN:
        return replace(step, key="")  # what it will be given is not known for certain any more
    return Step(step.stage, Verdict.MAYBE)
