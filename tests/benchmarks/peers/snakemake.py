"""The six stages in Snakemake."""

from __future__ import annotations

import re

from tests.benchmarks.peers.tool import Peer, Plan


class Snakemake(Peer):
    """Snakemake on one core, as it comes."""

    name, package, version = "Snakemake", "snakemake", "9.27.1"

    def prepare(self) -> None:
        """Write the Snakefile."""
        super().prepare()
        rules = [
            f'rule {stage}:\n    input: "{source}"\n    output: "{target}"\n'
            f'    shell: "python steps.py {stage} {{input}} {{output}}"\n'
            for stage, source, target in reversed(self.stages)  # the first rule is what is built
        ]
        (self.folder / "Snakefile").write_text("\n".join(rules), encoding="utf-8")

    @property
    def command(self) -> list[str]:
        """`snakemake --cores 1`."""
        return ["snakemake", "--cores", "1"]

    def plans(self) -> list[Plan]:
        """Ask `snakemake -n`."""
        told = self.call(["snakemake", "-n"]).text
        return [Plan("-n", frozenset(re.findall(r"(?m)^(?:local)?rule (\w+):", told)))]

    def repair(self) -> str:
        """Unlock the folder, and allow what was left incomplete to be made again."""
        self.call(["snakemake", "--unlock"])
        return "--rerun-incomplete"
