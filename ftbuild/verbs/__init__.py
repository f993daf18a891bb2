"""What the words of the command line do: one module a verb, or a few that belong together, imported when it is called for.

A verb of `VERBS` is given a build, and returns its exit code and the number that a sweep optimises: the share of probes
answered right.  Those of `WITHOUT_RECIPE` need no recipe and return an exit code.  A verb's docstring is its help.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

VERBS = {"build": "build", "plan": "plan", "ask": "ask"}
"""Verbs that work on a recipe, with the modules of this package that they live in."""

WITHOUT_RECIPE = {"recipes": "recipes", "new": "new", "show": "look", "diff": "look", "gc": "clean_up", "serve": "serve"}
"""Verbs that need none."""


def verb(name: str) -> Callable[..., Any]:
    """Return the function of a verb.  KeyError if there is none."""
    module = import_module(f"{__name__}.{ {**VERBS, **WITHOUT_RECIPE}[name] }")
    return getattr(module, name)  # type: ignore[no-any-return]
