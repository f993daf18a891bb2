"""A working directory and a scripted provider, to run the shipped recipe `agrippina` in, as its user would.

After every command, nothing that it printed or wrote may hold the key.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from ftbuild.cli import main
from ftbuild.testing import Reply, Request, Script, ScriptedProvider, numbered_pairs
from tests.helpers import REPOSITORY

TEACHER, BASE = "scripted-teacher", "scripted-base"
KEY = "SCRIPTED_KEY"
JOBS = "/fine_tuning/jobs"
SYNOPSIS = (REPOSITORY / "conf/texts/agrippina.wikitext").read_text("utf-8").split("\n== Synopsis")[1].split("\n== ")[0]
SECTIONS = 1 + len(re.findall(r"(?m)^=== ", SYNOPSIS))
PAIRS = 20
THRONE = "Who does Agrippina plot to secure the throne for?"


@dataclass
class Ran:
    """How one command ended, and what it printed."""

    code: int
    out: str
    err: str


@dataclass
class Place:
    """A working directory, a provider, and which of the provider's requests and jobs come from here."""

    folder: Path
    provider: ScriptedProvider
    its_requests: tuple[int, int | None] = (0, None)
    its_jobs: tuple[int, int | None] = (0, None)
    printed: str = ""

    def run(self, *overrides: str, verb: str = "build", key: str | None = "", base_url: str = "") -> Ran:
        """Run ftbuild here, in this process, with the provider's key unless told of another one or of none."""
        key = self.provider.api_key if key == "" else key
        environment = {k: v for k, v in os.environ.items() if not k.startswith("OPENAI_") and k != KEY}
        environment |= {KEY: key} if key else {}
        out, err = io.StringIO(), io.StringIO()
        with (
            contextlib.chdir(self.folder),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            mock.patch.dict(os.environ, environment, clear=True),
        ):
            code = main([verb, *arguments(base_url or self.provider.base_url), *overrides])
        self.check(out.getvalue() + err.getvalue(), key)
        return Ran(code, out.getvalue(), err.getvalue())

    def start(self, *overrides: str) -> subprocess.Popen[str]:
        """Start ftbuild here, in a process of its own."""
        command = [sys.executable, "-m", "ftbuild", *arguments(self.provider.base_url), *overrides]
        environment = {**os.environ, KEY: self.provider.api_key}
        return subprocess.Popen(
            command, cwd=self.folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def check(self, printed: str, *others: str | None) -> None:
        """Fail if a key was printed or written."""
        for key in filter(None, (self.provider.api_key, *others)):
            where = [str(f) for f in self.folder.rglob("*") if f.is_file() and key.encode() in f.read_bytes()]
            assert not where, "a key was written"
            assert key not in printed, "a key was printed"

    @property
    def requests(self) -> list[Request]:
        """What the provider has been sent here."""
        return self.provider.requests[slice(*self.its_requests)]

    @property
    def jobs(self) -> list[dict[str, Any]]:
        """The jobs that were created here."""
        return self.provider.jobs[slice(*self.its_jobs)]

    @property
    def created(self) -> int:
        """How often somebody tried to create a job."""
        return sum(r.method == "POST" and r.path == JOBS for r in self.requests)

    def asked(self, *models: str) -> list[Request]:
        """Return the requests that asked one of these models."""
        return [r for r in self.requests if r.path.endswith("/completions") and r.model in models]

    def read(self, name: str) -> str:
        """Return a file of the build."""
        return (self.folder / "builds" / "agrippina" / name).read_text(encoding="utf-8")

    def records(self, name: str) -> list[Any]:
        """Return the records of a file of the build."""
        return [json.loads(line) for line in self.read(name).split("\n") if line]

    def output(self, stage: str, name: str) -> str:
        """Return what a stage put out, by way of the manifest."""
        digest = str(json.loads(self.read("manifest.json"))["stages"][stage]["outputs"][name])
        return (self.folder / ".ftbuild" / "objects" / digest[:2] / digest[2:]).read_text(encoding="utf-8")

    def files(self) -> dict[Path, int]:
        """Return all files here with the time of their last change."""
        return {p: p.stat().st_mtime_ns for p in self.folder.rglob("*") if p.is_file()}


def arguments(base_url: str) -> list[str]:
    return [
        "+recipe=agrippina",
        "provider=openai_compatible",
        f"provider.base_url={base_url}",
        f"provider.models.teacher={TEACHER}",
        f"provider.models.base={BASE}",
        f"provider.api_key_env={KEY}",
        "provider.retries=2",
        "prompts=article",
        "kinds=none",
        "~source.questions",
        "train.epochs=2",
        "trainer.poll_seconds=0.01",
    ]


def teacher(reply: Callable[[Request], Reply] | None = None) -> Script:
    """Return a script in which the teacher writes pairs (or what `reply` says) and the base model knows nothing."""
    write = reply or numbered_pairs(PAIRS)
    return lambda request: write(request) if request.model == TEACHER else "Otho, of course [DONE] and more"


def about(request: Request) -> tuple[str, str]:
    """Return the section and the subsection that a teacher was asked about."""
    heading = re.search(r'section "([^"]+)"', request.prompt)
    assert heading
    names = heading[1].split(" – ")
    return names[0], names[-1]
