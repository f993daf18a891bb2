"""The stage `fetch` in real builds: what its key is made of, what is told, what a plan may read."""

from __future__ import annotations

import bz2
import os
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from ftbuild import knownfiles
from ftbuild.stages import fetch
from ftbuild.testing import ScriptedProvider
from tests.dumps import Page, xml
from tests.helpers import compose
from tests.workshop import Ran, Workshop

RECIPE = """\
# @package _global_
defaults: [override /source: wikidump, override /clean: none, _self_]
vars: {dump: dumps/*.bz2}
source:
  dump: {namespaces: [0, 14]}
  asked: {source: pairs, path: texts/pairs.csv}
"""
PAGES = [
    Page("Kategorie:Tiere", "Tiere.", ns=14),
    Page("Diskussion:Otter", "Lieb?", ns=1),
    *(Page(f"Otter {n}", f"Der Otter {n} frisst Fisch.") for n in range(12)),
]


@pytest.fixture
def project(tmp_path: Path) -> Workshop:
    """Lay out a project with a dump and a table of pairs."""
    nobody = SimpleNamespace(api_key="", base_url="http://127.0.0.1:9")  # no stage up to `structure` asks a provider
    made = Workshop(tmp_path / "project", cast("ScriptedProvider", nobody))
    made.write("conf/recipe/otters.yaml", RECIPE)
    made.write("texts/pairs.csv", "question,answer\nWas?,Fisch\n")
    dump(made, PAGES)
    return made


def dump(project: Workshop, pages: list[Page]) -> Path:
    file = project.folder / "dumps" / "otto.xml.bz2"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(bz2.compress(xml(pages).encode()))
    return file


def build(project: Workshop, *words: str) -> Ran:
    return project.call("build", "+recipe=otters", "until=structure", *words, "--json")


def test_a_build_from_a_dump(project: Workshop) -> None:
    made = build(project)
    assert made.ran == ["fetch", "clean", "structure"]
    told = [line.strip() for line in made.err.splitlines()]
    assert "Otter 6: 25 characters (revision 1009, timestamp 2026-11-01T12:00:00Z, licence CC BY-SA 4.0)" in told
    assert not [line for line in told if line.startswith("Otter 7")], "of many, the first are told one by one"
    assert "dump: 13 documents; left out: 1 in other namespaces" in told
    assert any(line.endswith(": 13 documents, 1 row") for line in told)
    (fetched,) = [b for n, b in tomllib.loads((project.folder / "ftbuild.lock").read_text())["otters"].items() if n == "fetch"]
    assert "dumps/otto.xml.bz2" in fetched
    assert not [k for k in fetched if k.startswith("revision")], "the file's digest says it all"


def test_a_dump_is_known_by_its_content_and_nothing_else(project: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(knownfiles, "LARGE", 10)
    monkeypatch.setattr(knownfiles, "_SETTLED", 0)
    assert build(project).ran
    os.utime(project.folder / "dumps" / "otto.xml.bz2")
    assert build(project).ran == []
    monkeypatch.setattr(knownfiles, "digest_file", lambda path: pytest.fail(f"{path} was read again"))
    assert build(project).ran == []
    monkeypatch.undo()
    dump(project, [*PAGES, Page("Otter 99", "Noch einer.")])
    assert build(project).ran == ["fetch", "clean", "structure"]
    dump(project, PAGES)
    assert build(project).ran == []


def test_a_plan_reads_no_large_dump(project: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    def planned() -> dict[str, str]:
        told = project.call("plan", "+recipe=otters", "until=structure", "--json").json
        return {step["stage"]: step["verdict"] for step in told["stages"]}

    assert planned() == {"fetch": "run", "clean": "run", "structure": "run"}
    monkeypatch.setattr(fetch, "_SMALL", 100)
    later = "run only if its input changes"
    assert planned() == {"fetch": "run", "clean": later, "structure": later}


@pytest.mark.parametrize("name", ["category", "wiki", "wikidump", "wikipedia"])
def test_the_options_that_ship_are_complete(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dump.xml").write_text(xml(PAGES), encoding="utf-8")
    given = ("+vars.category=Tiere", "+vars.url=https://wiki.example/wiki/Otter", "+vars.dump=dump.xml")
    recipe = compose("recipe=agrippina", f"source={name}", *given)
    assert {use.name for use in recipe.source.values()} <= {"mediawiki", "wikidump", "pairs"}


def test_mistakes_are_found_before_any_work(project: Workshop) -> None:
    ran = build(project, "+source.dump.title=Otter 1", "+source.dump.category=Tiere")
    assert ran.code == 2
    assert "source.dump.category: title and category are two ways to say which pages" in ran.err
    ran = build(project, "source.dump.path=dumps/*.zip")
    assert ran.code == 2
    assert "source.dump: no file is called 'dumps/*.zip'" in ran.err
    ran = build(project, "+source.dump.titel=Otter 1")
    assert "did you mean 'title'?" in ran.err


def test_a_torn_dump_ends_the_build_with_its_place_and_leaves_nothing(project: Workshop) -> None:
    file = project.folder / "dumps" / "otto.xml.bz2"
    file.write_bytes(file.read_bytes()[:-40])
    ran = build(project)
    assert ran.code == 3
    assert "dumps/otto.xml.bz2: damaged at byte" in ran.err
    assert "Traceback" not in ran.err
    assert not (project.folder / "builds").exists()
