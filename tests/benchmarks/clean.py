"""Clean and structure many articles and print how fast that is and how much memory it takes: memory must not grow with them.

    python tests/benchmarks/clean.py [--jobs N] [--file ARTICLE] [DOCUMENTS …]

Each document is the article that ships with the recipe, or another, with a number in it.  Memory is the largest sum of the
proportional set sizes (PSS) of the process and those that it starts, sampled four times a second.
"""

from __future__ import annotations

import argparse
import multiprocessing
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self, cast

from tests.benchmarks.recipe import family, memory
from tests.helpers import REPOSITORY, compose


def main() -> int:
    """Run the benchmark, each number of documents in a process of its own."""
    parser = argparse.ArgumentParser()
    parser.add_argument("documents", type=int, nargs="*", default=[100, 1000, 10_000])
    parser.add_argument("--jobs", type=int, default=None)
    parser.add_argument("--file", type=Path, default=REPOSITORY / "conf" / "texts" / "agrippina.wikitext")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        one(given.documents[0], given.file, given.jobs)
        return 0
    for count in given.documents:
        jobs = ["--jobs", str(given.jobs)] if given.jobs else []
        command = [sys.executable, "-m", "tests.benchmarks.clean", "--one", str(count), "--file", str(given.file), *jobs]
        subprocess.run(command, check=True, cwd=REPOSITORY)
    return 0


def one(count: int, article: Path, jobs: int | None) -> None:
    """Clean and structure so many documents, and print a line about it."""
    import ftbuild.stages  # noqa: F401 - registers the stages
    from ftbuild.console import Console
    from ftbuild.records import Document, write_jsonl
    from ftbuild.services import Services
    from ftbuild.stage import STAGES, Task
    from ftbuild.store import Store

    recipe = compose("recipe=agrippina")
    text = article.read_text(encoding="utf-8")
    parts: dict[str, Any] = {"clean": replace(recipe.clean, jobs=jobs), "structure": recipe.structure}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "documents.jsonl"
        write_jsonl(source, (Document(f"{n}", f"Article {n}", f"{n}\n{text}", "wikitext") for n in range(count)))
        size, took = source.stat().st_size / 1e6, {}
        with Sampled() as sampled:
            for stage, inputs in (("clean", "fetch/documents.jsonl"), ("structure", "clean/documents.jsonl")):
                out = folder / stage
                out.mkdir()
                console = Console(quiet=True)
                view = cast("Any", SimpleNamespace(**parts))
                task = Task(view, "", {inputs: source}, out, Services(Store(folder / "store"), console), console)
                started = time.monotonic()
                STAGES[stage].run(task)
                took[stage] = time.monotonic() - started
                source = out / "documents.jsonl"
        told = "  ".join(f"{stage} {size / seconds:6.1f} MB/s {seconds:7.1f} s" for stage, seconds in took.items())
        print(f"{count:>7,} documents {size:8.1f} MB  {told}  memory {sampled.most / 1024:5.0f} MB", flush=True)


class Sampled:
    """Samples the memory of this process and its children while something goes on."""

    def __enter__(self) -> Self:
        self.most, self._over = 0, threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()
        return self

    def _sample(self) -> None:
        own = multiprocessing.current_process().pid or 0
        while not self._over.wait(0.25):
            self.most = max(self.most, sum(memory(pid) for pid in family(own)))

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


if __name__ == "__main__":
    sys.exit(main())
