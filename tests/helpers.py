"""What several tests share: where the repository lies, the shipped options, recipes as Hydra composes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import yaml

from ftbuild.cleaned import Cleaned
from ftbuild.console import Console
from ftbuild.recipe import Recipe
from ftbuild.records import read_jsonl, write_jsonl
from ftbuild.registries import RULES
from ftbuild.registry import Use
from ftbuild.services import Services
from ftbuild.stage import STAGES, Task
from ftbuild.store import Store

REPOSITORY = Path(__file__).resolve().parent.parent


def option(group: str, name: str) -> dict[str, Any]:
    """Return a shipped option file as plain data."""
    data = yaml.safe_load((REPOSITORY / "conf" / group / f"{name}.yaml").read_text(encoding="utf-8"))
    assert isinstance(data, dict)
    return data


def rules(name: str) -> dict[str, Use[str]]:
    """Return the rules of a shipped `clean` option, in their order."""
    declared = option("clean", name)["rules"]
    params = {n: {k: "en" if v == "${language.name}" else v for k, v in r.items() if k != "rule"} for n, r in declared.items()}
    return {n: RULES.use(r["rule"], **params[n]) for n, r in declared.items()}


def cleaned(text: str, name: str = "wikitext") -> str:
    """Return a text after all rules of a shipped `clean` option."""
    for rule in rules(name).values():
        made = rule(text)
        text = made.text if isinstance(made, Cleaned) else made
    return text


def compose(*overrides: str) -> Recipe:
    """Return a recipe, composed and checked as on the command line: `compose("recipe=agrippina", "train.epochs=2")`."""
    from ftbuild import composing, config

    made: list[Recipe] = []
    composing.run_hydra(lambda cfg: made.append(config.recipe_from(cfg)), config.rewrite(overrides))
    return made[0]


def run_stage(
    name: str, folder: Path, parts: Mapping[str, Any], inputs: Mapping[str, Iterable[Any]]
) -> tuple[dict[str, list[dict[str, Any]]], dict[str, Any]]:
    """Run one stage over records, and return the records that it puts out by file, and its facts."""
    import ftbuild.stages  # noqa: F401 - registers the stages

    stage, console = STAGES[name], Console(quiet=True)
    assert set(inputs) == set(stage.inputs)
    files = {file: folder / file.replace("/", "-") for file in inputs}
    folder.mkdir(exist_ok=True)
    for file, records in inputs.items():
        write_jsonl(files[file], records)
    out = folder / "out"
    out.mkdir()
    recipe = stage.view(cast("Recipe", SimpleNamespace(**parts)))
    task = Task(recipe, "key", files, out, Services(Store(folder / "store"), console), console)
    stage.run(task)
    return {file: list(read_jsonl(out / file)) for file in stage.outputs if "json" in file}, task.facts
