"""`ftbuild recipes`: what there is to build."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ftbuild.cli import Arguments
    from ftbuild.console import Console


def recipes(_: Arguments, console: Console) -> int:
    """List the recipes, the user's own in ./conf/recipe and those that are shipped.

    ftbuild recipes [--json]
    """
    from ftbuild import config

    found = config.described_recipes()
    if console.as_json:
        console.json([{"name": n, "file": f, "summary": s} for n, f, s in found])
    else:
        console.table("", ("Recipe", "What it makes", "File"), [(n, s, f) for n, f, s in found], styles=("bold", "", "dim"))
        console.result()
        console.result("Build one with  ftbuild +recipe=NAME")
    return 0
