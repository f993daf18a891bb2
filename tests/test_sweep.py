"""Sweeps: shared stages are built once, a failed job is told at once and the others go on, a stopped sweep goes on."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from ftbuild import sweep
from ftbuild.sweep import Ended, Job
from tests.workshop import REQUESTS, Ran, Workshop, finish, provider

BRIEF = "Write {{ pairs }} brief facts, as pairs, about the section {{ section }}:\n{{ text }}\n"
NAMED = """\
# @package _global_
hydra:
  mode: MULTIRUN
  sweeper:
    params:
      train.epochs: 2,3
"""


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    with provider() as made:
        yield Workshop.at(tmp_path, made)


def folder(workshop: Workshop) -> Path:
    """Return the folder of the one sweep that there was."""
    (found,) = (workshop.folder / "builds").glob("sweep-*")
    return found


def jobs(ran: Ran) -> list[dict[str, Any]]:
    return list(json.loads(ran.out)["jobs"])


def epochs(job: dict[str, Any]) -> str:
    """Return the override that tells a job's epochs."""
    return next(str(o) for o in job["overrides"] if o.startswith("train.epochs="))


# ---- what a job is ----


def test_a_job_is_called_by_what_only_it_has() -> None:
    job = Job("lr", 3, ("recipe=mill", "train.epochs=2", "format=chat"))
    assert job.label({"recipe=mill"}) == "train.epochs=2 format=chat"
    assert job.folder(Path("builds/mill")) == Path("builds/sweep-lr/3")


def test_a_sweep_is_called_as_its_file_and_recipe_or_by_its_words() -> None:
    assert sweep.named(["+recipe=mill", "+sweep=epochs"]) == "epochs-mill"
    assert sweep.named(["+recipe=coast/light", "+sweep=epochs", "++train.suffix=a"]) == "epochs-coast-light"
    one, other = sweep.named(["+recipe=mill", "++train.epochs=2,4"]), sweep.named(["++train.epochs=2,4", "+recipe=mill"])
    assert one == other
    assert re.fullmatch("s[0-9a-f]{8}", one)
    assert sweep.named(["+recipe=mill", "++train.epochs=2,5"]) != one


def test_no_name_of_a_sweep_reads_as_a_number() -> None:
    names = [sweep.named([f"train.epochs={n},2"]) for n in range(400)]  # seven of their digests would
    parsed = OverridesParser.create().parse_overrides([f"++{sweep.KEY}={name}" for name in names])
    assert [override.value() for override in parsed] == names


def test_the_table_has_a_column_for_what_differs(tmp_path: Path) -> None:
    for n, (epochs, kind, score) in enumerate([("2", "chat", 0.5), ("4", "chat", 0.75), ("4", "completion", None)]):
        overrides = ("recipe=mill", f"train.epochs={epochs}", f"format={kind}")
        Ended(n, overrides, "mill", score=score).save(tmp_path / str(n))
    found = sweep.ended(tmp_path)
    assert sweep.varied(found) == ["train.epochs", "format"]
    assert [values for _, values in sweep.rows(found)] == [["2", "chat"], ["4", "chat"], ["4", "completion"]]
    assert sweep.best(found) == found[1]
    assert sweep.best([found[2]]) is None
    sweep.begin(tmp_path)
    assert sweep.ended(tmp_path) == []


# ---- running one ----


def test_shared_stages_are_built_once_and_the_table_tells_all(workshop: Workshop) -> None:
    ran = workshop.run("-m", "train.epochs=2,3", "train.seed=1,2")
    assert ran.code == 0, ran.err
    assert len(workshop.asked()) == REQUESTS
    assert workshop.created == 4
    assert sum(r.path == "/files" for r in workshop.requests if r.method == "POST") == 1
    head, *lines = [re.split(r"\s{2,}", line.strip()) for line in ran.out.splitlines() if line.strip()]
    assert head == ["Job", "train.epochs", "train.seed", "Score", "Cost", "Tokens", "Time"]
    assert [line[:4] for line in lines[:4]] == [
        ["0", "2", "1", "100%"], ["1", "2", "2", "100%"], ["2", "3", "1", "100%"], ["3", "3", "2", "100%"],
    ]  # fmt: skip
    assert "4 jobs" in ran.out
    assert not (workshop.folder / "ftbuild.lock").exists(), "trials leave the lock file alone"
    assert {p.name for p in (workshop.folder / "builds").iterdir()} == {folder(workshop).name}


def test_forty_jobs_send_only_distinct_requests(workshop: Workshop) -> None:
    workshop.write("prompts/brief.j2", BRIEF)
    swept = ["prompts.facts.file=facts.j2,brief.j2", "train.epochs=1,2,3,4", "train.seed=1,2,3,4,5"]
    ran = workshop.run("-m", *swept, "until=curate", "--json")
    assert len(jobs(ran)) == 40, ran.err
    assert len(workshop.prompts) == REQUESTS + REQUESTS // 2
    assert set(workshop.prompts.values()) == {1}


def test_a_failed_job_is_told_at_once_and_the_others_go_on(workshop: Workshop) -> None:
    ran = workshop.run("-m", "train.epochs=2,x,3")
    assert ran.code == 1
    told = [n for n, line in enumerate(ran.err.splitlines()) if line.startswith("error: job 1 (train.epochs=x)")]
    last = [n for n, line in enumerate(ran.err.splitlines()) if line.startswith("job 2")]
    assert told < last, "it was told before the next job began"
    assert "Traceback" not in ran.err
    assert "3 jobs, 1 failed" in ran.out
    assert "expected a whole number, got 'x'" in ran.out
    assert [bool(j.error) for j in sweep.ended(folder(workshop))] == [False, True, False]


def test_the_same_sweep_again_asks_nobody_and_creates_nothing(workshop: Workshop) -> None:
    first = workshop.run("-m", "train.epochs=2,3", "--json")
    workshop.forget()
    again = workshop.run("-m", "train.epochs=2,3", "--json")
    assert workshop.requests == []
    assert [(j["score"], j["model"], j["tokens"]) for j in jobs(first)] == [
        (j["score"], j["model"], j["tokens"]) for j in jobs(again)
    ]
    assert all(j["tokens"] > 0 for j in jobs(again)), "what a result took is told of it for ever"


def test_a_sweep_that_was_killed_goes_on_where_it_was(workshop: Workshop) -> None:
    words = ["-m", "+recipe=lighthouse", "train.epochs=2,3,4"]
    process = workshop.start(*words)
    for line in process.stderr or ():
        if line.startswith("job 2"):
            break
    process.kill()
    finish(process)
    created = workshop.created
    assert 2 <= created <= 3
    ran = workshop.call(*words)
    assert ran.code == 0, ran.err
    assert workshop.created == 3
    assert len(workshop.asked()) == REQUESTS


def test_a_named_sweep_is_a_file(workshop: Workshop) -> None:
    workshop.write("conf/sweep/often.yaml", NAMED)
    ran = workshop.run("sweep=often", "--json")
    assert [epochs(j) for j in jobs(ran)] == ["train.epochs=2", "train.epochs=3"]
    assert folder(workshop).name == "sweep-often-lighthouse"


def test_the_page_is_whole_and_links_to_the_reports(workshop: Workshop) -> None:
    workshop.run("-m", "train.epochs=2,x")
    page = folder(workshop) / "index.html"
    links: list[str] = []

    class Links(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            links.extend(str(v) for k, v in attrs if tag in ("a", "link", "script", "img") and k in ("href", "src"))

    text = page.read_text(encoding="utf-8")
    Links().feed(text)
    assert links == ["0/report.html"]
    assert (page.parent / links[0]).is_file()
    assert "expected a whole number, got &#39;x&#39;" in text


def test_two_jobs_of_a_sweep_can_be_compared(workshop: Workshop) -> None:
    workshop.run("-m", "train.epochs=2,3")
    name = folder(workshop).name
    told = workshop.run(f"{name}/0", f"{name}/1", "--json", verb="diff").json
    assert ["train.epochs", "2", "3"] in told["config"]
    assert told["pairs"] == {"added": [], "removed": []}


@pytest.mark.parametrize(("word", "extra"), [("hydra/launcher=joblib", "joblib"), ("hydra/sweeper=optuna", "optuna")])
def test_a_launcher_that_is_not_installed_is_named_with_its_extra(workshop: Workshop, word: str, extra: str) -> None:
    ran = workshop.run("-m", "train.epochs=2,3", word)
    assert ran.code == 2
    assert f"{extra} is not installed" in ran.err
    assert f"pip install 'ftbuild[{extra}]'" in ran.err


# ---- other launchers, and a sampler ----

PLUGINS = ("hydra-joblib-launcher==1.2.0", "hydra-submitit-launcher==1.2.0", "hydra-optuna-sweeper==1.3.0", "optuna<3")


@pytest.fixture(scope="session")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Install launchers and a sampler aside: Hydra imports all that it finds, at every start."""
    aside = tmp_path_factory.mktemp("plugins")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", str(aside)]
    constraints = Path(__file__).resolve().parent.parent / "constraints.txt"
    subprocess.run([*pip, "--constraint", str(constraints), *PLUGINS], check=True, capture_output=True, timeout=600)
    return str(aside)


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ["hydra/launcher=joblib", "train.epochs=2,3,4"],
        ["hydra/launcher=submitit_local", "train.epochs=2,3,4"],
        ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=3", "hydra.sweeper.direction=maximize", "train.epochs=choice(2,3,4)",
         "hydra/sweeper/sampler=grid"],
    ],
    ids=["joblib", "submitit", "optuna"],
)  # fmt: skip
def test_other_launchers_and_samplers_do_the_same(workshop: Workshop, plugins: str, words: list[str]) -> None:
    workshop.environment["PYTHONPATH"] = f"{Path(__file__).resolve().parent.parent}:{plugins}"
    ran = finish(workshop.start("-m", "+recipe=lighthouse", *words, "--json"))
    assert ran.code == 0, ran.err
    told = json.loads(ran.out)
    assert [j["score"] for j in told["jobs"]] == [1.0] * 3
    assert {epochs(j) for j in told["jobs"]} == {"train.epochs=2", "train.epochs=3", "train.epochs=4"}
    assert workshop.created == 3
    assert set(workshop.prompts.values()) == {1}
    assert len(workshop.prompts) == REQUESTS
