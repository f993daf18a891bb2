"""A build tool as the benchmark sees it: a folder with an input, commands to build and to plan, and a log of what ran."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tests.benchmarks.peers import steps
from tests.benchmarks.peers.processes import Ended, Running

RECORDS = 20
FILES = ("fetched", "cleaned", "structured", "generated", "curated", "formatted")


def article(*, comment: str = "first", word: str = "keeper") -> str:
    """Return the input: a text of as many sections as there are to be records, with a comment that `clean` drops."""
    sections = [f"== Room {n} ==\nIn room {n} the {word} kept {n} lamps, and nobody else.\n" for n in range(1, RECORDS + 1)]
    return f"<!-- {comment} -->\n" + "".join(sections)


class NotInstalledError(Exception):
    """A tool cannot be installed here."""


@dataclass(frozen=True)
class Ran:
    """A build that ended: its exit code, the stages that ran, the records that were made, what it printed."""

    code: int
    stages: tuple[str, ...]
    records: int
    text: str = ""


@dataclass(frozen=True)
class Plan:
    """What a command says that a build would run: for certain, and perhaps."""

    said_by: str
    certain: frozenset[str]
    perhaps: frozenset[str] = frozenset()


class Tool(ABC):
    """A build tool with the six stages in a folder of its own.

    `source` is the input, `final` what people look at, `intermediate` an output in the middle.
    """

    name: ClassVar[str]
    version: ClassVar[str] = ""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True)
        self.source, self.final = folder / "input.txt", folder / "formatted.txt"
        self.prepare()

    # ---- what each tool has its own way of ----

    @classmethod
    @abstractmethod
    def install(cls, where: Path) -> None:
        """Install the tool, if it is not.  NotInstalledError says why it cannot be."""

    @abstractmethod
    def prepare(self) -> None:
        """Write the tool's files and the input."""

    @property
    @abstractmethod
    def command(self) -> list[str]:
        """The command that builds."""

    @abstractmethod
    def plans(self) -> list[Plan]:
        """Ask what a build would run, in every way there is."""

    def repair(self) -> str:
        """Do what the tool asks for after it was killed, and return that in words; nothing if there is no such thing."""
        return ""

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the tool's processes."""
        kept = {k: v for k, v in os.environ.items() if k in ("PATH", "LANG", "TMPDIR")}
        return {**kept, "HOME": str(self.folder), "COLUMNS": "200", "STAGES_LOG": str(self.log)}

    @property
    def intermediate(self) -> Path:
        """An output in the middle: of `structure`."""
        return self.folder / "structured.txt"

    def truncated(self) -> bool:
        """Say whether a part of what generate was to write can be taken for the whole."""
        file = self.folder / "generated.txt"
        return file.exists() and len(file.read_text(encoding="utf-8").splitlines()) < RECORDS

    # ---- what is the same for all ----

    @property
    def log(self) -> Path:
        """The file that every stage writes its name to when it begins."""
        return self.folder.with_suffix(".log")

    def start(self) -> Running:
        """Begin to build."""
        return Running(self.command, self.folder, self.environment)

    def call(self, command: Sequence[str]) -> Ended:
        """Run some command in the folder."""
        return Running(command, self.folder, self.environment).end()

    def cpu(self, command: Sequence[str], said: str = "") -> float:
        """Run a command, and return the CPU seconds that it took.  RuntimeError if it fails, or does not say something."""
        ended = self.call(command)
        if ended.code or said not in ended.text:
            raise RuntimeError(f"{self.name} failed:\n{ended.text}")
        return ended.cpu

    def idle(self) -> float:
        """Build with nothing to do, and return the CPU seconds that it took.  RuntimeError if something ran."""
        took = self.cpu(self.command)
        if any(self.read_log()):
            raise RuntimeError(f"{self.name} ran something")
        return took

    def build(self, *, well: bool = True) -> Ran:
        """Build.  RuntimeError if that should go well and does not."""
        return self.ended(self.start(), well=well)

    def ended(self, *running: Running, well: bool = True) -> Ran:
        """Wait for builds to end, and return what they did since the log was last read."""
        ends = [r.end() for r in running]
        code, text = max(e.code for e in ends), "\n".join(e.text for e in ends)
        if well and code:
            raise RuntimeError(f"{self.name} failed:\n{text}")
        return Ran(code, *self.read_log(), text)

    def read_log(self) -> tuple[tuple[str, ...], int]:
        """Return the stages that ran and the number of records that were made since this was last asked."""
        words = self.logged()
        self.log.unlink(missing_ok=True)
        return tuple(w for w in words if w in steps.STAGES), words.count("record")

    def logged(self) -> list[str]:
        """Return the words of the log."""
        return self.log.read_text(encoding="utf-8").split() if self.log.exists() else []

    def write(self, text: str) -> None:
        """Replace the input."""
        self.source.write_text(text, encoding="utf-8")


class Peer(Tool):
    """Somebody else's tool, from a virtual environment of its own."""

    package: ClassVar[str]
    bin: ClassVar[Path]

    @classmethod
    def install(cls, where: Path) -> None:
        """Install the tool with pip, into a virtual environment."""
        cls.bin = where / f"{cls.package}-{cls.version}" / "bin"
        if (cls.bin / cls.package).exists():
            return
        requirement = f"{cls.package}=={cls.version}"
        pip = [str(cls.bin / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", requirement]
        for command in ([sys.executable, "-m", "venv", str(cls.bin.parent)], pip):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                shutil.rmtree(cls.bin.parent, ignore_errors=True)
                said = (done.stderr or done.stdout).strip().splitlines()
                raise NotInstalledError(f"{requirement}: {said[-1] if said else 'failed'}")

    def prepare(self) -> None:
        """Write the stages and the input."""
        shutil.copy(Path(steps.__file__), self.folder / "steps.py")
        self.write(article())

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the tool's processes, with the virtual environment in front."""
        known = super().environment
        return {**known, "PATH": f"{self.bin}{os.pathsep}{known['PATH']}"}

    @property
    def stages(self) -> list[tuple[str, str, str]]:
        """Each stage with the file that it reads and the one that it writes."""
        files = [f"{name}.txt" for name in ("input", *FILES)]
        return list(zip(steps.STAGES, files, files[1:], strict=False))
