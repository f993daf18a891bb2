"""`docs/tutorial.py` against `ftbuild serve`: with a very small model, and with the bundled one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving import Served, served

SCRIPT = Path(__file__).resolve().parents[1] / "docs/tutorial.py"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("store")) as server:
        yield server


def run(server: Served, *words: str) -> str:
    """Run the tutorial and return what it prints."""
    given = {**os.environ, "OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": server.key}
    command = [sys.executable, str(SCRIPT), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False, env=given)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("The job has successfully completed") == 2
    assert done.stdout.endswith("deleted: True\n")
    return done.stdout


def test_the_tutorial_works_again(server: Served, tiny_model: Path) -> None:
    told = run(server, "--model", str(tiny_model), "--words", "10", "--epochs", "1")
    assert "step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy" in told


@pytest.mark.slow
def test_the_tutorial_teaches(server: Served) -> None:
    told = run(server, "--words", "12", "--epochs", "6")
    before, after = told.split("before: ")[1].split("\n", 1)
    assert "Otho" not in before.partition("\n")[0]
    assert "Otho, the commander of his army." in after  # from the training rows, word for word
