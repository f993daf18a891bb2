"""What a stage is: a pure function from its slice of the recipe and its input files to its output files.

A stage declares what it reads.  It is handed just that: asking for any other part of the recipe is an error, so that what a
stage's key covers is what the stage can see.

    @stage(reads=("clean",), inputs=("fetch/documents.jsonl",), outputs=("documents.jsonl",))
    def clean(task: Task) -> None: ...
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ftbuild.digest import part
from ftbuild.versions import versions

if TYPE_CHECKING:
    from ftbuild.console import Console
    from ftbuild.recipe import Recipe
    from ftbuild.services import Services
    from ftbuild.teacher import Request


@dataclass
class Task:
    """One run of a stage: its slice of the recipe, its input files, the folder to write to, and who helps."""

    recipe: Recipe
    key: str
    inputs: Mapping[str, Path]
    out: Path
    services: Services
    console: Console
    facts_before: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    forced: bool = False
    locked: Mapping[str, str] | None = None
    """The revisions that the lock file names, if the build is held to it."""

    def input(self, name: str) -> Path:
        """Return an input file, named as the stage declared it."""
        return self.inputs[name]


@dataclass(frozen=True)
class Stage:
    """A registered stage.  `version` goes up when the same inputs would give other outputs."""

    name: str
    run: Callable[[Task], None]
    reads: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    version: int
    packages: tuple[str, ...]
    besides: Callable[[Recipe], Mapping[str, str]]
    """What the outputs depend on besides the recipe and the inputs, by name: digests of prompts, texts, functions, models."""
    requests: Callable[[Task], Sequence[Request]] | None
    """The requests that a run would make, for a plan to count."""
    reproducible: bool
    """Whether another run gives the same outputs; training gives another model."""
    quick: Callable[[Recipe], bool]
    """Whether it takes no time and asks nobody, so that a plan may try what it would give."""
    trains: bool = False
    """Whether it has a model trained, which costs money as asking does."""
    sees: tuple[str, ...] = ()
    """Parts of the recipe that it may look at as well, and whose share in its identity `besides` tells."""

    @property
    def summary(self) -> str:
        """What the stage does, in one line."""
        return (self.run.__doc__ or "").partition("\n")[0]

    def slice(self, recipe: Recipe) -> dict[str, Any]:
        """Return the part of a recipe that this stage reads, as plain data without what has no part in its identity."""
        return {name: part(recipe, name) for name in self.reads}

    def depends(self, recipe: Recipe) -> dict[str, str]:
        """Return what else the outputs depend on: versions of packages, and digests of files."""
        return {**versions(*self.packages), **self.besides(recipe)}

    def view(self, recipe: Recipe) -> Recipe:
        """Return a recipe of which only what this stage declared can be read."""
        return cast("Recipe", _View(self.name, {name: getattr(recipe, name) for name in self.reads + self.sees}))


class _View:
    """A recipe that refuses to show what a stage did not declare."""

    def __init__(self, stage: str, shown: Mapping[str, Any]) -> None:
        self._stage, self._shown = stage, shown

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name not in self._shown:
            raise AttributeError(f"the stage {self._stage!r} reads {name!r} of the recipe, but does not declare it")
        return self._shown[name]


STAGES: dict[str, Stage] = {}
"""All stages by name, in the order in which they run."""


def _nothing(_: Recipe) -> Mapping[str, str]:
    return {}


def stage(
    *,
    reads: tuple[str, ...],
    inputs: tuple[str, ...] = (),
    outputs: tuple[str, ...],
    version: int = 1,
    packages: tuple[str, ...] = (),
    besides: Callable[[Recipe], Mapping[str, str]] = _nothing,
    requests: Callable[[Task], Sequence[Request]] | None = None,
    reproducible: bool = True,
    sees: tuple[str, ...] = (),
    quick: bool | Callable[[Recipe], bool] = False,
    trains: bool = False,
) -> Callable[[Callable[[Task], None]], Callable[[Task], None]]:
    """Register the decorated function as the stage of its name.

    `packages` are those whose version may change the outputs.
    """

    def register(function: Callable[[Task], None]) -> Callable[[Task], None]:
        is_quick = quick if callable(quick) else lambda _: bool(quick)
        STAGES[function.__name__] = Stage(
            function.__name__,
            function,
            reads,
            inputs,
            outputs,
            version,
            packages,
            besides,
            requests,
            reproducible,
            is_quick,
            trains,
            sees,
        )
        return function

    return register


def recipe_fields(recipe: type[Recipe]) -> set[str]:
    """Return the names of a recipe's parts, for a test that stages declare nothing else."""
    return {f.name for f in fields(recipe)}
