"""A small project of a user's own, and a scripted provider, to build in again and again and to see what is done each time.

The recipe is small and the provider answers at once, so that a build takes as long as its Python.  `run` builds in this
process, `start` in one of its own; both run the real command line against a real server.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from unittest import mock

from ftbuild.cli import main
from ftbuild.digest import digest_file
from ftbuild.testing import Reply, Request, ScriptedProvider, numbered_pairs

TEACHER, BASE, KEY, URL = "scripted-teacher", "scripted-base", "SCRIPTED_KEY", "SCRIPTED_URL"
JOBS = "/fine_tuning/jobs"
STAGES = ("fetch", "clean", "structure", "generate", "curate", "format", "baseline", "train", "evaluate", "report")
PAIRS = 3

RECIPE = """\
# @package _global_
# An expert on a lighthouse that there never was.
defaults:
  - override /provider: openai_compatible
  - _self_

provider:
  base_url: ${oc.env:SCRIPTED_URL}
  api_key_env: SCRIPTED_KEY
  retries: 0
  models: {teacher: scripted-teacher, base: scripted-base}

source:
  article: {source: file, path: texts/article.wikitext, title: Saltmere Light}

prompts:
  facts: {file: facts.j2, pairs: 3, seed: 1}
  reasons: {file: reasons.j2, pairs: 3, seed: 2}

format:
  prompt: "About the lighthouse, {{ section }}: {{ question }}"
  separator: "\\n\\n###\\n\\n"
  stop: " [DONE]"

train:
  suffix: saltmere
  epochs: 2

trainer:
  poll_seconds: 0.01

evaluate:
  probes:
    keeper:
      question: Who was the first keeper?
      grade: {grader: contains, any_of: [Maud Trevanion]}
"""

ARTICLE = """\
The '''Saltmere Light''' is a lighthouse.<!-- a comment of the editors -->

== History ==
It was begun in 1811. A storm took the first tower in 1814.

== Tower ==
The tower is built of granite. It is thirty metres high.

== Keepers ==
The first keeper was Maud Trevanion. She kept the light for forty years.
"""

FACTS = "Write {{ pairs }} facts, as pairs, about the section {{ section }}:\n{{ text }}\n"
REASONS = "Write {{ pairs }} reasons, as pairs, about the section {{ section }}:\n{{ text }}\n"
SECTIONS = 4
REQUESTS = 2 * SECTIONS


@dataclass
class Ran:
    """How one command ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document on stdout."""
        assert self.code == 0, self.err
        return json.loads(self.out)

    @property
    def ran(self) -> list[str]:
        """The stages that a build ran."""
        return cast("list[str]", self.json["ran"])


@dataclass
class Workshop:
    """The project's directory, the provider, and how many of its requests and jobs there were before."""

    folder: Path
    provider: ScriptedProvider
    seen: int = 0
    old: int = 0
    environment: dict[str, str] = field(default_factory=dict)

    @classmethod
    def at(cls, folder: Path, provider: ScriptedProvider, article: str = ARTICLE) -> Workshop:
        """Lay the project out in a folder."""
        files = {"conf/recipe/lighthouse.yaml": RECIPE, "texts/article.wikitext": article}
        files |= {"prompts/facts.j2": FACTS, "prompts/reasons.j2": REASONS}
        made = cls(folder, provider, len(provider.requests), len(provider.jobs))
        for name, text in files.items():
            made.write(name, text)
        return made

    def copy(self, folder: Path) -> Workshop:
        """Return a copy of everything here, whose requests count from now on."""
        shutil.copytree(self.folder, folder)
        return Workshop(folder, self.provider, len(self.provider.requests), len(self.provider.jobs), self.environment)

    # ---- its files ----

    def write(self, name: str, text: str) -> None:
        """Write a file of the project."""
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(text, encoding="utf-8")

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace what occurs once in a file of the project."""
        text = (self.folder / name).read_text(encoding="utf-8")
        assert text.count(old) == 1
        self.write(name, text.replace(old, new))

    def read(self, name: str) -> str:
        """Return a readable result."""
        return (self.folder / "builds" / "lighthouse" / name).read_text(encoding="utf-8")

    def files(self) -> dict[str, tuple[int, int]]:
        """Return all files and folders with the times of their last changes and their sizes."""
        found = {p: p.stat() for p in [self.folder, *self.folder.rglob("*")]}
        return {str(p.relative_to(self.folder)): (s.st_mtime_ns, s.st_size if p.is_file() else 0) for p, s in found.items()}

    @property
    def store(self) -> Path:
        """Where the store lies."""
        return self.folder / ".ftbuild"

    def damaged(self) -> list[str]:
        """Return the objects of the store and the visible results that are not whole."""
        objects = {f: f.parent.name + f.name for f in (self.store / "objects").rglob("*") if f.is_file()}
        found = [str(f) for f, name in objects.items() if digest_file(f) != name]
        for file in (f for f in (self.folder / "builds").rglob("*") if f.is_file() and not f.name.startswith(".")):
            if file.name == "manifest.json":
                assert isinstance(json.loads(file.read_bytes()), dict)
            elif digest_file(file) not in objects.values():
                found.append(str(file))
        return found

    # ---- commands ----

    @property
    def _variables(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("OPENAI_")}
        return {**kept, KEY: self.provider.api_key, URL: self.provider.base_url, **self.environment}

    def run(self, *words: str, verb: str = "build", recipe: str = "lighthouse") -> Ran:
        """Run ftbuild here, in this process."""
        given = [verb, f"+recipe={recipe}"] if verb in ("build", "plan", "ask") else [verb]
        return self.call(*given, *words)

    def call(self, *words: str) -> Ran:
        """Run ftbuild here, in this process, with just these words."""
        out, err = io.StringIO(), io.StringIO()
        with (
            contextlib.chdir(self.folder),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            mock.patch.dict(os.environ, self._variables, clear=True),
        ):
            code = main(words)
        return Ran(code, out.getvalue(), err.getvalue())

    def build(self, *words: str) -> list[str]:
        """Build in this process and return the stages that ran."""
        return self.run(*words, "--json").ran

    def plan(self, *words: str) -> dict[str, str]:
        """Return the verdict on each stage."""
        return {s["stage"]: s["verdict"] for s in self.run(*words, "--json", verb="plan").json["stages"]}

    def start(self, *words: str, first: str = "") -> subprocess.Popen[str]:
        """Start ftbuild here, in a process of its own, which runs a piece of Python first."""
        program = ["-c", f"{first}\nfrom ftbuild.cli import main\nraise SystemExit(main())"] if first else ["-m", "ftbuild"]
        return subprocess.Popen(
            [sys.executable, *program, *words],
            cwd=self.folder,
            env=self._variables,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def process(self, *words: str, first: str = "") -> Ran:
        """Build in a process of its own, to its end, with JSON on stdout."""
        return finish(self.start("+recipe=lighthouse", *words, "--json", first=first))

    # ---- what the provider saw ----

    @property
    def requests(self) -> list[Request]:
        """What the provider has been sent since this object was made or `forget` was called."""
        return self.provider.requests[self.seen :]

    def forget(self) -> None:
        """Count requests from here on."""
        self.seen = len(self.provider.requests)

    def asked(self, model: str = TEACHER) -> list[Request]:
        """Return the requests that asked a model something."""
        return [r for r in self.requests if r.path.endswith("/completions") and r.model == model]

    @property
    def prompts(self) -> Counter[str]:
        """What the teacher was asked, and how often."""
        return Counter(r.prompt for r in self.asked())

    @property
    def jobs(self) -> list[dict[str, Any]]:
        """The jobs that were created since this object was made."""
        return self.provider.jobs[self.old :]

    @property
    def created(self) -> int:
        """How often somebody asked for a job."""
        return sum((r.method, r.path) == ("POST", JOBS) for r in self.requests)


def finish(process: subprocess.Popen[str]) -> Ran:
    """Wait for a process to end."""
    with process:
        out, err = process.communicate(timeout=120)
    assert process.returncode is not None
    return Ran(process.returncode, out, err)


def answer(request: Request) -> Reply:
    """Answer as everybody does here: the teacher writes pairs, the base model knows nothing."""
    return numbered_pairs(PAIRS)(request) if request.model == TEACHER else "Nobody knows."


@contextlib.contextmanager
def provider(reply: Callable[[Request], Reply] = answer) -> Iterator[ScriptedProvider]:
    """Run a provider whose tuned models know who the first keeper was."""
    with ScriptedProvider(reply, tuned_reply="Maud Trevanion [DONE]") as made:
        yield made


def wait_for(what: Callable[[], object], seconds: float = 60) -> None:
    """Wait until something is so, which another process brings about."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def sections(prompts: Counter[str]) -> set[str]:
    """Return the sections that prompts are about."""
    return {m[1] for p in prompts if (m := re.search(r"section (\w+)", p))}
