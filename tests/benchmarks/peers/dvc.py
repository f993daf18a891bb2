"""The six stages in DVC."""

from __future__ import annotations

import json
import re

from tests.benchmarks.peers.tool import Peer, Plan


class Dvc(Peer):
    """DVC, without version control around it, which it does not need for this."""

    name, package, version = "DVC", "dvc", "3.67.1"

    def prepare(self) -> None:
        """Write dvc.yaml."""
        super().prepare()
        lines = ["stages:"]
        for stage, source, target in self.stages:
            lines += [f"  {stage}:", f"    cmd: python steps.py {stage} {source} {target}"]
            lines += [f"    deps: [{source}]", f"    outs: [{target}]"]
        (self.folder / "dvc.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
        for arguments in (
            ("init", "--no-scm"),
            ("config", "core.analytics", "false"),
            ("config", "core.check_update", "false"),
        ):
            done = self.call(["dvc", *arguments])
            if done.code:
                raise RuntimeError(done.text)

    @property
    def command(self) -> list[str]:
        """`dvc repro`."""
        return ["dvc", "repro"]

    @property
    def environment(self) -> dict[str, str]:
        """Nothing is sent home, and nothing is kept outside the folder."""
        return {**super().environment, "DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(self.folder / ".site")}

    def plans(self) -> list[Plan]:
        """Ask `dvc status` and `dvc repro --dry`."""
        status = self.call(["dvc", "status", "--json"]).text
        told = json.loads(status[status.index("{") :])
        dry = re.findall(r"Running stage '(\w+)'", self.call(["dvc", "repro", "--dry"]).text)
        return [Plan("status", frozenset(told)), Plan("repro --dry", frozenset(dry))]
