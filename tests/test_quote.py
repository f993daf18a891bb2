"""`ftbuild plan` before anything is built: requests, tokens and dollars, found out without asking and without a trace."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ftbuild.quote import A_PAIR
from tests.workshop import PAIRS, REQUESTS, SECTIONS, Workshop, finish

HEAVY = ("openai", "httpx2", "pandas", "jsonschema", "jinja2", "numpy", "torch", "transformers", "spacy")
NOTE = f"""
import atexit, sys
atexit.register(lambda: print("heavy:", *[m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr))
"""


def test_before_the_first_build_the_requests_are_counted_and_priced(workshop: Workshop, tmp_path: Path) -> None:
    new = Workshop.at(tmp_path / "new", workshop.provider)
    before = new.files()
    told = {s["stage"]: s for s in new.run("--json", "prompts.facts.max_tokens=100", verb="plan").json["stages"]}
    assert new.files() == before
    assert new.requests == []
    assert [told[s]["verdict"] for s in ("fetch", "clean", "structure", "generate")] == ["run"] * 4
    quote = told["generate"]["quote"]
    assert (quote["requests"], quote["cached"], quote["to_send"]) == (REQUESTS, 0, REQUESTS)
    assert quote["most_completion_tokens"] == SECTIONS * (100 + 4000)
    assert quote["completion_tokens"] == SECTIONS * (100 + PAIRS * A_PAIR)
    assert quote["prompt_tokens"] > 0
    assert quote["usd"] is None, "nobody said what this provider charges"


def test_what_is_kept_is_not_counted_again(workshop: Workshop) -> None:
    told = {s["stage"]: s for s in workshop.run("--json", "prompts.facts.seed=8", verb="plan").json["stages"]}
    quote = told["generate"]["quote"]
    assert (quote["requests"], quote["cached"], quote["to_send"]) == (REQUESTS, REQUESTS - SECTIONS, SECTIONS)
    assert told["generate"]["reasons"] == [
        {"why": "config", "name": "prompts.facts.seed", "old": "1", "new": "8", "text": "prompts.facts.seed 1 → 8"}
    ]


@pytest.mark.slow
def test_training_is_quoted_by_its_tokens(workshop: Workshop) -> None:
    once, twice = (
        next(
            s["quote"]["trained_tokens"]
            for s in workshop.run("--json", words, verb="plan").json["stages"]
            if s["stage"] == "train"
        )
        for words in ("train.epochs=3", "train.epochs=6")
    )
    assert twice == 2 * once > 0


def test_a_package_of_another_version_changes_the_key_and_is_named(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    from ftbuild import versions

    real = versions.version
    monkeypatch.setattr(versions, "version", lambda name: "99.9" if name == "regex" else real(name))
    told = {s["stage"]: s for s in workshop.run("--json", verb="plan").json["stages"]}
    assert [name for name, step in told.items() if step["verdict"] == "run"] == ["clean"]
    (reason,) = told["clean"]["reasons"]
    assert reason["text"] == f"package regex changed {real('regex')} → 99.9"


@pytest.mark.slow
def test_the_order_of_cleaning_rules_changes_the_key_of_clean(workshop: Workshop) -> None:
    rules = ["comments: {rule: drop_comments}", "space: {rule: whitespace}"]
    for order in (rules, rules[::-1]):
        workshop.write("conf/clean/mine.yaml", "rules:\n" + "".join(f"  {rule}\n" for rule in order))
        assert workshop.plan("clean=mine")["clean"] == "run"
        workshop.build("clean=mine", "until=clean")
        assert workshop.plan("clean=mine", "until=clean")["clean"] == "fresh"


@pytest.mark.parametrize("verb", ["build", "plan"])
def test_a_build_with_nothing_to_do_and_its_plan_import_nothing_heavy_and_leave_no_trace(workshop: Workshop, verb: str) -> None:
    subprocess.run(["git", "init", "-q"], cwd=workshop.folder, check=True)
    before = workshop.files()
    ran = finish(workshop.start(verb, "+recipe=lighthouse", first=NOTE))
    assert ran.code == 0, ran.err
    assert "heavy:\n" in ran.err
    assert workshop.files() == before
    assert workshop.requests == []


def test_what_a_judge_is_asked_is_in_the_quote(workshop: Workshop) -> None:
    told = {s["stage"]: s["quote"] for s in workshop.run("train.seed=3", "--json", verb="plan").json["stages"]}
    grade = "++evaluate.probes.second={question: Who kept it?, grade: {grader: judge, reference: Maud Trevanion}}"
    judged = {s["stage"]: s["quote"] for s in workshop.run("train.seed=3", grade, "--json", verb="plan").json["stages"]}
    assert (told["evaluate"]["to_send"], judged["evaluate"]["to_send"]) == (1, 3), "another question, and a verdict"
    assert judged["evaluate"]["prompt_tokens"] > told["evaluate"]["prompt_tokens"] + 50
