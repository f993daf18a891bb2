"""Exports for other trainers: what the files say, where the numbers come from, and what is said where nothing can be exported.

`tests/test_exported.py` has the tools themselves read them.
"""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from ftbuild.cli import main
from ftbuild.exporting.export import Export
from ftbuild.registries import EXPORTERS
from tests.helpers import compose

TOOLS = ("axolotl", "hf", "llamafactory", "trl", "unsloth")
RECIPE = """\
# @package _global_
# Words said aloud.
source:
  words: {source: function, function: "functions/aloud.py:aloud", items: words.txt}
curate: {hold_out: 3}
train: {suffix: aloud, epochs: 2, batch_size: 12, learning_rate: 6.0e-5, seed: 11}
"""
WORDS = [f"{a}{b}" for a in ("lamp", "ship", "rock", "wave") for b in ("wick", "yard", "pool", "side")]


@pytest.fixture
def project(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a project with one recipe, whose rows come from a function."""
    monkeypatch.setenv("COLUMNS", "200")
    (home / "conf/recipe").mkdir(parents=True)
    (home / "conf/functions").mkdir()
    (home / "conf/functions/aloud.py").write_text("def aloud(word):\n    return word[1:] + word[0] + 'ay'\n")
    (home / "conf/recipe/aloud.yaml").write_text(RECIPE)
    (home / "words.txt").write_text("\n".join(WORDS) + "\n")
    return home


def export(tool: str, *words: str) -> Path:
    assert main(["export", tool, "+recipe=aloud", *words]) == 0
    return Path("builds/aloud/export") / tool


def rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def config(folder: Path) -> dict[str, Any]:
    (file,) = folder.glob("*.yaml")
    loaded = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def script(folder: Path) -> dict[str, Any]:
    """Return the settings that a script for Unsloth has."""
    tree = ast.parse((folder / "train.py").read_text(encoding="utf-8"))
    (settings,) = [n.value for n in tree.body if isinstance(n, ast.Assign)]
    value = ast.literal_eval(settings)
    assert isinstance(value, dict)
    return value


def test_there_is_one_for_every_tool() -> None:
    assert tuple(EXPORTERS) == TOOLS


@pytest.mark.parametrize("kind", ["completion", "chat"])
@pytest.mark.parametrize("tool", TOOLS)
def test_all_rows_are_there_in_the_form_of_the_tool(project: Path, tool: str, kind: str) -> None:
    folder = export(tool, f"format={kind}")
    files = {p.name: rows(p) for p in folder.rglob("*.jsonl")}
    assert {name: len(found) for name, found in files.items()} == {"train.jsonl": 13, "test.jsonl": 3}
    row = files["train.jsonl"][0]
    dataset = rows(project / "builds/aloud/dataset.jsonl")
    match tool, kind:
        case "axolotl", "completion":
            assert [s["label"] for s in row["segments"]] == [False, True]
            assert [s["text"] for s in row["segments"]] == list(dataset[0].values())
        case (("trl" | "unsloth"), "chat"):
            assert row["prompt"] + row["completion"] == dataset[0]["messages"]
            assert [t["role"] for t in row["completion"]] == ["assistant"]
        case _:
            assert files["train.jsonl"] == dataset


@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize(
    ("tool", "names"),
    [
        ("trl", ("num_train_epochs", "learning_rate", "seed", "max_length", "lora_r", "model_name_or_path")),
        ("unsloth", ("num_train_epochs", "learning_rate", "seed", "max_length", "", "")),
        ("axolotl", ("num_epochs", "learning_rate", "seed", "sequence_len", "lora_r", "base_model")),
        ("llamafactory", ("num_train_epochs", "learning_rate", "seed", "cutoff_len", "lora_rank", "model_name_or_path")),
    ],
)
def test_the_recipe_s_numbers_arrive(project: Path, tool: str, names: tuple[str, ...], method: str) -> None:
    folder = export(tool, f"train.method={method}")
    said = script(folder) if tool == "unsloth" else config(folder)
    epochs, rate, seed, length, rank, model = names
    assert (said[epochs], said[rate], said[seed], said[length]) == (2, 6e-5, 11, 128)
    batch = said.get("micro_batch_size") or said["per_device_train_batch_size"]
    assert (batch, batch * said["gradient_accumulation_steps"]) == (6, 12)
    assert said["warmup_steps"] == 1
    if model:
        assert said[model] == "HuggingFaceTB/SmolLM2-135M-Instruct"
        assert said.get(rank) == (32 if method == "lora" else None)
    else:
        text = (folder / "train.py").read_text(encoding="utf-8")
        assert f"full_finetuning={method == 'full'}" in text
        assert ("get_peft_model" in text) == (method == "lora")
    page = (folder / "README.md").read_text(encoding="utf-8")
    assert "| learning rate | 6e-05 | train.learning_rate |" in page
    assert "stop=' [DONE]'" in page
    assert project.exists()


@pytest.mark.parametrize(
    ("override", "rate", "said"),
    [
        (
            "train.learning_rate=null",
            4e-4,
            "the recipe leaves it to the trainer; ftbuild's own takes this for full fine-tuning",
        ),
        ("train.method=lora", 1e-3, "for lora fine-tuning of a small model"),
        ("train.learning_rate_multiplier=0.5", 2e-4, "train.learning_rate_multiplier 0.5 × 0.0004"),
    ],
)
def test_what_the_recipe_leaves_open_is_said_where_it_comes_from(project: Path, override: str, rate: float, said: str) -> None:
    folder = export("trl", "train.learning_rate=null", "train.batch_size=null", override)
    assert config(folder)["learning_rate"] == pytest.approx(rate)
    assert said in (folder / "trl.yaml").read_text(encoding="utf-8")
    assert (project / folder / "README.md").read_text(encoding="utf-8").count("ftbuild's own takes this for so many rows") == 1


def test_a_card_says_where_the_dataset_comes_from(home: Path) -> None:
    assert home.exists()
    recipe = compose("recipe=agrippina")
    sources = [{"title": "An opera", "licence": "CC BY-SA", "url": "https://example.org/a"}]
    made = Export(
        recipe.name, "completion", [{"prompt": "a", "completion": "b"}], [], "m", "full", 1, 1, 1.0, 8, 1, 64, 0.0, "#", "!",
        sources=sources,
    )  # fmt: skip
    page = EXPORTERS["hf"](made)["README.md"]
    head = yaml.safe_load(page.split("---")[1])
    assert head["configs"][0]["data_files"] == [{"split": "train", "path": "data/train.jsonl"}]
    assert "- An opera (licence: CC BY-SA, url: https://example.org/a)" in page


def test_the_recipe_is_built_as_far_as_its_rows_and_no_further(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export("trl")
    told = capsys.readouterr()
    assert "built as far as its rows: fetch, clean, structure, generate, curate, format" in told.err
    assert "data/train.jsonl" in told.out
    assert not (project / "builds/aloud/model.json").exists()
    before = (project / "builds/aloud/manifest.json").read_bytes()
    export("hf")
    assert "built" not in capsys.readouterr().err
    assert (project / "builds/aloud/manifest.json").read_bytes() == before


def test_another_folder_and_json(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "llamafactory", "+recipe=aloud", "--to", "elsewhere/x", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["folder"] == "elsewhere/x"
    assert sorted(told["files"]) == sorted(p.name for p in (project / "elsewhere/x").iterdir())
    info = json.loads((project / "elsewhere/x/dataset_info.json").read_text())
    assert info["aloud"]["file_name"] == "train.jsonl"
    assert set(info) == {"aloud", "aloud_test"}


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["export", "+recipe=aloud"], 2, "which tool is it for?"),
        (["export", "trll", "+recipe=aloud"], 2, "there is no export for 'trll'; did you mean 'trl'?"),
        (
            ["export", "trl", "+recipe=aloud", "provider=openai"],
            2,
            "trainer.base_model: the weights of gpt-4.1-mini-2025-04-14 are not to be had",
        ),
        (["export", "trl", "+recipe=aloud", "train.options={noise: -1}"], 2, "-1 is no value for train.noise"),
        (["export", "trl", "+recipe=aloud", "--to"], 2, "--to needs a value"),
        (["export", "trl", "+recipe=aloud", "--to=words.txt/x"], 1, "words.txt/x: cannot be written"),
    ],
)
def test_what_cannot_be_exported(
    project: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, said: str
) -> None:
    assert main(words) == code
    assert said in capsys.readouterr().err
    assert not (project / "builds/aloud/export").exists()
