"""The options of a build: until, force, check, offline, locked, and the lock file that `locked` holds a build to."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workshop import KEY, STAGES, Workshop

FRESH = dict.fromkeys(STAGES, "fresh")
CHANCE = """\
from pathlib import Path

def answer(item):
    count = Path("count")
    number = 1 + (int(count.read_text()) if count.exists() else 0)
    count.write_text(str(number))
    return f"{item} {number}"
"""
WORDS = """\
# @package _global_
# Rows of a function's making.
defaults:
  - override /provider: openai_compatible
  - override /clean: none
  - _self_
provider: {base_url: "${oc.env:SCRIPTED_URL}", api_key_env: SCRIPTED_KEY, models: {teacher: t, base: scripted-base}}
source:
  words: {source: function, function: "functions/chance.py:answer", items: texts/words.txt}
"""


# ---- until ----


def test_until_builds_a_stage_and_what_it_rests_on(workshop: Workshop) -> None:
    assert set(workshop.plan("until=structure")) == {"fetch", "clean", "structure"}
    workshop.edit("texts/article.wikitext", "granite", "basalt")
    pairs, before = workshop.read("pairs.jsonl"), workshop.read("dataset.jsonl")
    assert workshop.build("until=curate") == ["fetch", "clean", "structure", "generate", "curate"]
    assert workshop.read("pairs.jsonl") != pairs
    assert workshop.read("dataset.jsonl") == before, "what comes later stays as it was"
    assert workshop.created == 0
    assert workshop.build() == ["format", "train", "evaluate", "report"], "and the rest is built from there"


@pytest.mark.parametrize(("words", "name"), [(("until=genrate",), "generate"), (("force=[trane]",), "train")])
def test_a_stage_that_there_is_not_is_named_with_the_nearest_one(workshop: Workshop, words: tuple[str, ...], name: str) -> None:
    ran = workshop.run(*words)
    assert ran.code == 2
    assert name in ran.err
    assert workshop.requests == []


# ---- force ----


def test_what_is_forced_runs_again_and_what_gives_the_same_ends_there(workshop: Workshop) -> None:
    assert workshop.plan("force=[structure,format]") == {**FRESH, "structure": "run", "format": "run"}
    assert workshop.build("force=[structure,format]") == ["structure", "format"]
    assert workshop.requests == []
    assert workshop.plan() == FRESH


def test_forced_generation_takes_the_replies_that_were_paid_for(workshop: Workshop) -> None:
    assert workshop.build("force=[generate]") == ["generate"]
    assert workshop.requests == []


def test_forced_training_makes_another_model(workshop: Workshop) -> None:
    before = workshop.read("model.json")
    assert workshop.build("force=[train]") == ["train", "evaluate", "report"]
    assert workshop.created == 1
    assert workshop.read("model.json") != before
    assert workshop.build() == []


# ---- check=rebuild ----


def test_check_rebuild_finds_that_everything_can_be_made_again(workshop: Workshop) -> None:
    ran = workshop.run("check=rebuild")
    assert ran.code == 0, ran.err
    assert "everything is the same when made again" in ran.err
    assert workshop.requests == []
    assert workshop.created == 0, "another training would give another model"


def test_check_rebuild_names_stage_file_and_line_of_what_cannot_be_made_again(workshop: Workshop) -> None:
    workshop.write("conf/functions/chance.py", CHANCE)
    workshop.write("conf/recipe/chance.yaml", WORDS)
    workshop.write("texts/words.txt", "".join(f"word{n}\n" for n in range(12)))
    ran = workshop.run("until=format", "check=rebuild", recipe="chance")
    assert ran.code == 1
    assert "fetch/pairs.jsonl: line 1 was " in ran.err
    assert "word0 1" in ran.err
    assert "word0 13" in ran.err
    assert "Traceback" not in ran.err
    assert workshop.run("until=format", recipe="chance").code == 0, "what was built stays"


# ---- offline ----


def test_offline_succeeds_when_everything_is_kept_and_sends_nothing(workshop: Workshop) -> None:
    workshop.provider.fault = lambda _: b"nobody may ask"
    assert workshop.build("offline=true") == []
    assert workshop.build("offline=true", "force=[fetch,clean,structure,generate,curate,format,baseline,evaluate,report]")
    assert workshop.requests == []


@pytest.mark.parametrize("words", [("train.epochs=3",), ("prompts.facts.seed=12",), ("evaluate.max_tokens=12",)])
def test_offline_says_whom_it_would_have_to_ask(workshop: Workshop, words: tuple[str, ...]) -> None:
    ran = workshop.run(*words, "offline=true")
    assert ran.code == 3
    assert f"offline=true: this build would have to ask {workshop.provider.base_url}" in ran.err
    assert "Traceback" not in ran.err
    assert workshop.requests == []


def test_offline_fetches_no_article(workshop: Workshop) -> None:
    workshop.edit(
        "conf/recipe/lighthouse.yaml",
        "{source: file, path: texts/article.wikitext, title: Saltmere Light}",
        f"{{source: mediawiki, api: '{workshop.provider.base_url}/w/api.php', title: Saltmere Light}}",
    )
    ran = workshop.run("offline=true")
    assert ran.code == 3
    assert "offline" in ran.err
    assert workshop.requests == []


# ---- locked ----


def lock(workshop: Workshop) -> Path:
    return workshop.folder / "ftbuild.lock"


def test_locked_builds_what_the_lock_file_has(workshop: Workshop) -> None:
    before = lock(workshop).read_bytes()
    assert workshop.build("locked=true") == []
    (workshop.folder / "builds/lighthouse/report.html").unlink()
    assert workshop.build("locked=true") == []
    assert lock(workshop).read_bytes() == before


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("train.epochs=3",), "train.epochs 2 → 3"),
        (("structure.levels=2",), "structure.levels"),
        (("train.suffix=b",), "suffix"),
    ],
)
def test_locked_refuses_what_would_change_the_lock_file_before_anything_runs(
    workshop: Workshop, words: tuple[str, ...], named: str
) -> None:
    before = workshop.files()
    for verb in ("build", "plan"):
        ran = workshop.run(*words, "locked=true", verb=verb)
        assert ran.code == 2
        assert "locked=true: " in ran.err
        assert "is not as ftbuild.lock has it" in ran.err
        assert named in ran.err
    assert workshop.requests == []
    assert workshop.files() == before


def test_locked_refuses_another_article_before_anything_runs(workshop: Workshop) -> None:
    workshop.edit("texts/article.wikitext", "granite", "basalt")
    before = workshop.files()
    ran = workshop.run("locked=true")
    assert ran.code == 2
    assert "fetch is not as ftbuild.lock has it: texts/article.wikitext changed" in ran.err
    assert workshop.files() == before
    assert workshop.requests == []


def test_locked_refuses_to_train_again(workshop: Workshop) -> None:
    ran = workshop.run("locked=true", "force=[train]")
    assert ran.code == 2
    assert "train would have to run, and would not give the locked result again" in ran.err
    assert workshop.requests == []


@pytest.mark.parametrize("words", [("lock=null",), ("-m", "train.epochs=2,3")])
def test_locked_needs_a_lock_file(workshop: Workshop, words: tuple[str, ...]) -> None:
    ran = workshop.run("locked=true", *words)
    assert ran.code in (1, 2)
    assert "locked=true: this build has no lock file to be held to" in ran.err
    assert workshop.requests == []


def test_locked_without_a_lock_file_says_so(workshop: Workshop) -> None:
    lock(workshop).unlink()
    before = workshop.files()
    ran = workshop.run("locked=true")
    assert ran.code == 2
    assert "ftbuild.lock says nothing about the recipe 'lighthouse'" in ran.err
    assert "build it once without locked=true" in ran.err
    assert workshop.files() == before


def test_locked_in_a_fresh_clone_makes_the_same_data_again_and_refuses_to_train(workshop: Workshop, tmp_path: Path) -> None:
    clone = Workshop.at(tmp_path / "clone", workshop.provider)
    clone.write("ftbuild.lock", lock(workshop).read_text(encoding="utf-8"))
    before = lock(clone).read_bytes()
    assert clone.build("locked=true", "until=format") == list(STAGES[:6])
    assert clone.read("dataset.jsonl") == workshop.read("dataset.jsonl")
    clone.forget()
    for verb, words in (("build", ()), ("plan", ()), ("build", ("force=[generate]",))):
        ran = clone.run("locked=true", *words, verb=verb)
        assert ran.code == 2
        assert "train would have to run, and would not give the locked result again" in ran.err
    assert clone.requests == [], "it is told before anything is paid for"
    assert lock(clone).read_bytes() == before


def test_locked_refuses_other_replies_than_those_it_was_built_from(workshop: Workshop, tmp_path: Path) -> None:
    clone = Workshop.at(tmp_path / "clone", workshop.provider)
    clone.write("ftbuild.lock", lock(workshop).read_text(encoding="utf-8").replace("out pairs.jsonl", "out pears.jsonl"))
    ran = clone.run("locked=true", "until=generate")
    assert ran.code == 1
    assert "locked=true: fetch made another pairs.jsonl than ftbuild.lock has" in ran.err


def test_ask_says_in_a_line_what_the_provider_refuses(workshop: Workshop) -> None:
    workshop.environment = {KEY: "sk-of-nobody"}
    ran = workshop.run("Who was the first keeper?", verb="ask")
    assert (ran.code, ran.out) == (2, "")
    assert [line for line in ran.err.splitlines() if line.startswith("error: ")] != []
    assert "HTTP 401" in ran.err
    assert "Traceback" not in ran.err


def test_a_recipe_in_a_folder_of_recipes_is_built_listed_and_kept_by_gc(workshop: Workshop) -> None:
    workshop.write(
        "conf/recipe/coast/light.yaml", (workshop.folder / "conf/recipe/lighthouse.yaml").read_text(encoding="utf-8")
    )
    assert workshop.call("+recipe=coast/light", "train.epochs=3", "lock=null", "--json").json["ran"] == [
        "train",
        "evaluate",
        "report",
    ]
    assert "coast/light" in [recipe["name"] for recipe in workshop.run("--json", verb="recipes").json]
    assert workshop.run("--json", verb="gc").json["pieces"] == []
    assert "did you mean 'light'?" in workshop.call("+recipe=coast/ligth").err
