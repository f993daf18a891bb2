"""What the words of the command line do: one module a verb, or a few that belong together.

A verb of `VERBS` is given a build, and returns its exit code and the number that a sweep optimises: the share of probes
answered right.  Those of `WITHOUT_RECIPE` need no recipe and return an exit code.  A verb's docstring is its help.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ftbuild.verbs.ask import ask
from ftbuild.verbs.build import build, build_job, show_sweep
from ftbuild.verbs.clean_up import gc
from ftbuild.verbs.look import diff, show
from ftbuild.verbs.plan import plan
from ftbuild.verbs.recipes import recipes
from ftbuild.verbs.serve import serve

if TYPE_CHECKING:
    from ftbuild.cli import Arguments
    from ftbuild.config import Build
    from ftbuild.console import Console

VERBS: dict[str, Callable[[Build, Arguments, Console], tuple[int, float | None]]] = {"build": build, "plan": plan, "ask": ask}

WITHOUT_RECIPE: dict[str, Callable[[Arguments, Console], int]] = {
    "recipes": recipes,
    "show": show,
    "diff": diff,
    "gc": gc,
    "serve": serve,
}

__all__ = ["VERBS", "WITHOUT_RECIPE", "build_job", "show_sweep"]
