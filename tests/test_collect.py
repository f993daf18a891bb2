"""`ftbuild gc`: what nobody needs is named and, if asked for, thrown away; what a lock file or a late build needs is not."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from pathlib import Path

import pytest

from ftbuild.collect import needed, rubbish, sweep_out
from ftbuild.store import Store
from ftbuild.testing import Request
from tests.workshop import JOBS, Workshop, wait_for


def gc(workshop: Workshop, *words: str) -> dict[str, object]:
    told = workshop.run(*words, "--json", verb="gc").json
    assert isinstance(told, dict)
    return told


def kinds(told: dict[str, object]) -> set[str]:
    pieces = told["pieces"]
    assert isinstance(pieces, list)
    return {piece["kind"] for piece in pieces}


@pytest.mark.slow
def test_nothing_of_the_last_builds_is_rubbish(workshop: Workshop) -> None:
    workshop.build("curate.hold_out=1", "until=curate")
    before = workshop.files()
    assert gc(workshop)["pieces"] == []
    assert gc(workshop, "apply=true")["freed"] == 0
    assert {k: v for k, v in workshop.files().items() if k != ".ftbuild/locks"} == {
        k: v for k, v in before.items() if k != ".ftbuild/locks"
    }


def test_what_is_thrown_away_is_named_first_and_a_build_afterwards_runs_nothing(workshop: Workshop) -> None:
    workshop.build("curate.hold_out=1", "until=format")
    assert workshop.build() == [], "the lock file and the last build are as at first"
    before = workshop.files()
    told = gc(workshop, "keep=1")
    assert kinds(told) == {"record", "object"}
    assert workshop.files() == before, "nothing is touched before it is asked for"
    pieces = told["pieces"]
    assert isinstance(pieces, list)
    assert any(piece["what"].startswith("rows.jsonl of format") for piece in pieces)
    applied = gc(workshop, "keep=1", "apply=true")
    assert applied["freed"] == told["bytes"] == sum(piece["bytes"] for piece in pieces)
    assert not [piece for piece in pieces if Path(workshop.folder, piece["path"]).exists()]
    assert gc(workshop, "keep=1")["pieces"] == []
    assert workshop.build() == []
    assert workshop.build("force=[report]") == ["report"], "everything that it reads is there"
    assert workshop.requests == []
    assert workshop.damaged() == []


@pytest.mark.slow
def test_what_a_lock_file_names_is_kept_however_old(workshop: Workshop) -> None:
    for hold_out in (1, 2):
        workshop.build("lock=null", f"curate.hold_out={hold_out}", "until=format")
    assert gc(workshop, "keep=1", "apply=true")["freed"] != 0
    assert workshop.build("offline=true") == []


@pytest.mark.slow
def test_the_lock_files_of_other_projects_of_the_store_count_too(workshop: Workshop, tmp_path: Path) -> None:
    other = Workshop.at(tmp_path / "other", workshop.provider)
    other.build(f"store={workshop.store}", "structure.drop=[Tower]", "until=format")
    other.build("lock=null", f"store={workshop.store}", "structure.drop=[History]", "until=format")
    gc(workshop, "keep=0", "apply=true")
    assert other.build(f"store={workshop.store}", "structure.drop=[Tower]", "until=format") == []


def test_it_refuses_while_a_build_is_at_work(workshop: Workshop) -> None:
    hold = threading.Event()

    def fault(request: Request) -> None:
        if request.path == JOBS:
            hold.wait(120)

    workshop.build("curate.hold_out=1", "until=format", "lock=null")
    workshop.build()
    workshop.provider.fault = fault
    with workshop.start("+recipe=lighthouse", "train.epochs=3", "lock=null") as process:
        wait_for(lambda: workshop.created)
        ran = workshop.run("apply=true", "keep=1", verb="gc")
        hold.set()
        _, err = process.communicate(timeout=120)
    assert ran.code == 5
    assert "Traceback" not in ran.err
    assert process.returncode == 0, err
    assert workshop.damaged() == []


def test_an_unreadable_lock_file_ends_it(workshop: Workshop) -> None:
    workshop.write("ftbuild.lock", "<<<<<<< HEAD\n")
    ran = workshop.run("keep=0", "apply=true", verb="gc")
    assert ran.code == 2
    assert "ftbuild.lock: cannot be read" in ran.err


def test_numbers_that_are_none_and_settings_that_there_are_not_are_refused(workshop: Workshop) -> None:
    for words in (("keep=many",), ("replies=-1",), ("kep=1",)):
        assert workshop.run(*words, verb="gc").code == 2


@pytest.mark.slow
def test_replies_stay_unless_older_ones_are_given_up(workshop: Workshop) -> None:
    workshop.build("prompts.facts.seed=5", "until=format", "lock=null")
    workshop.build()
    assert "reply" not in kinds(gc(workshop, "keep=1"))
    old = time.time() - 40 * 86400
    for file in (workshop.store / "replies").glob("*/*.json"):
        os.utime(file, (old, old))
    assert "reply" not in kinds(gc(workshop, "keep=1", "replies=50"))
    told = gc(workshop, "keep=1", "replies=30", "apply=true")["pieces"]
    assert isinstance(told, list)
    assert sum(piece["kind"] == "reply" for piece in told) >= 4, "what the other seed was asked"
    workshop.forget()
    assert workshop.build("force=[generate]") == ["generate"]
    assert workshop.asked() == [], "the replies that the last build was made of are there"


def test_what_a_killed_build_left_is_rubbish_after_a_day(tmp_path: Path) -> None:
    store = Store(tmp_path)
    (tmp_path / "tmp" / "left").mkdir(parents=True)
    (tmp_path / "tmp" / "left" / "half").write_text("half", encoding="utf-8")
    aside = [tmp_path / "replies" / "3f" / ".9a.json.x1", tmp_path / "jobs" / ".key.json.x2"]
    for file in aside:
        file.parent.mkdir(parents=True)
        file.write_text("{", encoding="utf-8")
    assert rubbish(store, needed(store, keep=5, locks=[]), replies_older=None) == []
    old = time.time() - 2 * 86400
    for path in (tmp_path / "tmp" / "left", *aside):
        os.utime(path, (old, old))
    pieces = rubbish(store, needed(store, keep=5, locks=[]), replies_older=None)
    assert [(piece.kind, piece.size) for piece in pieces] == [("left over", 4), ("left over", 1), ("left over", 1)]
    assert sweep_out(store, pieces) == 6
    assert not [path for path in (tmp_path / "tmp" / "left", *aside) if path.exists()]


def test_documents_that_no_build_has_read_for_long_are_rubbish(tmp_path: Path) -> None:
    store = Store(tmp_path)
    now = time.time()
    for name, days in (("web/a.json", 100), ("web/a.page", 100), ("readings/b.json", 80)):
        file = tmp_path / "pages" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x", encoding="utf-8")
        os.utime(file, (now - days * 86400, now - days * 86400))
    found = rubbish(store, needed(store, keep=1, locks=[]), replies_older=None)
    assert sorted(piece.path.name for piece in found) == ["a.json", "a.page"]


@pytest.mark.slow
def test_people_are_told_too(workshop: Workshop) -> None:
    assert "nothing to throw away" in workshop.run(verb="gc").out
    workshop.build("curate.hold_out=1", "until=format", "lock=null")
    workshop.build()
    ran = workshop.run("keep=1", verb="gc")
    assert "nothing was removed, apply=true does it" in ran.out
    assert "thrown away" in workshop.run("keep=1", "apply=true", verb="gc").out
    assert json.loads(workshop.run("--json", verb="gc").out)["applied"] is False


def test_a_sweep_is_needed_as_long_as_its_results_lie_there(workshop: Workshop) -> None:
    assert workshop.run("-m", "curate.hold_out=1,2", "until=curate").code == 0
    assert gc(workshop)["pieces"] == []
    for folder in (workshop.folder / "builds").glob("sweep-*"):
        shutil.rmtree(folder)
    assert kinds(gc(workshop)) == {"record", "object"}
