"""Compare how ftbuild and other build tools behave: `make bench-builds`.

    python tests/benchmarks/builds.py [--only ftbuild,dvc] [--environments DIRECTORY]

Six trivial stages in each tool, fetch → clean → structure → generate → curate → format, over a text of twenty sections, each of
which takes generate a moment.  DVC, Snakemake and pytask are installed with pip into virtual environments: temporary ones, or
those in the directory, which are kept.  Every cell of the table that is printed was seen in this run: the stages and records
are counted by what they wrote to a log themselves, for ftbuild the records by the requests that a scripted teacher got.

CPU seconds are user and system time of a process and its children.  ftbuild's are those of a whole build, all ten stages, and
are compared with an application of Hydra's that does nothing, in alternating runs.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # for this is run as a script

from ftbuild.testing import ScriptedProvider
from tests.benchmarks.peers.dvc import Dvc
from tests.benchmarks.peers.own import Ftbuild, teacher
from tests.benchmarks.peers.processes import kill_all
from tests.benchmarks.peers.pytask import Pytask
from tests.benchmarks.peers.rows import ROWS
from tests.benchmarks.peers.snakemake import Snakemake
from tests.benchmarks.peers.steps import STAGES
from tests.benchmarks.peers.tool import RECORDS, NotInstalledError, Tool

TOOLS: dict[str, type[Tool]] = {"dvc": Dvc, "snakemake": Snakemake, "pytask": Pytask, "ftbuild": Ftbuild}
TIMES = 11
BARE = """\
import hydra


@hydra.main(version_base="1.3", config_path=".", config_name="empty")
def main(_):
    pass


main()
"""


def column(kind: type[Tool], folder: Path) -> dict[str, str]:
    """Return the cells of one tool by row, each tried in a folder of its own."""
    cells: dict[str, str] = {}
    for number, row in enumerate(ROWS):
        print(f"{kind.name}: {', '.join(row.names)}", file=sys.stderr)
        tool = kind(folder / str(number))
        if not row.anew:
            first = tool.build()
            if (first.stages, first.records) != (STAGES, RECORDS):
                raise RuntimeError(f"{kind.name} did not run everything: {first}")
        cells |= zip(row.names, row.seen(tool), strict=True)
    return cells


def ratios(folder: Path) -> list[str]:
    """Return the lines that compare ftbuild with an application of Hydra's that does nothing, in alternating runs."""
    tool, bare = Ftbuild(folder / "whole"), folder / "bare"
    tool.call(tool.whole)
    bare.mkdir()
    (bare / "app.py").write_text(BARE, encoding="utf-8")
    (bare / "empty.yaml").write_text("", encoding="utf-8")
    runs: dict[str, Callable[[], float]] = {
        "bare `@hydra.main` application": lambda: tool.cpu([sys.executable, str(bare / "app.py")]),
        "no-op build, all ten stages": tool.idle,
        "`ftbuild plan`, all ten stages": lambda: tool.cpu(tool.whole_plan),
    }
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(TIMES):
        for name, run in runs.items():
            times[name].append(run())
    medians = {name: statistics.median(found) for name, found in times.items()}
    least = next(iter(medians.values()))
    return [f"- {name}: {cpu:.3f} CPU seconds, {cpu / least:.2f} × bare (median of {TIMES})" for name, cpu in medians.items()]


def table(columns: dict[str, dict[str, str]]) -> Iterator[str]:
    """Yield the lines of a table in Markdown."""
    yield f"| | {' | '.join(columns)} |"
    yield "|---" * (len(columns) + 1) + "|"
    for name in (name for row in ROWS for name in row.names):
        yield f"| {name} | {' | '.join(cells[name] for cells in columns.values())} |"


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(TOOLS), help="some of the tools, with commas between them")
    parser.add_argument("--environments", type=Path, help="where the other tools' virtual environments are kept")
    arguments = parser.parse_args()
    wanted = arguments.only.split(",")
    if strangers := [name for name in wanted if name not in TOOLS]:
        parser.error(f"there is no tool {', '.join(strangers)}; there are {', '.join(TOOLS)}")
    columns: dict[str, dict[str, str]] = {}
    missing, compared = [], []
    with tempfile.TemporaryDirectory(prefix="ftbuild-benchmark-") as name, ScriptedProvider(teacher) as Ftbuild.provider:
        folder = Path(name)
        try:
            for kind in (TOOLS[tool] for tool in wanted):
                try:
                    kind.install((arguments.environments or folder / "environments").absolute())
                except NotInstalledError as error:
                    missing.append(f"{kind.name} {kind.version} is left out, as it cannot be installed: {error}")
                    continue
                columns[f"{kind.name} {kind.version}"] = column(kind, folder / kind.name)
            compared = ratios(folder) if "ftbuild" in wanted else []
        finally:
            kill_all()
    print("\n".join([*table(columns), "", *compared, *missing]))
    return int(bool(missing))


if __name__ == "__main__":
    raise SystemExit(main())
