"""The real bundled model, end to end on a small text: stopped with Ctrl-C while it trains, finished, and asked."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

STORY = """\
== Story ==
Anna finds an old map in the attic. Anna shows the map to Ben. Ben doubts the map. Anna packs a lamp for the journey.
Anna and Ben walk to the lighthouse. The keeper opens the door. The keeper reads the map. Ben digs beside the pear tree.
Ben finds a silver spoon. Anna gives the spoon to the keeper. The keeper thanks Anna. Ben eats an apple on the stairs.
"""
RECIPE = """\
# @package _global_
# A story of twelve sentences.
defaults:
  - override /clean: none
  - override /kinds: article
  - _self_
source:
  story: {source: file, path: story.txt, title: The map}
train: {epochs: 3, batch_size: 8, suffix: story}
evaluate:
  probes:
    spoon: {question: "Who gets the spoon from Anna?", grade: {grader: contains, any_of: [keeper], max_words: 20}}
    door: {question: "Who lets them in?", grade: {grader: contains, any_of: [keeper], max_words: 20}}
  max_tokens: 24
"""
PATIENCE = 1200.0  # seconds; for a busy machine, not for a slow build


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str
    seconds: float


@dataclass(frozen=True)
class Left:
    """What an interrupted build left behind."""

    results: bool
    checkpoints: list[int]
    in_progress: list[str]
    processes: list[str]


@dataclass(frozen=True)
class Story:
    """The directory in which the story is built, and what happened there."""

    home: Path
    stopped: Ran
    left: Left
    built: Ran

    @property
    def results(self) -> Path:
        """The folder of results."""
        return self.home / "builds/story"


def start(home: Path, *argv: str) -> subprocess.Popen[str]:
    """Start ftbuild in a process group of its own, as a shell does, and with Ctrl-C in force even where it is not for us."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "ftbuild", *argv],
            cwd=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
    finally:
        signal.signal(signal.SIGINT, before)


def finish(process: subprocess.Popen[str], since: float) -> Ran:
    out, err = process.communicate(timeout=PATIENCE)
    return Ran(process.returncode, out, err, time.monotonic() - since)


def run(home: Path, *argv: str) -> Ran:
    since = time.monotonic()
    with start(home, *argv) as process:
        return finish(process, since)


def steps_told(home: Path) -> int:
    """Return how many training steps were taken so far."""
    files = list((home / ".ftbuild/local/jobs").glob("*/metrics.jsonl"))
    return sum(len(f.read_text().splitlines()) for f in files)


def processes(home: Path) -> list[str]:
    listed = subprocess.run(["ps", "-ww", "-eo", "stat=,args="], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if f"{home}/" in line and "ftbuild" in line and not line.startswith("Z")]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """Build the story: once until Ctrl-C during training, then again to the end."""
    home = tmp_path_factory.mktemp("story")
    (home / "conf/recipe").mkdir(parents=True)
    (home / "conf/recipe/story.yaml").write_text(RECIPE)
    (home / "story.txt").write_text(STORY)
    since = time.monotonic()
    with start(home, "+recipe=story") as process:
        while steps_told(home) < 2 and process.poll() is None and time.monotonic() - since < PATIENCE:
            time.sleep(0.1)
        at_ctrl_c = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)
        stopped = finish(process, at_ctrl_c)
    left = Left(
        results=(home / "builds").exists(),
        checkpoints=[json.loads(f.read_text())["step"] for f in home.glob(".ftbuild/local/jobs/*/checkpoint/step.json")],
        in_progress=[p.name for p in (home / ".ftbuild/tmp").iterdir()],
        processes=processes(home),
    )
    return Story(home, stopped, left, run(home, "+recipe=story"))


def test_ctrl_c_stops_at_once_and_leaves_a_checkpoint(story: Story) -> None:
    assert story.stopped.code == 130, story.stopped.err
    *_, error, hint = story.stopped.err.splitlines()
    assert error.startswith("error: stopped ")
    assert "the same command goes on" in hint
    assert "Traceback" not in story.stopped.err
    assert story.stopped.seconds < 60
    (step,) = story.left.checkpoints
    assert step >= 2
    assert (story.left.results, story.left.in_progress, story.left.processes) == (False, [], [])


def test_the_same_command_goes_on_and_ends(story: Story) -> None:
    assert story.built.code == 0, story.built.err
    assert "going on with job" in story.built.err
    assert not re.search(r"(?m)^(fetch|generate|format) ", story.built.err)
    (step,) = story.left.checkpoints
    steps = [int(r["step"]) for r in csv.DictReader((story.results / "metrics.csv").read_text().splitlines())]
    rows = len((story.results / "dataset.jsonl").read_text().splitlines())
    assert steps == list(range(1, 3 * -(-rows // 8) + 1))
    assert step < steps[-1]
    assert processes(story.home) == []


def test_it_learns(story: Story) -> None:
    losses = [float(r["train_loss"]) for r in csv.DictReader((story.results / "metrics.csv").read_text().splitlines())]
    assert losses[-1] < 0.6 * losses[0]
    answers = [json.loads(line) for line in (story.results / "answers.jsonl").read_text().splitlines()]
    assert [a["probe"] for a in answers] == ["spoon", "door"]
    assert all(a["answer"] and "[DONE]" not in a["answer"] for a in answers)
    rows = [json.loads(line) for line in (story.results / "dataset.jsonl").read_text().splitlines()]
    assert len(rows) >= 10
    assert all(set(r) == {"prompt", "completion"} and r["completion"].endswith(" [DONE]") for r in rows)


def test_the_report_stands_by_itself(story: Story) -> None:
    report = (story.results / "report.html").read_text(encoding="utf-8")
    assert re.findall(r"""(?i)(?:src|href|action|data|poster)\s*=\s*["']?\s*(?:https?:)?//""", report) == []
    assert re.findall(r"(?i)@import|url\(\s*[\"']?\s*(?:https?:)?//|<script[^>]+src|<link\b", report) == []
    for said in ("The map", "Who gets the spoon from Anna?", "<svg", "story"):
        assert said in report
    assert report.rstrip().endswith("</html>")


def test_the_tuned_model_answers(story: Story) -> None:
    ran = run(story.home, "ask", "+recipe=story", "Who reads the map?")
    assert ran.code == 0, ran.err
    assert ran.out.strip()
    assert ran.out.count("\n") == 1
    assert "[DONE]" not in ran.out


def test_another_build_has_nothing_to_do(story: Story) -> None:
    ran = run(story.home, "+recipe=story")
    assert (ran.code, ran.err) == (0, "")
    assert "nothing to do" in ran.out
