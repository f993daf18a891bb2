"""`ftbuild show` and `ftbuild diff`: where a build comes from, and in what two of them differ."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.workshop import STAGES, Workshop


def test_show_says_where_a_build_comes_from(workshop: Workshop) -> None:
    subprocess.run(["git", "init", "-q"], cwd=workshop.folder, check=True)
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    subprocess.run(["git", *who, "commit", "-q", "--allow-empty", "-m", "one"], cwd=workshop.folder, check=True)
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=workshop.folder, check=True, capture_output=True, text=True
    ).stdout.strip()
    workshop.build("train.epochs=3")
    told = workshop.run("lighthouse", "--json", verb="show").json
    assert told == json.loads(workshop.read("manifest.json"))
    assert told["recipe"] == "lighthouse"
    assert "train.epochs=3" in told["overrides"]
    assert told["git"] == {"commit": commit, "dirty": True}
    assert set(told["prompts"]) == {"facts.j2", "reasons.j2"}
    assert set(told["inputs"]) == {"texts/article.wikitext"}
    assert set(told["stages"]) == set(STAGES)
    assert {name for name, stage in told["stages"].items() if stage["ran"]} == {"train", "evaluate", "report"}
    assert told["models"]["teacher"] == "scripted-teacher"
    assert told["models"]["tuned"] == workshop.jobs[0]["fine_tuned_model"]
    assert told["seeds"] == {"train": 7, "prompts.facts": 1, "prompts.reasons": 2}
    assert told["spent"]["trained_tokens"] > 0
    assert {"jinja2", "regex"} <= set(told["packages"])
    for shown in (told["ended"], commit[:12], "changes that are not committed", "train.epochs=3", "ran"):
        assert shown in workshop.run("lighthouse", verb="show").out


def test_a_build_is_found_by_name_folder_id_and_age(workshop: Workshop) -> None:
    first = json.loads(workshop.read("manifest.json"))["id"]
    workshop.build("curate.hold_out=2", "until=curate")

    def id_of(word: str) -> str:
        return str(workshop.run(word, "--json", verb="show").json["id"])

    second = json.loads(workshop.read("manifest.json"))["id"]
    assert first != second
    assert id_of("lighthouse") == id_of("builds/lighthouse") == id_of("lighthouse~0") == id_of(second[:6]) == second
    assert id_of("lighthouse~1") == id_of(first) == first


@pytest.mark.parametrize("words", [(), ("lighthuose",), ("lighthouse~7",), ("a", "b")])
def test_a_build_that_there_is_not_is_a_mistake(workshop: Workshop, words: tuple[str, ...]) -> None:
    ran = workshop.run(*words, verb="show")
    assert ran.code == 2
    assert "Traceback" not in ran.err
    assert ran.out == ""


def test_diff_names_keys_pairs_and_scores(workshop: Workshop) -> None:
    workshop.build("curate.hold_out=2", "until=curate")
    told = workshop.run("lighthouse~1", "lighthouse", "--json", verb="diff").json
    assert ["curate.hold_out", "0", "2"] in told["config"]
    assert len(told["pairs"]["removed"]) == 2
    assert told["pairs"]["added"] == []
    assert {pair["template"] for pair in told["pairs"]["removed"]} <= {"facts", "reasons"}
    back = workshop.run("lighthouse", "lighthouse~1", "--json", verb="diff").json
    assert back["pairs"]["added"] == told["pairs"]["removed"]
    out = workshop.run("lighthouse~1", "lighthouse", verb="diff").out
    assert "2 pairs removed" in out
    assert "curate.hold_out" in out


def test_diff_of_a_build_with_itself_is_empty(workshop: Workshop) -> None:
    told = workshop.run("lighthouse", "lighthouse", "--json", verb="diff").json
    assert (told["config"], told["pairs"], told["answers"]) == ([], {"added": [], "removed": []}, [])
