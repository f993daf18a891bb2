"""What would run, and why: the plan of a build, computed without touching anything.

In: a recipe and a store.  Out: a `Plan`, one step a stage.  The plan that is shown is the plan that is executed: a step whose
inputs are not known yet, because a stage before it has to run, is planned again by the executor when they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from ftbuild.digest import digest
from ftbuild.stage import STAGES, Stage
from ftbuild.store import Action, Store

if TYPE_CHECKING:
    from ftbuild.recipe import Recipe


class Verdict(Enum):
    """What is to be done about a stage."""

    FRESH = "fresh"
    RUN = "run"
    MAYBE = "run only if its inputs change"


@dataclass(frozen=True)
class Step:
    """One stage of a plan: its verdict, and the key and the record if they are known."""

    stage: Stage
    verdict: Verdict
    key: str = ""
    action: Action | None = None


@dataclass(frozen=True)
class Plan:
    """All steps of a build in order."""

    steps: tuple[Step, ...]

    @property
    def fresh(self) -> bool:
        """Whether there is nothing to do."""
        return all(step.verdict is Verdict.FRESH for step in self.steps)


def key_of(stage: Stage, recipe: Recipe, inputs: Mapping[str, str]) -> str:
    """Return the key of a stage: a digest of its name, version, slice of the recipe, files and input digests.

    `inputs` maps what the stage declares (`clean/documents.jsonl`) to digests.
    """
    return digest(["stage", stage.name, stage.version, stage.slice(recipe), dict(stage.files(recipe)), dict(inputs)])


def inputs_of(stage: Stage, done: Mapping[str, Action]) -> dict[str, str] | None:
    """Return the digests of a stage's inputs, or None if a stage before it has yet to run."""
    digests = {}
    for name in stage.inputs:
        before, _, file = name.partition("/")
        if before not in done:
            return None
        digests[name] = done[before].outputs[file]
    return digests


def step_of(stage: Stage, recipe: Recipe, store: Store, done: Mapping[str, Action]) -> Step:
    """Plan one stage, given the records of the stages before it."""
    inputs = inputs_of(stage, done)
    if inputs is None:
        return Step(stage, Verdict.MAYBE)
    key = key_of(stage, recipe, inputs)
    action = store.find(stage.name, key)
    return Step(stage, Verdict.FRESH if action else Verdict.RUN, key, action)


def plan(recipe: Recipe, store: Store) -> Plan:
    """Return the plan of a build."""
    import ftbuild.stages  # noqa: F401 - registers the stages

    done: dict[str, Action] = {}
    steps = []
    for stage in STAGES.values():
        step = step_of(stage, recipe, store, done)
        if step.action is not None:
            done[stage.name] = step.action
        steps.append(step)
    return Plan(tuple(steps))
