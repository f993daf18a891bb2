"""`ftbuild ask`: a question to the model that was just built."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ftbuild.errors import ConfigError

if TYPE_CHECKING:
    from ftbuild.cli import Arguments
    from ftbuild.config import Build
    from ftbuild.console import Console


def ask(build: Build, arguments: Arguments, console: Console) -> tuple[int, float | None]:
    """Ask the tuned model a question, in the words of its training rows; without a question, talk to it line by line.

    ftbuild ask +recipe=NAME "QUESTION" [--json]
    """
    from ftbuild.deploying import chosen
    from ftbuild.plan import plan
    from ftbuild.store import read_json
    from ftbuild.talk import Talk

    if console.as_json and not arguments.words:
        raise ConfigError("--json needs a question", hint='ftbuild ask +recipe=NAME "QUESTION" --json')
    action = plan(build.recipe, build.store).done.get("train")
    if action is None:
        raise ConfigError(
            f"the recipe {build.recipe.name!r} has no tuned model yet, or was changed since it was built",
            hint=f"build it first: ftbuild +recipe={build.recipe.name}",
        )
    model = chosen(read_json(build.store.sound(action.outputs["model.json"])), build.recipe.train.checkpoint)
    with Talk(build.recipe, build.store, model, console) as talk:
        if not arguments.words:
            talk.converse(sys.stdin)
            return 0, None
        question = " ".join(arguments.words)
        answer = talk.ask(question)
        if console.as_json:
            console.json({"question": question, "answer": answer, "model": model})
        else:
            console.result(answer)
    return 0, None
