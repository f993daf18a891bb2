"""What a command line was composed into is remembered, and forgotten as soon as anything that it depends on changes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ftbuild import memo
from ftbuild.memo import Composed
from tests.workshop import Workshop, provider

KEPT = Composed({"b": {"z": 1, "a": [1.5, None, "é"]}, "a": True}, {"recipe": "mill"}, ("+recipe=mill",))


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    with provider() as made:
        yield Workshop.at(tmp_path, made)


def test_what_is_remembered_comes_back_to_the_order_of_its_keys(tmp_path: Path) -> None:
    memo.remember(tmp_path, "k", KEPT)
    found = memo.recall(tmp_path, "k")
    assert found == KEPT
    assert json.dumps(found.data) == json.dumps(KEPT.data)
    assert memo.recall(tmp_path, "other") is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"composed": "{}", "checksum": "x"}'])
def test_a_memo_that_cannot_be_believed_is_as_good_as_none(tmp_path: Path, text: str) -> None:
    memo.remember(tmp_path, "k", KEPT)
    (tmp_path / "composed" / "k.json").write_text(text, encoding="utf-8")
    assert memo.recall(tmp_path, "k") is None


def test_what_would_come_back_otherwise_is_not_remembered(tmp_path: Path) -> None:
    memo.remember(tmp_path, "k", Composed({"a": {1: 2}}, {}, ()))
    assert memo.recall(tmp_path, "k") is None


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    "change",
    [
        lambda home: write(home / "conf/recipe/mill.yaml", "a: ${oc.env:MILL_HOME,x} # other"),
        lambda home: write(home / "conf/train/other.yaml", "epochs: 3"),
        lambda _: os.environ.__setitem__("MILL_HOME", "elsewhere"),
        lambda home: (home / "conf/recipe/mill.yaml").unlink(),
    ],
    ids=["text", "new file", "variable", "file gone"],
)
def test_whatever_is_read_is_in_the_key(home: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None]) -> None:
    monkeypatch.setenv("MILL_HOME", "here")
    write(home / "conf/recipe/mill.yaml", "a: ${oc.env:MILL_HOME,x}")
    before = memo.key_of(["+recipe=mill"])
    assert before is not None
    assert memo.key_of(["+recipe=mill"]) == before
    assert memo.key_of(["+recipe=mill", "++a=2"]) != before
    change(home)
    assert memo.key_of(["+recipe=mill"]) != before


@pytest.mark.parametrize("text", ["a: ${now:%Y}", "a: ${oc.env:MILL_API_KEY}", "a: ${my.resolver:x}"])
def test_what_depends_on_more_than_can_be_seen_or_holds_a_secret_is_not_remembered(home: Path, text: str) -> None:
    write(home / "conf/recipe/mill.yaml", text)
    assert memo.key_of(["+recipe=mill"]) is None


def test_a_second_build_has_nothing_to_do_and_does_not_import_hydra(workshop: Workshop) -> None:
    assert workshop.build() != []
    code = "import sys, atexit; atexit.register(lambda: print('hydra' in sys.modules, file=sys.stderr))"
    again = workshop.process(first=code)
    assert (again.ran, again.err.split()) == ([], ["False"])
    workshop.edit("conf/recipe/lighthouse.yaml", "epochs: 2", "epochs: 3")
    changed = workshop.process(first=code)
    assert changed.err.split()[-1] == "True"
    assert changed.ran == ["train", "evaluate", "report"]


def test_a_mistake_is_told_the_same_with_and_without_a_memo(workshop: Workshop) -> None:
    workshop.build()
    (workshop.folder / "prompts" / "facts.j2").unlink()
    ran = workshop.run()
    assert ran.code == 2
    assert "lighthouse.yaml" in ran.err
    assert "there is no prompt template 'facts.j2'" in ran.err
