"""Sweeps: Hydra runs the jobs, in this process or elsewhere; here is what each leaves behind and what becomes of them together.

In: a job's number and its overrides, from Hydra.  Out: `builds/sweep-NAME/NUMBER/`, a job's results and `job.json`, how it
ended; then `index.html` and a table of all jobs.  Files, because with some launchers a job runs on another machine.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftbuild.digest import digest
from ftbuild.errors import FtbuildError
from ftbuild.store import read_json, write_json, write_text

if TYPE_CHECKING:
    from ftbuild.memo import Composed

KEY = "sweep_name"
"""The key that tells a job which sweep it belongs to."""

PURSE = "spending.json"
"""What the jobs of a sweep have spent together, in its folder, as long as they run."""

_GROUP = "sweep"
_JOB = "job.json"


@dataclass(frozen=True)
class Job:
    """One job of a sweep: the sweep's name, the job's number, and its overrides without those that are ours."""

    sweep: str
    number: int
    overrides: tuple[str, ...]

    def label(self, common: Collection[str]) -> str:
        """Return what is particular to this job, given the overrides that all jobs have."""
        return " ".join(o for o in self.overrides if o not in common)

    def folder(self, beside: Path) -> Path:
        """Return where the job's results go, given where those of the plain recipe go."""
        return folder_of(beside.parent, self.sweep) / str(self.number)


@dataclass(frozen=True)
class Ended:
    """How a job ended: its score, and what its results cost when they were made, be it in an earlier run or another job.

    `paid` is what this run added to that.  Dollars are None where prices are not known, the score where nothing was asked.
    """

    number: int
    overrides: tuple[str, ...]
    recipe: str = ""
    error: str = ""
    score: float | None = None
    usd: float | None = None
    tokens: int = 0
    seconds: float = 0.0
    model: str = ""
    paid: float | None = 0.0

    def save(self, folder: Path) -> None:
        """Leave word of how the job ended."""
        write_json(folder / _JOB, asdict(self))


def folder_of(builds: Path, sweep: str) -> Path:
    """Return where the results of a sweep lie."""
    return builds / f"sweep-{sweep}"


def job_of(composed: Composed) -> Job | None:
    """Return the job of a sweep that this is, or None if it is a run by itself."""
    name = next((o.partition("=")[2] for o in composed.overrides if o.lstrip("+").startswith(f"{KEY}=")), "")
    if not name or composed.number is None:
        return None
    told = (_as_typed(o) for o in composed.overrides)
    return Job(name, composed.number, tuple(o for o in told if o.partition("=")[0] != KEY))


def _as_typed(override: str) -> str:
    """Return an override as its user wrote it, without what was put before it and without Hydra's quotes and escapes."""
    key, equals, value = override.lstrip("+").partition("=")
    if match := re.fullmatch(r"'([^']*[^\x00-\x7f][^']*)'", value):
        return f"{key}={match[1]}"
    return key + equals + re.sub(r"\\(.)", r"\1", value)


def named(overrides: Sequence[str]) -> str:
    """Return the name of the sweep that a command line asks for: those of its file and recipe, or one made of its words."""
    words = sorted(o.lstrip("+") for o in overrides)
    given = {key: value for key, _, value in (word.partition("=") for word in words)}
    option, recipe = given.get(_GROUP, ""), re.sub(r"[^A-Za-z0-9_-]+", "-", given.get("recipe", ""))
    if option:
        return f"{option}-{recipe}"
    return f"s{digest(words)[:8]}"  # with a letter before it, as Hydra reads 91e51322 as a number


def begin(folder: Path) -> None:
    """Forget how the jobs of an earlier run of a sweep ended, and what they spent; what they built is in the store."""
    (folder / PURSE).unlink(missing_ok=True)
    for file in folder.glob(f"*/{_JOB}"):
        file.unlink(missing_ok=True)


def ended(folder: Path) -> list[Ended]:
    """Return how the jobs of a sweep ended, in their order."""
    told = [record for file in folder.glob(f"*/{_JOB}") if isinstance(record := read_json(file), dict)]
    return sorted((Ended(**{**t, "overrides": tuple(t["overrides"])}) for t in told), key=lambda e: e.number)


def varied(jobs: Sequence[Ended]) -> list[str]:
    """Return the keys in which the jobs of a sweep differ, in the order in which they were given."""
    settings = [_settings(job) for job in jobs]
    keys = list(dict.fromkeys(key for one in settings for key in one))
    return [k for k in keys if len({one.get(k) for one in settings}) > 1] or keys[:1]


def rows(jobs: Sequence[Ended]) -> Iterator[tuple[Ended, list[str]]]:
    """Yield each job with its values of the keys in which they differ."""
    keys = varied(jobs)
    for job in jobs:
        settings = _settings(job)
        yield job, [settings.get(k, "") for k in keys]


def best(jobs: Sequence[Ended]) -> Ended | None:
    """Return the job with the highest score, the first of several."""
    scored = [job for job in jobs if job.score is not None]
    return max(scored, key=lambda j: j.score or 0.0) if scored else None


def _settings(job: Ended) -> dict[str, str]:
    return {o.partition("=")[0]: o.partition("=")[2] for o in job.overrides}


def write_page(folder: Path, name: str, jobs: Sequence[Ended]) -> Path:
    """Write the page of a sweep and return where it lies."""
    from ftbuild.reporting.sweep import page

    file = folder / "index.html"
    try:
        write_text(file, page(name, varied(jobs), [_row(job, values) for job, values in rows(jobs)], best(jobs)))
    except OSError as error:
        raise FtbuildError(f"cannot write {file}: {error.strerror}") from error
    return file


def _row(job: Ended, values: Sequence[str]) -> Mapping[str, Any]:
    return {**asdict(job), "values": list(values)}
