"""`ftbuild.lock`: sorted, portable, the same from wherever it is built, and changed only where something changed."""

from __future__ import annotations

import difflib
import re
import tomllib
from pathlib import Path

import pytest

from ftbuild.errors import ConfigError
from ftbuild.lockfile import Pinned, blocks, read, text, write
from ftbuild.store import Action, Store
from tests.workshop import Workshop


def action(stage: str = "fetch", *, model: str = "", **outputs: str) -> Action:
    facts = {"revisions": {"A page": "7"}, "seconds": 1.5, **({"model": model} if model else {})}
    return Action(stage, f"key of {stage}", {}, None, outputs, facts, {}, {"package jinja2": "3.1"}, 1)


def changed(before: str, after: str) -> list[str]:
    """Return the lines that differ, without those that only say where."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    return [line for line in lines if line[:1] in "+-" and line[:3] not in ("+++", "---")]


def test_a_block_holds_key_revisions_dependencies_outputs_and_model_and_no_times() -> None:
    told = blocks({"fetch": action(model="ft:x", a="d1"), "report": action("report", b="d2")})
    assert told == {
        "fetch": {"key": "key of fetch", "package jinja2": "3.1", "out a": "d1", "revision A page": "7", "model": "ft:x"}
    }


def test_what_is_written_is_read_again_whatever_the_names(tmp_path: Path) -> None:
    odd = {'a "quoted" name': {"out ü.jsonl": "back\\slash", "tab\t": "\x7f", "π": "line\nbreak"}, "plain": {"key": "1"}}
    (tmp_path / "lock").write_text(text({"a recipe": odd, "b": {"fetch": {"key": "2"}}}), encoding="utf-8")
    assert read(tmp_path / "lock") == {"a recipe": odd, "b": {"fetch": {"key": "2"}}}


def test_blocks_of_other_recipes_and_of_stages_that_were_left_out_stay(tmp_path: Path) -> None:
    file, store = tmp_path / "lock", Store(tmp_path / "store")
    assert write(file, store, "one", {"fetch": action(a="d1"), "clean": action("clean", a="d2")})
    assert write(file, store, "two", {"fetch": action(a="d3")})
    assert write(file, store, "one", {"fetch": action(a="d4")})
    outputs = {recipe: {s: b["out a"] for s, b in stages.items()} for recipe, stages in read(file).items()}
    assert outputs == {"one": {"fetch": "d4", "clean": "d2"}, "two": {"fetch": "d3"}}


def test_what_is_up_to_date_is_not_written(tmp_path: Path) -> None:
    file, store = tmp_path / "lock", Store(tmp_path / "store")
    assert write(file, store, "one", {"fetch": action(a="d1")})
    before = file.stat().st_mtime_ns
    assert not write(file, store, "one", {"fetch": action(a="d1")})
    assert file.stat().st_mtime_ns == before


@pytest.mark.parametrize("garbage", ["<<<<<<< HEAD\n", "a = [\n", "\xff\xfe", "fetch = 3\n"])
def test_a_file_that_cannot_be_read_is_a_mistake_with_its_name(tmp_path: Path, garbage: str) -> None:
    (tmp_path / "ftbuild.lock").write_text(garbage, encoding="latin-1")
    with pytest.raises(ConfigError, match=r"ftbuild\.lock: cannot be read: "):
        read(tmp_path / "ftbuild.lock")


def test_a_block_that_is_none_is_a_mistake_too(tmp_path: Path) -> None:
    (tmp_path / "ftbuild.lock").write_text("[lighthouse]\nfetch = 3\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"ftbuild\.lock: cannot be read: "):
        Pinned(tmp_path / "ftbuild.lock", "lighthouse")


# ---- of real builds ----


def lock(workshop: Workshop) -> str:
    return (workshop.folder / "ftbuild.lock").read_text(encoding="utf-8")


def test_it_is_sorted_and_holds_no_path_no_time_and_no_key(workshop: Workshop) -> None:
    told = lock(workshop)
    stages = [line for line in told.splitlines() if line.startswith("[")]
    assert stages == sorted(stages)
    assert len(stages) == 9, "all but the report, which tells how long everything took"
    for block in told.split("\n\n"):
        keys = [line.partition(" = ")[0].strip('"') for line in block.splitlines() if " = " in line]
        assert keys == sorted(keys)
    values = [v for stages in tomllib.loads(told).values() for b in stages.values() for v in b.values()]
    assert not [v for v in values if str(workshop.folder.parent) in v or v.startswith(("/", "~"))]
    assert not re.search(r"\d{4}-\d\d-\d\d|\d\d:\d\d:\d\d|second", told)
    assert workshop.provider.api_key not in told
    assert "SCRIPTED_KEY" not in told


def test_two_directories_give_the_same_but_for_what_each_trained(workshop: Workshop, tmp_path: Path) -> None:
    other = Workshop.at(tmp_path / "deep" / "elsewhere", workshop.provider)
    other.build("builds=results", f"store={tmp_path / 'another store'}")
    one, two = (tomllib.loads(lock(w))["lighthouse"] for w in (workshop, other))
    trained = ("train", "evaluate")
    assert {n: b for n, b in one.items() if n not in trained} == {n: b for n, b in two.items() if n not in trained}
    assert {k for k in one["train"] if one["train"][k] != two["train"][k]} == {"model", "out events.jsonl", "out model.json"}
    assert {k for k in one["evaluate"] if one["evaluate"][k] != two["evaluate"][k]} == {"key"}


@pytest.mark.slow
def test_with_one_store_two_directories_give_the_same_bytes(workshop: Workshop, tmp_path: Path) -> None:
    other = Workshop.at(tmp_path / "other", workshop.provider)
    assert other.build(f"store={workshop.store}") == []
    assert lock(other) == lock(workshop)


def test_another_prompt_changes_the_lines_about_it_and_about_what_came_of_it(workshop: Workshop) -> None:
    before = lock(workshop)
    workshop.edit("prompts/facts.j2", "facts", "wonders")
    workshop.build("until=curate")
    lines = changed(before, lock(workshop))
    assert {line[1:].partition(" = ")[0] for line in lines} == {
        "key",
        '"out pairs.jsonl"',
        '"out units.jsonl"',
        '"prompt facts.j2"',
    }
    assert len(lines) == 2 * (4 + 2), "four lines of generate, two of curate"


@pytest.mark.slow
def test_other_epochs_change_what_was_trained_alone(workshop: Workshop) -> None:
    before = lock(workshop)
    workshop.build("train.epochs=3")
    names = {line[1:].partition(" = ")[0] for line in changed(before, lock(workshop))}
    assert names == {"key", "model", '"out events.jsonl"', '"out model.json"'}


@pytest.mark.parametrize("verb", ["build", "plan"])
def test_a_merge_that_was_left_unfinished_is_named_before_anything_runs(workshop: Workshop, verb: str) -> None:
    workshop.write("ftbuild.lock", "<<<<<<< HEAD\n" + lock(workshop))
    before = workshop.files()
    ran = workshop.run("train.epochs=3", verb=verb)
    assert ran.code == 2
    assert re.search(r"error: ftbuild\.lock: cannot be read", ran.err)
    assert "Traceback" not in ran.err
    assert workshop.requests == []
    assert workshop.files() == before


@pytest.mark.slow
def test_there_need_not_be_one(workshop: Workshop) -> None:
    (workshop.folder / "ftbuild.lock").unlink()
    assert workshop.build("lock=null", "force=[format]") == ["format"]
    assert not (workshop.folder / "ftbuild.lock").exists()
    assert workshop.build() == [], "and a build with nothing to do writes it anew"
    assert (workshop.folder / "ftbuild.lock").exists()
