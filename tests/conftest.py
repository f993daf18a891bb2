"""What the tests share: a scripted web server, a working directory of a user's own, a very small model."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

import ftbuild
from ftbuild.local.launch import running
from ftbuild.testing import Training
from tests import workshop as workshops
from tests.asking import connect
from tests.tiny import write_tiny_model
from tests.web import Web
from tests.workshop import Workshop

# Servers, trainers and other processes that the tests start must find the package, installed or not.
os.environ["PYTHONPATH"] = os.pathsep.join(
    p for p in (str(Path(ftbuild.__file__).parents[1]), os.environ.get("PYTHONPATH", "")) if p
)


@pytest.fixture
def web() -> Iterator[Web]:
    """Run a web server that answers as it is told."""
    with Web() as server:
        yield server


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in an empty directory, as a user would, with nobody's keys in the environment."""
    for name in [n for n in os.environ if n.startswith("OPENAI_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a language model of a few thousand random weights, which trains in a second."""
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def answering(tmp_path_factory: pytest.TempPathFactory) -> Iterator[openai.OpenAI]:
    """Run an embedded server for all tests that only ask it, and return a client of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")  # the model is so small that threads would only wait for each other
        with running(tmp_path_factory.mktemp("answering")) as server, connect(server) as client:
            yield client


@pytest.fixture(scope="session")
def built_workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """Build a small project once; tests work in copies of it."""
    with workshops.provider() as provider:
        made = Workshop.at(tmp_path_factory.mktemp("workshop") / "project", provider)
        assert made.build() == list(workshops.STAGES)
        yield made


@pytest.fixture
def workshop(built_workshop: Workshop, tmp_path: Path) -> Iterator[Workshop]:
    """Return a copy of a small project that was built once; requests count from here on."""
    yield built_workshop.copy(tmp_path / "project")
    provider = built_workshop.provider
    provider.training, provider.fault, provider.lost = Training(), None, None
