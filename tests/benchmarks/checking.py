"""Check many training rows, and say how long it takes: `python tests/benchmarks/checking.py [ROWS]`.

Rows of prompt and completion and chat rows, counted in OpenAI's tokens and in those of the bundled model; each in a process of
its own.  Printed: rows a second, processor seconds, tokens, and the most memory above that of an empty run.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # for this is run as a script

WORDS = [
    "keeper",
    "lantern",
    "harbour",
    "winter",
    "letter",
    "captain",
    "island",
    "storm",
    "promise",
    "garden",
    "bridge",
    "river",
]
MODELS = ("gpt-4.1-nano", "smollm2-135m-instruct")


def write(file: Path, kind: str, count: int) -> None:
    """Write rows such as a recipe makes."""
    chance = random.Random(7)

    def some(least: int, most: int) -> str:
        return " ".join(chance.choices(WORDS, k=chance.randint(least, most)))

    with file.open("w", encoding="utf-8") as rows:
        for number in range(count):
            asked, told = f"Who {some(4, 10)} {number}?", some(1, 6)
            turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": told}]
            plain = {"prompt": f"{asked}\n\n###\n\n", "completion": f"{told} [DONE]"}
            rows.write(json.dumps(plain if kind == "completion" else {"messages": turns}) + "\n")


def measure(file: Path, model: str) -> None:
    """Check a file in this process, and print what it took."""
    from ftbuild.checking.reading import Lines
    from ftbuild.checking.running import about, check
    from ftbuild.recipe import Provider
    from ftbuild.tokens import encoding

    known = about(Provider(kind="openai" if encoding(model) else "local"), model)
    known.counter.count_messages([{"role": "user", "content": "load"}])
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    found = check(iter(Lines(file)), known)
    took, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
    print(
        f"{file.stem:<10} {model:<22} {found.rows / took:8,.0f} rows/s  {after.ru_utime + after.ru_stime:5.1f} CPU s  "
        f"{found.tokens:,} tokens  {(after.ru_maxrss - before) // 1024} MB",
        flush=True,
    )


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("rows", nargs="?", type=int, default=100_000)
    parser.add_argument("--one", nargs=2)
    options = parser.parse_args()
    if options.one:
        measure(Path(options.one[0]), options.one[1])
        return 0
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("completion", "chat"):
            file = Path(folder) / f"{kind}.jsonl"
            write(file, kind, options.rows)
            for model in MODELS:
                subprocess.run([sys.executable, __file__, "--one", str(file), model], check=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
