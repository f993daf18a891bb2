"""ftbuild, with every stage telling the log of the benchmark when it begins: `python -m tests.benchmarks.peers.logged …`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import wraps

import ftbuild.stages  # noqa: F401 - registers the stages
from ftbuild.cli import main
from ftbuild.stage import STAGES, Task
from tests.benchmarks.peers.steps import log


def logged(name: str, run: Callable[[Task], None]) -> Callable[[Task], None]:
    """Return a stage's function that tells the log first."""

    @wraps(run)
    def told(task: Task) -> None:
        log(name)
        run(task)

    return told


if __name__ == "__main__":
    for stage in list(STAGES.values()):
        STAGES[stage.name] = replace(stage, run=logged(stage.name, stage.run))
    raise SystemExit(main())
