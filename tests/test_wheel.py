"""The wheel: built from this repository, installed into an environment of its own, used from an empty directory.

Nothing is downloaded: the environment sees the packages that run the tests, but ftbuild comes from the wheel.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Callable
from email.parser import Parser
from pathlib import Path

import pytest

from ftbuild import __version__
from ftbuild.testing import ScriptedProvider, Training, numbered_pairs
from tests.helpers import REPOSITORY

pytestmark = pytest.mark.slow

RECIPE = """\
# @package _global_
# Somebody who knows otters.
defaults:
  - override /provider: openai_compatible
  - override /clean: none
  - _self_
source:
  text: {source: file, path: texts/otters.txt, title: Otters}
prompts:
  otters: {file: otters.j2, pairs: 12}
vars: {animal: otter}
provider:
  api_key_env: OTTER_KEY
  models: {teacher: scripted-teacher, base: scripted-base}
trainer: {poll_seconds: 0.05}
evaluate:
  probes:
    food: {question: "What do otters eat?", grade: {grader: contains, any_of: [fish]}}
"""
TEMPLATE = "Write {{ pairs }} questions about the {{ animal }}.\n\n{{ text }}\n"
TEXT = "Otters live in rivers. They eat fish. They sleep in a holt.\n"

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel as pip does."""
    folder = tmp_path_factory.mktemp("wheel")
    build = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(REPOSITORY)]
    subprocess.run([sys.executable, "-m", "pip", "--disable-pip-version-check", *build], check=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel into an environment of its own, and return its folder of commands."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin/python"
    install = ["install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(python), *install], check=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    others = dict.fromkeys(sysconfig.get_paths()[name] for name in ("purelib", "platlib"))
    (folder / "lib" / version / "site-packages" / "others.pth").write_text("\n".join(others) + "\n")
    return folder / "bin"


@pytest.fixture
def run(environment: Path, tmp_path: Path) -> Run:
    """Return a function that runs a command of the environment in an empty directory."""
    ours = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV") and not k.startswith("OPENAI_")}
    home = tmp_path / "home"
    home.mkdir()

    def command(name: str, *argv: str, key: str = "") -> subprocess.CompletedProcess[str]:
        env = {**ours, "OTTER_KEY": key, "COLUMNS": "200"}
        return subprocess.run([environment / name, *argv], cwd=home, env=env, capture_output=True, text=True, check=False)

    return command


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return the directory that `run` stands in, with a recipe, a prompt and a text in it."""
    folder = tmp_path / "home"
    for name, text in (
        ("conf/recipe/otters.yaml", RECIPE), ("prompts/otters.j2", TEMPLATE), ("texts/otters.txt", TEXT),
    ):  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_it_holds_everything_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as content:
        names = set(content.namelist())
        metadata = next(n for n in names if n.endswith(".dist-info/METADATA"))
        told = Parser().parsestr(content.read(metadata).decode())
    package = {p.relative_to(REPOSITORY).as_posix() for p in (REPOSITORY / "ftbuild").rglob("*") if p.is_file()}
    shipped = [p for folder in ("conf", "prompts") for p in (REPOSITORY / folder).rglob("*") if p.is_file()]
    wanted = {*package, *(f"ftbuild/{p.relative_to(REPOSITORY).as_posix()}" for p in shipped)}
    wanted = {n for n in wanted if "__pycache__" not in n}
    info = metadata.partition("/")[0]
    assert {n for n in names if not n.startswith(f"{info}/")} == wanted
    assert "ftbuild/py.typed" in names
    assert (told["Name"], told["Version"], told["License-Expression"]) == ("ftbuild", __version__, "Apache-2.0")
    assert f"{info}/licenses/LICENSE" in names


def test_the_installed_package_is_the_one_that_runs(run: Run, environment: Path) -> None:
    where = run("python", "-c", "import ftbuild; print(ftbuild.__file__)").stdout.strip()
    assert Path(where).is_relative_to(environment.parent)
    assert run("ftbuild", "--version").stdout == f"ftbuild {__version__}\n"
    assert run("python", "-m", "ftbuild", "--version").stdout == f"ftbuild {__version__}\n"


def test_shipped_recipes_are_listed_and_planned_from_an_empty_directory(run: Run, tmp_path: Path) -> None:
    listed = json.loads(run("ftbuild", "recipes", "--json").stdout)
    assert {r["name"] for r in listed} == {p.stem for p in (REPOSITORY / "conf/recipe").glob("*.yaml")}
    assert {r["file"] for r in listed} == {"shipped"}
    for recipe in listed:
        planned = run("ftbuild", "plan", f"+recipe={recipe['name']}", "--json")
        assert planned.returncode == 0, planned.stderr
        assert json.loads(planned.stdout)["stages"][0]["verdict"] == "run"
    assert list((tmp_path / "home").iterdir()) == []


def test_a_recipe_of_the_users_own_is_planned_built_and_asked(run: Run, home: Path) -> None:
    before = sorted(p for p in home.rglob("*") if p.is_file())
    assert "otters" in {r["name"] for r in json.loads(run("ftbuild", "recipes", "--json").stdout)}
    replies = numbered_pairs(12)
    with ScriptedProvider(replies, tuned_reply="They eat fish.", training=Training()) as provider:
        recipe = ["+recipe=otters", f"provider.base_url={provider.base_url}"]
        planned = run("ftbuild", "plan", *recipe, "--json")
        assert planned.returncode == 0, planned.stderr
        assert sorted(p for p in home.rglob("*") if p.is_file()) == before
        assert provider.requests == []

        built = run("ftbuild", *recipe, key=provider.api_key)
        assert built.returncode == 0, built.stderr
        assert len(provider.jobs) == 1
        assert "about the otter." in provider.asked[0].prompt
        assert "They sleep in a holt." in provider.asked[0].prompt
        folder = home / "builds/otters"
        assert len((folder / "dataset.jsonl").read_text().splitlines()) == 12
        assert json.loads((folder / "score.json").read_text())["after"] == 1
        assert "Otters" in (folder / "report.html").read_text()

        asked = len(provider.requests)
        again = run("ftbuild", *recipe, key=provider.api_key)
        assert (again.returncode, "nothing to do" in again.stdout) == (0, True)
        assert len(provider.requests) == asked
        answer = run("ftbuild", "ask", *recipe, "What do otters eat?", key=provider.api_key)
        assert (answer.returncode, answer.stdout) == (0, "They eat fish.\n")


def test_the_embedded_server_starts_from_it(run: Run) -> None:
    script = (
        "import urllib.request as r\nfrom pathlib import Path\nfrom ftbuild.local.launch import running\n"
        "with running(Path('state')) as s: print(r.urlopen(s.base_url.replace('/v1', '/health')).read().decode())\n"
    )
    done = run("python", "-c", script)
    assert json.loads(done.stdout) == {"status": "ok", "version": __version__}, done.stderr
