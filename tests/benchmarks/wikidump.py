"""Read a dump of any size: seconds, megabytes a second of one core's time, and the memory that it takes.

    python tests/benchmarks/wikidump.py [--pages 2000 20000 100000] [DUMP …]

Without a dump, some are made: pages of random words of about 4,000 characters, as a multistream bzip2 with an index.  Each line
is a process of its own: all pages through the stage `fetch`, those of a category that few have, and five titles by the index.
"""

from __future__ import annotations

import argparse
import bz2
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.dumps import HEAD, TAIL, Page, page

_EACH = 100  # pages of a stream, as in the dumps of large wikis
_WAYS = ("all", "category", "titles")


def pages(count: int) -> Iterator[Page]:
    """Yield pages of random words; every thousandth is in a category."""
    words = random.Random(7)
    known = ["".join(words.choices("abcdefghijklmnoprstuvw", k=words.randint(2, 11))) for _ in range(20_000)]
    for n in range(count):
        text = " ".join(words.choices(known, k=560))
        yield Page(f"Page {n}", f"'''Page {n}''' {text}" + ("\n[[Category:Few]]" if n % 1000 == 0 else ""))


def make(folder: Path, count: int) -> Path:
    """Write a multistream dump and its index."""
    file = folder / f"made{count}-pages-articles-multistream.xml.bz2"
    index = folder / f"made{count}-pages-articles-multistream-index.txt.bz2"
    with file.open("wb") as out, bz2.open(index, "wt", encoding="utf-8") as lines:
        out.write(bz2.compress(HEAD.encode()))
        held: list[str] = []
        for n, told in enumerate(pages(count), start=1):
            held.append(page(n, told))
            lines.write(f"{out.tell()}:{n}:{told.title}\n")
            if len(held) == _EACH or n == count:
                out.write(bz2.compress("".join(held).encode(), 1))
                held = []
        out.write(bz2.compress(TAIL.encode()))
    return file


def measure(way: str, dump: Path) -> None:
    """Read a dump in one way, and print what that took."""
    from ftbuild.console import Console
    from ftbuild.registries import SOURCES
    from ftbuild.services import Services
    from ftbuild.stage import Task
    from ftbuild.stages.fetch import fetch
    from ftbuild.store import Store

    given = {"titles": tuple(f"Page {n * 331 % 1999}" for n in range(5))} if way == "titles" else {}
    given |= {"category": "Few"} if way == "category" else {}  # type: ignore[dict-item]
    with tempfile.TemporaryDirectory(dir=dump.parent) as folder:
        console = Console(quiet=True)
        recipe = type("Slice", (), {"source": {"dump": SOURCES.use("wikidump", path=str(dump), **given)}})
        task = Task(recipe, "", {}, Path(folder), Services(Store(Path(folder) / "store"), console), console)  # type: ignore[arg-type]
        began, busy = time.perf_counter(), time.process_time()
        fetch(task)
        took, busy = time.perf_counter() - began, time.process_time() - busy
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    size = dump.stat().st_size / 1e6
    print(f"{dump.name[:40]:<40} {size:7.1f} MB  {way:<9} {task.facts['documents']:>7,} documents {took:7.2f} s "
          f"{size / busy:6.1f} MB/s a core  {peak:4.0f} MB memory", flush=True)  # fmt: skip


def main() -> None:
    """Make dumps, or take those that are given, and measure each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("dumps", nargs="*", type=Path)
    parser.add_argument("--pages", nargs="*", type=int, default=[2000, 20_000, 100_000])
    parser.add_argument("--way", choices=_WAYS)
    asked = parser.parse_args()
    if asked.way:
        measure(asked.way, asked.dumps[0])
        return
    with tempfile.TemporaryDirectory(prefix="ftbuild-dumps-") as folder:
        for dump in asked.dumps or (make(Path(folder), count) for count in asked.pages):
            for way in _WAYS:
                subprocess.run([sys.executable, __file__, "--way", way, str(dump)], check=True)


if __name__ == "__main__":
    main()
