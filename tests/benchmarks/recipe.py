"""Build a recipe afresh and print what it scores, how long it takes and how much memory: `make bench`.

    python tests/benchmarks/recipe.py [RECIPE] [OVERRIDE …]

Memory is the largest sum of the proportional set sizes (PSS) of the build and its processes, sampled every two seconds.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main() -> int:
    """Run the benchmark."""
    recipe, *overrides = sys.argv[1:] or ["agrippina"]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "ftbuild", f"+recipe={recipe}", f"store={folder}/store", f"builds={folder}/builds"]
        started = time.monotonic()
        build = subprocess.Popen([*command, *overrides, "--json"], stdout=subprocess.PIPE)
        peak = 0
        while build.poll() is None:
            peak = max(peak, sum(memory(pid) for pid in family(build.pid)))
            time.sleep(2)
        took = time.monotonic() - started
        assert build.stdout is not None
        if build.returncode:
            return build.returncode
        told = json.load(build.stdout)
    score, facts = told["score"], {name: stage["facts"] for name, stage in told["stages"].items()}
    print(f"{recipe}: {score['questions']} probes, {score['before']:.0%} right before tuning, {score['after']:.0%} after")
    stages = ", ".join(f"{name} {told['seconds']:.0f}" for name, told in facts.items() if told["seconds"] >= 1)
    print(f"time   {took:.0f} s ({stages})")
    print(f"memory {peak / 2**20:.1f} GB at most")
    print(f"ratio  {took / 600:.2f} of the ten minutes that a build may take, {peak / 2**20 / 6:.2f} of the 6 GB")
    return 0


def family(pid: int) -> set[int]:
    """Return a process and all its descendants."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text().rpartition(")")
        except OSError:
            continue
        parents[int(name.split()[0])] = int(rest.split()[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def memory(pid: int) -> int:
    """Return a process's proportional set size in kilobytes."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


if __name__ == "__main__":
    raise SystemExit(main())
