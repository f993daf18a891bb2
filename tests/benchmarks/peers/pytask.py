"""The six stages in pytask."""

from __future__ import annotations

import re

from tests.benchmarks.peers.tool import Peer, Plan

_HEAD = """\
from pathlib import Path
from typing import Annotated

from pytask import Product

from steps import run
"""

_TASK = """

def task_{stage}(source: Path = Path("{source}"), target: Annotated[Path, Product] = Path("{target}")) -> None:
    run("{stage}", source, target)
"""


class Pytask(Peer):
    """pytask, with a task a stage."""

    name, package, version = "pytask", "pytask", "0.6.0"

    def prepare(self) -> None:
        """Write the tasks."""
        super().prepare()
        tasks = [_TASK.format(stage=stage, source=source, target=target) for stage, source, target in self.stages]
        (self.folder / "task_stages.py").write_text(_HEAD + "".join(tasks), encoding="utf-8")
        (self.folder / "pyproject.toml").write_text('[tool.pytask.ini_options]\npaths = ["."]\n', encoding="utf-8")

    @property
    def command(self) -> list[str]:
        """`pytask`."""
        return ["pytask"]

    @property
    def environment(self) -> dict[str, str]:
        """The folder's own modules can be imported."""
        return {**super().environment, "PYTHONPATH": str(self.folder)}

    def plans(self) -> list[Plan]:
        """Ask `pytask --dry-run`."""
        told = self.call(["pytask", "--dry-run"]).text
        return [Plan("--dry-run", frozenset(re.findall(r"task_(\w+)\W+w\b", told)))]
