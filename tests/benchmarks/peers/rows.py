"""What is tried with each tool, row by row, and how what was seen is told in a cell."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable
from dataclasses import dataclass

from tests.benchmarks.peers.processes import Running, wait_until
from tests.benchmarks.peers.steps import STAGES
from tests.benchmarks.peers.tool import RECORDS, Tool, article

KILLED_AFTER = 7
TIMES = 5


@dataclass(frozen=True)
class Row:
    """One or more rows of the table, and the function that is given a tool and returns their cells.

    The tool has a folder of its own, in which it has built everything once, unless it is `anew`.
    """

    names: tuple[str, ...]
    seen: Callable[[Tool], tuple[str, ...]]
    anew: bool = False


def touched(tool: Tool) -> tuple[str]:
    """Touch the input."""
    later = tool.source.stat().st_mtime + 10
    os.utime(tool.source, (later, later))
    return (stages_of(tool),)


def cleaned_away(tool: Tool) -> tuple[str]:
    """Edit the input so that `clean` gives the same."""
    tool.write(article(comment="second"))
    return (stages_of(tool),)


def gone_back(tool: Tool) -> tuple[str]:
    """Edit the input so that everything changes, build that, and go back."""
    tool.write(article(word="captain"))
    if len(tool.build().stages) != len(STAGES):
        raise RuntimeError(f"{tool.name}: another input did not run everything")
    tool.write(article())
    return (stages_of(tool),)


def deleted(tool: Tool) -> tuple[str]:
    """Delete an output in the middle."""
    file = tool.intermediate
    file.unlink()
    ran = stages_of(tool)
    return (f"{ran}, {'there again' if file.exists() else 'stays away'}",)


def tampered(tool: Tool) -> tuple[str]:
    """Change the last output by hand."""
    right = tool.final.read_bytes()
    tool.final.write_bytes(right + b"tampered\n")
    ran = tool.build()
    if tool.final.read_bytes() != right:
        return ("not noticed",)
    return (f"rerun ({len(ran.stages)})" if ran.stages else "restored",)


def killed(tool: Tool) -> tuple[str, str]:
    """Kill a build in the middle of generate, look, and build again."""
    running = tool.start()
    wait_until(lambda: tool.logged().count("record") >= KILLED_AFTER, running)
    running.kill()
    _, before = tool.read_log()
    truncated = "yes" if tool.truncated() else "no"
    again, refused = tool.build(well=False), ""
    if again.code and (flag := tool.repair()):
        refused = f"refuses without {flag}, then "
        again = tool.ended(Running([*tool.command, flag], tool.folder, tool.environment))
    goes_on = again.records <= RECORDS - before + 1  # what was in flight is lost
    how = "goes on at the next record" if goes_on else "begins generate again"
    told = f"{len(again.stages)} stages; {how} ({before} before, {again.records} of {RECORDS} now)"
    return truncated, f"{refused}{told}" if not again.code else f"fails ({told})"


def at_once(tool: Tool) -> tuple[str]:
    """Start two builds at the same time."""
    builds = [tool.start(), tool.start()]
    failed = sum(build.end().code != 0 for build in builds)
    ran = tool.ended(*builds, well=False)
    told = f"({len(ran.stages)} stages, {ran.records} records)"
    if failed:
        return (f"{'both fail' if failed == len(builds) else 'second fails'} {told}",)
    once = sorted(ran.stages) == sorted(STAGES) and ran.records == RECORDS
    return (f"{'each stage once, both succeed' if once else 'work done twice'} {told}",)


def planned(tool: Tool) -> tuple[str]:
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
            more = f" (perhaps {len(plan.perhaps)} more)" if plan.perhaps else ""
            said.setdefault(plan.said_by, []).append(f"{len(plan.certain)}{more}")
    told = "; ".join(f"{by} says {' and '.join(numbers)}" for by, numbers in said.items())
    return (f"{'yes' if right else 'no'}: {told}; {' and '.join(ran)} run",)


def idle(tool: Tool) -> tuple[str]:
    """Build with nothing to do."""
    times = [tool.idle() for _ in range(TIMES)]
    return (f"{statistics.median(times):.2f} ({min(times):.2f}–{max(times):.2f})",)


def stages_of(tool: Tool) -> str:
    """Build, and return how many stages ran."""
    return str(len(tool.build().stages))


ROWS = (
    Row(("touch an input: stages that rerun",), touched),
    Row(("edit an input so that `clean` gives the same output",), cleaned_away),
    Row(("go back to the old input",), gone_back),
    Row(("an intermediate output deleted",), deleted),
    Row(("final output tampered with",), tampered),
    Row(("`kill -9` inside generate: truncated file visible", "the same command afterwards"), killed, anew=True),
    Row(("two builds at once",), at_once, anew=True),
    Row(("plan says what will run",), planned),
    Row(("no-op, CPU seconds (median, range)",), idle),
)
