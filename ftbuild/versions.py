"""Versions of installed packages, for the keys of stages whose results depend on them.

`importlib.metadata` takes as long to import as a tenth of a build with nothing to do; the folders' names tell the same.
"""

from __future__ import annotations

import os
import re
import sys
from functools import cache


@cache
def version(package: str) -> str:
    """Return the version of an installed package, or an empty text if there is none."""
    return _installed().get(_normalised(package), "") or _looked_up(package)


def versions(*packages: str) -> dict[str, str]:
    """Return the versions of those of some packages that are installed, by name."""
    return {f"package {name}": found for name in packages if (found := version(name))}


@cache
def _installed() -> dict[str, str]:
    found: dict[str, str] = {}
    for folder in sys.path:
        try:
            entries = os.listdir(folder or ".")  # noqa: PTH208 - only the names, and quickly
        except OSError:
            continue
        for entry in entries:
            if match := re.fullmatch(r"(.+)-([^-]+)\.dist-info", entry):
                found.setdefault(_normalised(match[1]), match[2])  # the first on the path is the one that is imported
    return found


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _looked_up(package: str) -> str:
    from importlib import metadata  # packages that are installed in some other way

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
