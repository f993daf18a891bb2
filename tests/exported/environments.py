"""Make an environment for each tool that exports are for: `python tests/exported/environments.py DIRECTORY`.

PyTorch and whatever else is heavy is taken from the environment that this runs in; the tools themselves, and what they need of
other versions, are installed without their dependencies.  Unsloth needs a GPU to be imported, and is tried with TRL.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

DATA = ("datasets==5.2.0", "pyarrow==24.0.0", "multiprocess==0.70.19", "dill==0.4.1", "xxhash==4.1.0")
TOOLS = {
    "trl": ("trl==1.16.0", *DATA),
    "axolotl": ("axolotl==0.19.0", "addict", "colorama", "fire", "art", "hf_transfer", *DATA),
    "llamafactory": (
        "llamafactory==0.9.5", "trl==0.24.0", "transformers==5.6.0", "tokenizers==0.22.2", "huggingface-hub>=1.5,<2", *DATA,
        "datasets==4.0.0",
    ),
}  # fmt: skip


def make(folder: Path, tool: str) -> None:
    """Make one environment, unless it is there."""
    if (folder / ".made").exists():
        return
    venv.create(folder, with_pip=True, clear=True)
    packages = list({p.split("=")[0].split(">")[0]: p for p in TOOLS[tool]}.values())  # the last of two versions
    pip = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, *packages], check=True)
    (own,) = (folder / "lib").glob("python*/site-packages")
    (own / "zz_shared.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (folder / ".made").touch()


def main() -> int:
    """Make all of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("directory", type=Path)
    directory = parser.parse_args().directory
    for tool in TOOLS:
        sys.stderr.write(f"{tool}: {directory / tool}\n")
        make(directory / tool, tool)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
