"""`ftbuild new`: what it writes builds at once, whatever it was made from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ftbuild.cli import main
from tests.web import Answer, Web

MANUAL = """\
# The handbook of the mill

The mill stands on the river Arn.

## History

Johan Brandt built the mill in 1804, because the old one had burned. His widow Karin ran it for thirty years.

## The wheel

### Repairs

The wheel is of oak. It was mended by Nils Holm in 1871.
"""
CHINESE = """\
# 水磨手册

水磨在阿河边上。

## 历史

老水磨毁于大火，1804年由石匠王大有重建。他的妻子李氏经营了三十年。1871年发大水，冲走了木轮。

## 轮子

轮子用橡木做成，直径四米。木匠何三修过两次，每次花了一个月。轮子转一圈，磨面一升。

## 用工

磨坊里有四个工人，最年长的叫赵四。他们从早上五点做到中午，下午修理工具。
"""


def new(*words: str) -> int:
    return main(["new", *words])


def rows(home: Path, recipe: str) -> list[dict[str, Any]]:
    """Build a recipe as far as its rows, and return them."""
    assert main([f"+recipe={recipe}", "until=format"]) == 0
    return [json.loads(line) for line in (home / f"builds/{recipe}/dataset.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(("language", "wanted"), [("en", "Anna Rennick"), ("zh", "沈阿福")])
def test_a_recipe_from_nothing_builds_from_an_example_text(home: Path, language: str, wanted: str) -> None:
    assert new("mine", f"language={language}") == 0
    made = rows(home, "mine")
    assert len(made) >= 10
    assert any(wanted in row["completion"] for row in made)
    assert main(["plan", "+recipe=mine", "provider=openai"]) == 0  # with a capable teacher, its own templates are asked


def test_a_recipe_from_a_file_knows_its_title_its_headings_and_its_language(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "manual.md").write_text(MANUAL, encoding="utf-8")
    (home / "手册.md").write_text(CHINESE, encoding="utf-8")
    assert new("mill", "--from", "manual.md", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["language"], told["documents"]) == ("en", 1)
    assert "mill" in told["title"]
    assert [h.rpartition(" / ")[2] for h in told["headings"]] == ["History", "Repairs"] or "History" in str(told["headings"])
    assert new("水磨", "--from=手册.md", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["language"], told["title"]) == ("zh", "水磨手册")
    recipe = (home / "conf/recipe/水磨.yaml").read_text(encoding="utf-8")
    assert "用工" in recipe
    assert "原文" in (home / "prompts/水磨/detailed.j2").read_text(encoding="utf-8")
    assert any("Johan Brandt" in r["completion"] for r in rows(home, "mill"))
    assert any("赵四" in r["completion"] for r in rows(home, "水磨"))


def test_a_folder_and_a_pattern(home: Path) -> None:
    (home / "docs/deep").mkdir(parents=True)
    (home / "docs/a.md").write_text(MANUAL, encoding="utf-8")
    (home / "docs/deep/b.html").write_text("<h1>Fog</h1><p>Anna Berg rang the bell in fog.</p>" * 3, encoding="utf-8")
    assert new("folder", "--from", "docs") == 0
    assert new("pattern", "--from", "docs/*.md") == 0
    assert any("Anna Berg" in r["completion"] for r in rows(home, "folder"))
    assert not any("Anna Berg" in r["completion"] for r in rows(home, "pattern"))


def test_a_folder_of_many_formats_with_a_file_that_cannot_be_read(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "docs").mkdir()
    (home / "docs/a.md").write_text(MANUAL, encoding="utf-8")
    (home / "docs/b.wikitext").write_text(
        "== The [[bell]]<ref>c</ref> ==\n{{Box|d}}Anna Berg rang the bell in fog.\n== References ==\n{{reflist}}\n"
    )
    (home / "docs/c.pdf").write_bytes(b"%PDF-1.4\nbroken")
    assert new("folder", "--from", "docs", "--json") == 0
    told = capsys.readouterr()
    assert "docs/c.pdf" in told.err
    headings = json.loads(told.out)["headings"]
    assert "The bell" in headings
    assert "References" not in headings
    written = (home / "conf/recipe/folder.yaml").read_text(encoding="utf-8")
    assert "override /clean: wikitext" in written
    assert any("Anna Berg" in r["completion"] for r in rows(home, "folder"))


def test_long_sections_are_pointed_out(home: Path) -> None:
    (home / "a.md").write_text(MANUAL + "\n\n" + "Nils Holm mended the wheel of the mill in 1871. " * 200, encoding="utf-8")
    assert new("mill", "--from", "a.md") == 0
    recipe = home / "conf/recipe/mill.yaml"
    written = recipe.read_text(encoding="utf-8")
    assert "override /clean: documents" in written
    assert "#  - override /structure: split" in written
    recipe.write_text(written.replace("#  - override /structure", "  - override /structure"), encoding="utf-8")
    assert main(["+recipe=mill", "until=structure"]) == 0
    assert '"part": 2' in (home / "builds/mill/sections.jsonl").read_text(encoding="utf-8")


def test_a_web_page(home: Path, web: Web) -> None:
    page = "<html><head><title>Fog bells</title></head><body><article><h1>Fog bells</h1>" + "".join(
        f"<h2>Bell {n}</h2><p>Bell number {n} was rung by keeper Anna Berg{n} in thick fog at the harbour of Arn.</p>"
        for n in range(8)
    )
    home_page = web.url.replace("/w/api.php", "/bells.html")
    web.will(
        Answer(status=404), Answer(f"{page}</article></body></html>", headers={"Content-Type": "text/html"})
    )  # no robots.txt
    assert new("bells", "--from", home_page) == 0
    web.will(Answer(status=404), Answer(f"{page}</article></body></html>", headers={"Content-Type": "text/html"}))
    assert any("Anna Berg3" in r["completion"] for r in rows(home, "bells"))


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_a_table_of_questions_and_answers(home: Path, ending: str) -> None:
    asked = [(f"第{n}个问题？", f"第{n}个答案") for n in range(30)]
    if ending == "csv":
        text = "问题,答案\n" + "".join(f"{q},{a}\n" for q, a in asked)
    else:
        text = "".join(json.dumps({"prompt": q, "completion": a}, ensure_ascii=False) + "\n" for q, a in asked)
    (home / f"faq.{ending}").write_text(text, encoding="utf-8")
    assert new("faq", "--from", f"faq.{ending}") == 0
    assert not (home / "prompts").exists()
    assert len(rows(home, "faq")) == 25  # five are held out


def test_nothing_is_written_over(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert new("mine") == 0
    before = {p: p.read_bytes() for p in home.rglob("*") if p.is_file()}
    assert new("mine") == 2
    assert "conf/recipe/mine.yaml exists already" in capsys.readouterr().err
    assert {p: p.read_bytes() for p in home.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([], 2, "1 name is wanted"),
        (["a/b"], 2, "cannot be a recipe's name"),
        (["../a"], 2, "cannot be a recipe's name"),
        (["a", "--from"], 2, "--from needs a value"),
        (["a", "--from", "nowhere.pdf"], 2, "no such file"),
        (["a", "--from", "nothing"], 2, "no file in this folder"),
        (["a", "language=fr"], 2, "en or zh"),
        (["a", "--form", "x"], 2, "--form"),
        (["a", "--from", "table.csv"], 2, "none of its columns"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    home: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, message: str
) -> None:
    (home / "table.csv").write_text("x,y\n1,2\n")
    (home / "nothing").mkdir()
    assert new(*words) == code
    captured = capsys.readouterr()
    assert message in captured.err
    assert not (home / "conf").exists()
