"""What the words of the command line do: one module a verb, or a few that belong together, imported when it is called for.

A verb of `VERBS` is given a build, and returns its exit code and the number that a sweep optimises: the share of probes
answered right.  Those of `WITHOUT_RECIPE` need no recipe and return an exit code.  Those of `EITHER` do one thing with a
recipe, in the function `of_recipe`, and another without.  A verb's docstring is its help.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

VERBS = {"build": "build", "plan": "plan", "ask": "ask", "clean": "clean", "export": "export"}
"""Verbs that work on a recipe, with the modules of this package that they live in."""

WITHOUT_RECIPE = {"recipes": "recipes", "new": "new", "show": "look", "diff": "look", "gc": "clean_up", "serve": "serve"}
"""Verbs that need none."""


EITHER = {"check": "check"}
"""Verbs that work on a recipe, or on something else where the command line names none."""

OPTIONS: dict[str, dict[str, bool]] = {
    "check": {"--fix": False, "--model": True},
    "clean": {"--diff": False, "--document": True},
    "export": {"--to": True},
    "new": {"--from": True},
}
"""Flags that single verbs know, and whether they take a value."""


def verb(name: str, *, of_recipe: bool = False) -> Callable[..., Any]:
    """Return the function of a verb, or what it does with a recipe.  KeyError if there is none."""
    module = import_module(f"{__name__}.{ {**VERBS, **WITHOUT_RECIPE, **EITHER}[name] }")
    return getattr(module, "of_recipe" if of_recipe and name in EITHER else name)  # type: ignore[no-any-return]
