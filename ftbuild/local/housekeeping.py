"""What the embedded server has kept on disk, and removing it, without a server that runs.  Needs no torch.

In: the folder of a server's state.  Out: the models that it tuned, with their folders.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from ftbuild.local.state import State


def tuned_models(folder: Path) -> list[tuple[str, Path]]:
    """Return the tuned models whose weights are there, with the folders of their jobs."""
    if not (folder / "state.db").is_file():
        return []
    state = State(folder)
    try:
        jobs = [j for j in state.jobs() if j["status"] == "succeeded" and j["fine_tuned_model"]]
        return [(j["fine_tuned_model"], p) for j in jobs if (p := state.job_folder(j["id"])).is_dir()]
    finally:
        state.close()


def forget_model(folder: Path, model: str) -> None:
    """Remove a tuned model's job folder.  The job stays known, and is one without a model."""
    for name, path in tuned_models(folder):
        if name == model:
            shutil.rmtree(path)
