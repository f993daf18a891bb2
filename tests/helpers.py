"""What several tests share: where the repository lies, the shipped options, recipes as Hydra composes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from ftbuild.recipe import Recipe
from ftbuild.registries import RULES
from ftbuild.registry import Use

REPOSITORY = Path(__file__).resolve().parent.parent


def option(group: str, name: str) -> dict[str, Any]:
    """Return a shipped option file as plain data."""
    data = yaml.safe_load((REPOSITORY / "conf" / group / f"{name}.yaml").read_text(encoding="utf-8"))
    assert isinstance(data, dict)
    return data


def rules(name: str) -> dict[str, Use[str]]:
    """Return the rules of a shipped `clean` option, in their order."""
    declared = option("clean", name)["rules"]
    return {n: RULES.use(r["rule"], **{k: v for k, v in r.items() if k != "rule"}) for n, r in declared.items()}


def cleaned(text: str, name: str = "wikitext") -> str:
    """Return a text after all rules of a shipped `clean` option."""
    for rule in rules(name).values():
        text = rule(text)
    return text


def compose(*overrides: str) -> Recipe:
    """Return a recipe, composed and checked as on the command line: `compose("recipe=agrippina", "train.epochs=2")`."""
    from ftbuild import config

    made: list[Recipe] = []
    config.run_hydra(lambda cfg: made.append(config.recipe_from(cfg)), config.rewrite(overrides))
    return made[0]
