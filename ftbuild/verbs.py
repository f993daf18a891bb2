"""What the words of the command line do.  Each verb is a function; those in `VERBS` are given a build, the others need none.

A verb returns its exit code and the number that a sweep optimises, the share of probes answered right.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from ftbuild.console import Console, seconds
from ftbuild.errors import ConfigError
from ftbuild.store import read_json

if TYPE_CHECKING:
    from ftbuild.cli import Arguments
    from ftbuild.config import Build
    from ftbuild.store import Action

Ended = tuple[int, float | None]


def build(build: Build, arguments: Arguments, console: Console) -> Ended:
    """Build the recipe: run what has to run, and show what came out."""
    import time

    from ftbuild.execute import execute
    from ftbuild.plan import plan

    _no_words(arguments)
    started = time.monotonic()
    planned = plan(build.recipe, build.store)
    done = (
        {s.stage.name: s.action for s in planned.steps if s.action}
        if planned.fresh
        else execute(planned, build.recipe, build.store, console)
    )
    from ftbuild.views import publish

    changed = publish(build.folder, build.store, done)
    score = read_json(build.store.object(done["evaluate"].outputs["score.json"]))
    if console.as_json:
        console.json(_summary(build, done, score))
    elif planned.fresh and not changed:
        console.result(f"{build.recipe.name}: nothing to do ({_scored(score)}); see {build.folder / 'report.html'}")
    else:
        _show(build, done, score, console, time.monotonic() - started)
    return 0, score["after"]


def _show(build: Build, done: dict[str, Action], score: dict[str, float], console: Console, took: float) -> None:
    from ftbuild.records import read_jsonl

    before = list(read_jsonl(build.store.object(done["baseline"].outputs["answers.jsonl"])))
    after = list(read_jsonl(build.store.object(done["evaluate"].outputs["answers.jsonl"])))
    model = read_json(build.store.object(done["train"].outputs["model.json"]))
    rows = [
        (a["question"], _mark(b) + _short(b["answer"]), _mark(a) + _short(a["answer"]))
        for b, a in zip(before, after, strict=True)
    ]
    console.result()
    console.table("", ("Question", model["base_model"], "tuned"), rows, styles=("", "dim", ""))
    console.result()
    folder = build.folder
    console.result(f"{build.recipe.name}: {_scored(score)}, in {seconds(took)}")
    console.result(f"  dataset  {folder / 'dataset.jsonl'}  ({done['format'].facts['rows']} rows)")
    console.result(f"  model    {model['model']}")
    console.result(f"  report   {folder / 'report.html'}")
    question = next(iter(build.recipe.evaluate.probes.values())).question if build.recipe.evaluate.probes else "…"
    console.result(f'  ask it   ftbuild ask +recipe={build.recipe.name} "{question}"')


def _mark(answer: dict[str, object]) -> str:
    return "✓ " if answer["right"] else "✗ "


def _short(text: str, most: int = 160) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1] + "…"


def _scored(score: dict[str, float]) -> str:
    if not score["questions"]:
        return "no probes"
    before, after = (f"{score[k]:.0%}" for k in ("before", "after"))
    return f"{after} of {score['questions']} probes right, {before} before tuning"


def _summary(build: Build, done: dict[str, Action], score: dict[str, float]) -> dict[str, object]:
    return {
        "recipe": build.recipe.name,
        "folder": str(build.folder),
        "score": score,
        "model": read_json(build.store.object(done["train"].outputs["model.json"])),
        "stages": {name: {"key": a.key, "outputs": a.outputs, "facts": a.facts} for name, a in done.items()},
    }


def plan_(build: Build, arguments: Arguments, console: Console) -> Ended:
    """Show what would run, without touching anything."""
    from ftbuild.plan import plan

    _no_words(arguments)
    steps = plan(build.recipe, build.store).steps
    if console.as_json:
        console.json([{"stage": s.stage.name, "verdict": s.verdict.value, "key": s.key} for s in steps])
    else:
        console.table(
            "", ("Stage", "Verdict", "What it does"), [(s.stage.name, s.verdict.value, s.stage.summary) for s in steps]
        )
    return 0, None


def ask(build: Build, arguments: Arguments, console: Console) -> Ended:
    """Ask the tuned model a question, or talk to it line by line."""
    from ftbuild.plan import plan
    from ftbuild.talk import Talk

    action = next(s.action for s in plan(build.recipe, build.store).steps if s.stage.name == "train")
    if action is None:
        raise ConfigError(
            f"the recipe {build.recipe.name!r} has no tuned model yet, or was changed since it was built",
            hint=f"build it first: ftbuild +recipe={build.recipe.name}",
        )
    model = read_json(build.store.object(action.outputs["model.json"]))["model"]
    with Talk(build.recipe, build.store, model, console) as talk:
        if arguments.words:
            question = " ".join(arguments.words)
            answer = talk.ask(question)
            console.json({"question": question, "answer": answer, "model": model}) if console.as_json else console.result(
                answer
            )
        else:
            talk.converse(sys.stdin)
    return 0, None


def recipes(_: Arguments, console: Console) -> int:
    """List the recipes, the user's and ours."""
    from ftbuild import config

    found = config.described_recipes()
    if console.as_json:
        console.json([{"name": n, "file": f, "summary": s} for n, f, s in found])
    else:
        console.table("", ("Recipe", "What it makes", "File"), [(n, s, f) for n, f, s in found], styles=("bold", "", "dim"))
        console.result()
        console.result("Build one with  ftbuild +recipe=NAME")
    return 0


def _no_words(arguments: Arguments) -> None:
    if arguments.words:
        raise ConfigError(
            f"{arguments.words[0]!r} is neither an override nor a verb",
            hint="overrides look like key=value, a verb stands first",
        )


VERBS: dict[str, Callable[[Build, Arguments, Console], Ended]] = {"build": build, "plan": plan_, "ask": ask}
"""Verbs that work on a recipe."""

WITHOUT_RECIPE: dict[str, Callable[[Arguments, Console], int]] = {"recipes": recipes}
"""Verbs that need none."""
