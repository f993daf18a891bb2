"""Exports, read by the tools that they are for: each lays the rows out so that just the answer is learned.

The tools lie in environments of their own, which `make test-exports` makes; a tool that is not there is passed over.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ftbuild.cli import main
from tests.helpers import REPOSITORY

ENVIRONMENTS = Path(os.environ.get("FTBUILD_EXPORTS", REPOSITORY / ".venv/exports"))
PYTHONS = {"trl": "trl", "unsloth": "trl", "hf": "trl", "axolotl": "axolotl", "llamafactory": "llamafactory"}
CALM = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "DISABLE_VERSION_CHECK": "1", "CUDA_VISIBLE_DEVICES": "", "CI": "1"}

pytestmark = pytest.mark.slow


def loaded(tool: str, folder: Path) -> dict[str, Any]:
    """Run the program that loads an export with its tool, and return what that says."""
    python = ENVIRONMENTS / PYTHONS[tool] / "bin/python"
    if not python.exists():
        pytest.skip(f"{tool} is not in {ENVIRONMENTS}: make test-exports")
    program = REPOSITORY / "tests/exported" / f"with_{tool}.py"
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | CALM | {"HF_HOME": str(folder / "cache")}
    done = subprocess.run(
        [str(python), str(program)], cwd=folder, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert isinstance(told, dict)
    return told


@pytest.fixture
def project(home: Path, tiny_model: Path) -> str:
    """Make a project with one recipe of a few words, for the tiny model; return the override that names that."""
    (home / "conf/recipe").mkdir(parents=True)
    (home / "conf/functions").mkdir()
    (home / "conf/functions/aloud.py").write_text("def aloud(word):\n    return word[1:] + word[0] + 'ay'\n")
    (home / "words.txt").write_text("\n".join(f"lamp{chr(97 + n)}" for n in range(20)) + "\n")
    (home / "conf/recipe/aloud.yaml").write_text(
        "# @package _global_\n"
        "source:\n  words: {source: function, function: 'functions/aloud.py:aloud', items: words.txt}\n"
        "curate: {hold_out: 4}\n"
        "train: {epochs: 2, batch_size: 4, learning_rate: 6.0e-5}\n"
    )
    return f"trainer.base_model={tiny_model}"


@pytest.mark.parametrize("kind", ["completion", "chat"])
@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize("tool", ["trl", "axolotl", "llamafactory"])
def test_a_tool_learns_just_the_answer(project: str, tool: str, method: str, kind: str) -> None:
    assert main(["export", tool, "+recipe=aloud", project, f"format={kind}", f"train.method={method}"]) == 0
    told = loaded(tool, Path("builds/aloud/export") / tool)
    assert (told["rows"], told["learning_rate"], told["lora"]) == (16, 6e-5, method == "lora")
    assert told.get("unknown", []) == []
    assert told["length"] >= 64
    row = json.loads(Path("builds/aloud/dataset.jsonl").read_text(encoding="utf-8").splitlines()[0])
    if kind == "completion":
        assert told["told"] == row["prompt"]
        assert told["learned"].removesuffix("<|im_end|>") == row["completion"]
    else:
        asked, answered = row["messages"]
        assert asked["content"] in told["told"]
        assert answered["content"] not in told["told"]
        assert told["learned"].strip().removesuffix("<|im_end|>") == answered["content"]


@pytest.mark.parametrize("method", ["full", "lora"])
def test_the_script_for_unsloth_has_settings_that_trl_takes(project: str, method: str) -> None:
    assert main(["export", "unsloth", "+recipe=aloud", project, f"train.method={method}"]) == 0
    told = loaded("unsloth", Path("builds/aloud/export/unsloth"))
    assert (told["rows"], told["learning_rate"]) == (16, 6e-5)


def test_datasets_reads_the_folder_for_the_hub(project: str) -> None:
    assert main(["export", "hf", "+recipe=aloud", project]) == 0
    told = loaded("hf", Path("builds/aloud/export/hf"))
    assert told == {"rows": 16, "splits": ["test", "train"], "columns": ["prompt", "completion"]}
