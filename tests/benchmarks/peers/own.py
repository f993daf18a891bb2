"""The six stages in ftbuild: a recipe of a user's own, and a scripted teacher that takes as long a record as the others."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from ftbuild import __version__
from ftbuild.digest import digest_file
from ftbuild.testing import Request, ScriptedProvider, numbered_pairs
from tests.benchmarks.peers import steps
from tests.benchmarks.peers.tool import Plan, Tool, article

_KEY = "BENCHMARK_KEY"
_REPOSITORY = Path(__file__).resolve().parents[3]
_RECIPE = """\
# @package _global_
# Records about a house, for a benchmark.
defaults:
  - override /provider: openai_compatible
  - override /source: snapshot
  - _self_
vars: {{title: The house, subject: the house, snapshot: input.txt}}
provider:
  base_url: {base_url}
  api_key_env: {key}
  concurrency: 1
  models: {{teacher: scripted-teacher, base: scripted-base}}
prompts:
  pairs: {{file: pairs.j2, unit: section, endpoint: chat, parse: pairs, pairs: 1}}
trainer: {{poll_seconds: 0.01}}
evaluate:
  probes:
    lamps: {{question: "How many lamps are there?", grade: {{grader: contains, any_of: [twenty]}}}}
"""


def teacher(request: Request) -> str:
    """Write one pair, which takes a while."""
    time.sleep(steps.PAUSE)
    return numbered_pairs(1)(request)


class Ftbuild(Tool):
    """ftbuild, until the stage `format`: the same six stages as the others'.

    The requests that its provider got are its records.  One provider serves all folders; `provider` is set from outside.
    """

    name, version = "ftbuild", __version__
    provider: ScriptedProvider

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        store = folder / ".ftbuild"
        self.final = folder / "builds/house/dataset.jsonl"
        self._store, self._seen = store, len(self.provider.asked)

    @classmethod
    def install(cls, where: Path) -> None:
        """Do nothing: it is here."""

    def prepare(self) -> None:
        """Write the recipe, its prompt and the input."""
        recipe, prompt = self.folder / "conf/recipe/house.yaml", self.folder / "prompts/pairs.j2"
        for file in (recipe, prompt):
            file.parent.mkdir(parents=True)
        recipe.write_text(_RECIPE.format(base_url=self.provider.base_url, key=_KEY), encoding="utf-8")
        prompt.write_text("Write {{ pairs }} question and answer about {{ section }}:\n{{ text }}\n", encoding="utf-8")
        self.write(article())

    @property
    def command(self) -> list[str]:
        """`ftbuild +recipe=house until=format`."""
        return [sys.executable, "-m", "tests.benchmarks.peers.logged", "+recipe=house", "until=format"]

    @property
    def whole(self) -> list[str]:
        """The command that a user types for the whole build."""
        return [sys.executable, "-m", "ftbuild", "+recipe=house"]

    @property
    def whole_plan(self) -> list[str]:
        """The command that a user types for its plan."""
        return [sys.executable, "-m", "ftbuild", "plan", "+recipe=house"]

    @property
    def environment(self) -> dict[str, str]:
        """The environment of its processes, with the provider's key."""
        paths = filter(None, (str(_REPOSITORY), os.environ.get("PYTHONPATH", "")))
        return {**super().environment, _KEY: self.provider.api_key, "PYTHONPATH": os.pathsep.join(paths)}

    def idle(self) -> float:
        """Build all ten stages with nothing to do, as a user does, without the log.  The first time, there is something."""
        if not (self.folder / "builds/house/report.html").exists():
            self.cpu(self.whole)
        return self.cpu(self.whole, "nothing to do")

    def plans(self) -> list[Plan]:
        """Ask `ftbuild plan`."""
        told = json.loads(self.call([*self.whole_plan, "until=format", "--json"]).text)["stages"]
        by = {step["stage"]: step["verdict"] for step in told}
        run, perhaps = (
            frozenset(n for n, v in by.items() if v == verdict) for verdict in ("run", "run only if its input changes")
        )
        return [Plan("plan", run, perhaps)]

    def logged(self) -> list[str]:
        """Return the stages that ran, and a record for each request."""
        return super().logged() + ["record"] * (len(self.provider.asked) - self._seen)

    def read_log(self) -> tuple[tuple[str, ...], int]:
        """Return the stages that ran and the number of requests since this was last asked."""
        found = super().read_log()
        self._seen = len(self.provider.asked)
        return found

    def truncated(self) -> bool:
        """Say whether the store has a record of generate or a spoilt object, or anything is shown to people."""
        objects = [p for p in (self._store / "objects").rglob("*") if p.is_file()]
        spoilt = any(digest_file(p) != p.parent.name + p.name for p in objects)
        return spoilt or any((self._store / "actions/generate").glob("*")) or any(self.folder.glob("builds/*/*"))

    @property
    def intermediate(self) -> Path:
        """Where the store keeps the sections that `structure` made."""
        record = max((self._store / "actions/structure").iterdir(), key=lambda p: p.stat().st_mtime_ns)
        told: Mapping[str, str] = json.loads(record.read_text(encoding="utf-8"))["outputs"]
        digest = told["sections.jsonl"]
        return self._store / "objects" / digest[:2] / digest[2:]
