"""The embedded server with clients that are not Python: the official one for Node, and curl; both scripts are examples, too."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving import PATIENCE, Served, served

SCRIPTS = Path(__file__).resolve().parent / "clients"
NODE_CLIENT = "openai@6.49.0"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("store")) as server:
        yield server


def told(server: Served, *command: str) -> list[str]:
    """Run a script and return the lines that it prints."""
    given = {**os.environ, "OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": server.key, "no_proxy": "127.0.0.1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False, env=given)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def test_curl(server: Served, tiny_model: Path) -> None:
    assert shutil.which("curl"), "this test needs curl (on Debian and Ubuntu: apt install curl)"
    assert told(server, "sh", str(SCRIPTS / "main_path.sh"), str(tiny_model)) == [
        "uploaded rows.jsonl",
        "succeeded: The job has successfully completed",
        "results: step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy",
        "completion: length",
        "chat: assistant",
        "streamed: data: [DONE]",
        "listed: 1",
        'deleted: "deleted":true, "deleted":true',
        "afterwards: model_not_found",
    ]


@pytest.mark.slow
def test_node(server: Served, tiny_model: Path, tmp_path: Path) -> None:
    assert shutil.which("node"), "this test needs Node.js 20 or newer with npm (on Debian and Ubuntu: apt install nodejs npm)"
    install = ["npm", "install", "--silent", "--no-fund", "--no-audit", NODE_CLIENT]
    subprocess.run(install, cwd=tmp_path, check=True, timeout=PATIENCE)
    script = shutil.copy(SCRIPTS / "main_path.mjs", tmp_path)
    assert told(server, "node", str(script), str(tiny_model)) == [
        "uploaded rows.jsonl: 794 bytes",
        "succeeded: The job has successfully completed",
        "results: step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy",
        "completion: length, 8 tokens",
        "streamed the same: true, 8 tokens",
        "listed: true",
        "deleted: true, true",
        "afterwards: NotFoundError 404 model_not_found",
    ]
