"""The recipe in Chinese: prompts, sections, rows and probes are Chinese from end to end, with any capable teacher."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from ftbuild.cli import main
from ftbuild.paths import SHIPPED_CONF
from ftbuild.testing import Request, ScriptedProvider

TEXT = re.compile(r"原文：\n(?P<text>.*)\Z", re.DOTALL)
ENGLISH = re.compile(r"[A-Za-z]{3,} [A-Za-z]{2,} [A-Za-z]{2,}")


def teacher(request: Request) -> str:
    """Write one question about each clause of the text that the prompt shows, as a model would that does as it is told."""
    found = TEXT.search(request.prompt)
    assert found, request.prompt
    clauses = [c for c in re.split(r"[。，：；\n]", found["text"]) if len(c) > 5]
    wanted = int(re.search(r"写出 (\d+) 组", request.prompt)[1])  # type: ignore[index]
    kind = "详细说明" if "详细" in request.prompt else "简短回答"
    told = [clauses[n % len(clauses)] for n in range(wanted)]
    pairs = [{"prompt": f"{kind}，第{n}问：原文怎样说到“{c[:6]}”？", "completion": c} for n, c in enumerate(told)]
    return "\n".join(json.dumps(pair, ensure_ascii=False) for pair in pairs)


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def built(home: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, ScriptedProvider]:
    with ScriptedProvider(teacher, models=("老师", "学生")) as provider:
        monkeypatch.setenv("SCRIPTED_KEY", provider.api_key)
        options = ["provider=openai_compatible", f"provider.base_url={provider.base_url}", "provider.api_key_env=SCRIPTED_KEY"]
        options += ["provider.models.teacher=老师", "provider.models.base=学生"]
        assert main(["+recipe=jingyan", *options, "until=format"]) == 0
        return home / "builds/jingyan", provider


def test_the_dataset_is_chinese_from_end_to_end(built: tuple[Path, ScriptedProvider]) -> None:
    folder, provider = built
    assert len(provider.asked) >= 2 * 13  # two templates, thirteen sections
    for request in provider.asked:
        assert not ENGLISH.search(request.prompt), request.prompt
        assert "自贡井盐" in request.prompt
    rows, pairs = read(folder / "dataset.jsonl"), read(folder / "pairs.jsonl")
    asked = [p for p in pairs if p["origin"]["template"] in ("detailed", "basic")]
    assert len(rows) == len(pairs)
    assert len(asked) > 300
    assert len(pairs) - len(asked) > 250
    for row in rows:
        assert row["prompt"].startswith("关于自贡井盐（")
        assert row["prompt"].endswith("\n\n###\n\n")
        assert row["completion"].endswith(" [完]")
    assert {tuple(p["origin"]["path"]) for p in asked} > {("历史", "燊海井"), ("工艺", "煎盐"), ("今天",), ("概述",)}


def test_every_request_sees_its_section_and_no_other(built: tuple[Path, ScriptedProvider]) -> None:
    _, provider = built
    (wells,) = {TEXT.search(r.prompt)["text"] for r in provider.asked if "：历史／燊海井。" in r.prompt}  # type: ignore[index]
    assert "1001.42米" in wells
    assert "卓筒井" not in wells
    assert "#" not in "".join(r.prompt for r in provider.asked)


def test_the_same_again_asks_nothing(built: tuple[Path, ScriptedProvider], capsys: pytest.CaptureFixture[str]) -> None:
    _, provider = built
    nowhere = [f"provider.base_url={provider.base_url}", "provider.models.teacher=老师", "provider.models.base=学生"]
    capsys.readouterr()
    assert main(["+recipe=jingyan", "provider=openai_compatible", *nowhere, "until=format"]) == 0  # the server is gone
    assert "nothing to do" in capsys.readouterr().out


def test_the_probes_are_not_among_the_questions_of_the_list(
    built: tuple[Path, ScriptedProvider],
) -> None:
    folder, _ = built
    listed = read(SHIPPED_CONF / "texts/jingyan_pairs.jsonl")
    rejected = [r for r in read(folder / "rejected.jsonl") if r["reason"] == "is a probe"]
    assert len({p["question"] for p in listed}) == len(listed) > 250
    assert rejected == []


def test_the_list_names_headings_that_the_article_has() -> None:
    listed = read(SHIPPED_CONF / "texts/jingyan_pairs.jsonl")
    text = (SHIPPED_CONF / "texts/jingyan.md").read_text(encoding="utf-8")
    headings = {line.strip("# ") for line in text.splitlines() if line.startswith("#")} | {"概述"}
    assert {part for p in listed for part in p["section"].split("/")} <= headings
