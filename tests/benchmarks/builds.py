"""Compare how ftbuild and other build tools behave: `make bench-builds`.

    python tests/benchmarks/builds.py [--only ftbuild,dvc] [--environments DIRECTORY]

Six trivial stages in each tool, fetch → clean → structure → generate → curate → format, over a text of twenty sections, each of
which takes generate a moment.  DVC, Snakemake and pytask are installed with pip into virtual environments: temporary ones, or
those in the directory, which are kept.  Every cell of the table that is printed was seen in this run: the stages and records
are counted by what they wrote to a log themselves, for ftbuild the records by the requests that a scripted teacher got.

CPU seconds are user and system time of a process with its children, medians of alternating runs; the machine should be idle.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # as this is run as a script

from ftbuild.testing import ScriptedProvider
from tests.benchmarks.peers.dvc import Dvc
from tests.benchmarks.peers.own import Ftbuild, teacher
from tests.benchmarks.peers.processes import Running, kill_all, wait_until
from tests.benchmarks.peers.pytask import Pytask
from tests.benchmarks.peers.snakemake import Snakemake
from tests.benchmarks.peers.tool import RECORDS, NotInstalledError, Tool, article

TOOLS: dict[str, type[Tool]] = {"dvc": Dvc, "snakemake": Snakemake, "pytask": Pytask, "ftbuild": Ftbuild}
KILLED_AFTER = 7
TIMES = 5
TIMES_FOR_RATIOS = 11
BARE = """\
import hydra


@hydra.main(version_base="1.3", config_path=".", config_name="empty")
def main(_):
    pass


main()
"""


# ---- the rows: each is given a tool that has built everything once ----


def touched(tool: Tool) -> str:
    """Touch the input."""
    later = tool.source.stat().st_mtime + 10
    os.utime(tool.source, (later, later))
    return _stages(tool)


def cleaned_away(tool: Tool) -> str:
    """Edit the input so that `clean` gives the same."""
    tool.write(article(comment="second"))
    return _stages(tool)


def gone_back(tool: Tool) -> str:
    """Edit the input so that everything changes, build that, and go back."""
    tool.write(article(word="captain"))
    assert len(tool.build().stages) == len(_SIX)
    tool.write(article())
    return _stages(tool)


def deleted(tool: Tool) -> str:
    """Delete an output in the middle."""
    file = tool.intermediate
    file.unlink()
    ran = _stages(tool)
    return f"{ran}, {'there again' if file.exists() else 'stays away'}"


def tampered(tool: Tool) -> str:
    """Change the last output by hand."""
    right = tool.final.read_bytes()
    tool.final.chmod(0o644)
    tool.final.write_bytes(right + b"tampered\n")
    ran = tool.build()
    if tool.final.read_bytes() != right:
        return "not noticed"
    return f"rerun ({len(ran.stages)})" if ran.stages else "restored"


def planned(tool: Tool) -> str:
    """Compare what is said before a build with what then runs, for an edit that `clean` undoes and for one that it does not."""
    said: dict[str, list[str]] = {}
    ran, right = [], True
    for text in (article(comment="second"), article(word="captain")):
        tool.write(text)
        plans = tool.plans()
        stages = frozenset(tool.build().stages)
        ran.append(str(len(stages)))
        for plan in plans:
            right = right and plan.certain <= stages <= plan.certain | plan.perhaps
            said.setdefault(plan.said_by, []).append(
                f"{len(plan.certain)}{f' (perhaps {len(plan.perhaps)} more)' if plan.perhaps else ''}"
            )
    told = "; ".join(f"{by} says {' and '.join(numbers)}" for by, numbers in said.items())
    return f"{'yes' if right else 'no'}: {told}; {' and '.join(ran)} run"


def idle(tool: Tool) -> str:
    """Build with nothing to do."""
    command = tool.whole if isinstance(tool, Ftbuild) else tool.command
    if isinstance(tool, Ftbuild):
        tool.call(command)
    tool.read_log()
    times = [cpu(tool, command) for _ in range(TIMES)]
    assert not any(tool.read_log()), "something ran"
    return f"{statistics.median(times):.2f} ({min(times):.2f}–{max(times):.2f})"


# ---- the rows that are given a tool that has built nothing yet ----


def killed(tool: Tool) -> tuple[str, str]:
    """Kill a build in the middle of generate, look, and build again."""
    running = tool.start()
    wait_until(lambda: tool.logged().count("record") >= KILLED_AFTER, running)
    running.kill()
    _, before = tool.read_log()
    truncated = "yes" if tool.truncated() else "no"
    again = tool.build(well=False)
    refused = ""
    if again.code:
        flag = tool.repair()
        refused = f"refuses without {flag}, then "
        again = tool.ended(Running([*tool.command, flag], tool.folder, tool.environment))
    goes_on = again.records <= RECORDS - before + 1  # what was in flight is lost
    how = "goes on at the next record" if goes_on else "begins generate again"
    return truncated, f"{refused}{len(again.stages)} stages; {how} ({before} before, {again.records} of {RECORDS} now)"


def at_once(tool: Tool) -> str:
    """Start two builds."""
    builds = [tool.start(), tool.start()]
    codes = sorted(b.end().code for b in builds)
    ran = tool.ended(*builds, well=False)
    told = f"{len(ran.stages)} stages, {ran.records} records"
    if codes[0]:
        return f"both fail ({told})"
    if codes[1]:
        return f"second fails ({told})"
    once = sorted(ran.stages) == sorted(_SIX) and ran.records == RECORDS
    return f"{'each stage once, both succeed' if once else 'work done twice'} ({told})"


_SIX = ("fetch", "clean", "structure", "generate", "curate", "format")

ROWS: dict[str, Callable[[Tool], str]] = {
    "touch an input: stages that rerun": touched,
    "edit an input so that `clean` gives the same output": cleaned_away,
    "go back to the old input": gone_back,
    "an intermediate output deleted": deleted,
    "final output tampered with": tampered,
    "`kill -9` inside generate: truncated file visible": lambda _: "",
    "the same command afterwards": lambda _: "",
    "two builds at once": at_once,
    "plan says what will run": planned,
    "no-op, CPU seconds (median, range)": idle,
}
KILL_ROWS = [name for name, row in ROWS.items() if row.__name__ == "<lambda>"]


def _stages(tool: Tool) -> str:
    return str(len(tool.build().stages))


def cpu(tool: Tool, command: list[str]) -> float:
    """Return the CPU seconds of a command.  RuntimeError if it fails."""
    ended = tool.call(command)
    if ended.code:
        raise RuntimeError(ended.text)
    return ended.cpu


def column(kind: type[Tool], folder: Path) -> dict[str, str]:
    """Return the cells of one tool, each from a folder of its own."""
    cells = {}
    for number, (name, row) in enumerate(ROWS.items()):
        if name == KILL_ROWS[1]:
            continue
        print(f"{kind.name}: {name}", file=sys.stderr)
        tool = kind(folder / str(number))
        if name == KILL_ROWS[0]:
            cells.update(zip(KILL_ROWS, killed(tool), strict=True))
            continue
        if row is not at_once:
            first = tool.build()
            assert first.stages == _SIX, (first.stages, first.text)
            assert first.records == RECORDS, first.records
        cells[name] = row(tool)
    return cells


def ratios(folder: Path) -> list[str]:
    """Return the lines that compare ftbuild with an application of Hydra's that does nothing, in alternating runs."""
    tool = Ftbuild(folder / "whole")
    tool.call(tool.whole)
    bare = folder / "bare"
    bare.mkdir()
    (bare / "app.py").write_text(BARE, encoding="utf-8")
    (bare / "empty.yaml").write_text("", encoding="utf-8")
    commands = {"bare": [sys.executable, str(bare / "app.py")], "build": tool.whole, "plan": tool.whole_plan}
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(TIMES_FOR_RATIOS):
        for name, command in commands.items():
            times[name].append(cpu(tool, command))
    medians = {name: statistics.median(found) for name, found in times.items()}
    lines = [f"bare `@hydra.main` application: {medians['bare']:.2f} CPU seconds (median of {TIMES_FOR_RATIOS})"]
    for name, what in (("build", "no-op build, all ten stages"), ("plan", "`ftbuild plan`, all ten stages")):
        lines.append(f"{what}: {medians[name]:.2f}, {medians[name] / medians['bare']:.2f} × the bare application")
    return lines


def table(columns: dict[str, dict[str, str]]) -> Iterable[str]:
    """Yield the lines of a table in Markdown."""
    yield f"| | {' | '.join(columns)} |"
    yield "|---" * (len(columns) + 1) + "|"
    for name in ROWS:
        yield f"| {name} | {' | '.join(cells.get(name, '–') for cells in columns.values())} |"


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(TOOLS), help="the tools, with commas between them")
    parser.add_argument("--environments", type=Path, help="where the others' virtual environments are kept")
    arguments = parser.parse_args()
    wanted = arguments.only.split(",")
    if strangers := set(wanted) - set(TOOLS):
        parser.error(f"there is no tool {', '.join(sorted(strangers))}; there are {', '.join(TOOLS)}")
    columns: dict[str, dict[str, str]] = {}
    missing, lines = [], []
    with tempfile.TemporaryDirectory(prefix="ftbuild-benchmark-") as name, ScriptedProvider(teacher) as Ftbuild.provider:
        folder = Path(name)
        try:
            for kind in (TOOLS[tool] for tool in wanted):
                try:
                    kind.install((arguments.environments or folder / "environments").absolute())
                except NotInstalledError as error:
                    missing.append(f"{kind.name} could not be installed, and is left out: {error}")
                    continue
                columns[f"{kind.name} {kind.version}"] = column(kind, folder / kind.name)
            lines = ratios(folder) if "ftbuild" in wanted else []
        finally:
            kill_all()
    print("\n".join([*table(columns), "", *lines, *missing]))
    return int(bool(missing))


if __name__ == "__main__":
    raise SystemExit(main())
