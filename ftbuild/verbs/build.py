"""`ftbuild`, without a verb: build a recipe; and the jobs of a sweep, which are builds too."""

from __future__ import annotations

import time
import traceback
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ftbuild import prices
from ftbuild.console import Console, seconds
from ftbuild.errors import FtbuildError, Interrupted
from ftbuild.making import Made, make
from ftbuild.words import none

if TYPE_CHECKING:
    from ftbuild.cli import Arguments
    from ftbuild.config import Build
    from ftbuild.memo import Composed
    from ftbuild.sweep import Ended


def build(build: Build, arguments: Arguments, console: Console) -> tuple[int, float | None]:
    """Build a recipe: run what has to run, and show what came out.  What is done already is not done again.

    ftbuild +recipe=NAME [KEY=VALUE …] [--json]

      until=STAGE         build no further: fetch, clean, structure, generate, curate, format, baseline, train, evaluate, report
      force=[STAGE,…]     run these again; what gives the same as before ends there
      check=rebuild       make everything but the model a second time, and name what differs
      offline=true        ask nobody; what is not in the store is an error
      locked=true         refuse whatever would change ftbuild.lock (for CI); lock=null builds without one
      lock_timeout=60     how many seconds to wait for another build that is at the same work
      store=DIRECTORY     where everything is kept; several projects may share one
    """
    none(arguments.words)
    started = time.monotonic()
    made = make(build, console)
    if console.as_json:
        console.json(_summary(build, made))
    elif made.manifest is None:
        until = f" until {build.options.until}" if build.options.until else f"; see {build.folder / 'report.html'}"
        console.result(f"{build.recipe.name}: nothing to do{_scored(made, ' ({})')}{until}")
    elif build.options.until:
        what = f"ran {', '.join(made.ran)}" if made.ran else "put back what was made before"
        console.result(
            f"{build.recipe.name}: done until {build.options.until}; {what}, in {seconds(time.monotonic() - started)}"
        )
    else:
        _show(build, made, console, time.monotonic() - started)
    return 0, made.score


def _show(build: Build, made: Made, console: Console, took: float) -> None:
    from ftbuild.records import read_jsonl
    from ftbuild.store import read_json

    folder = build.folder
    before, after = (list(read_jsonl(folder / name)) for name in ("baseline.jsonl", "answers.jsonl"))
    model = read_json(folder / "model.json")
    rows = [
        (a["question"], _mark(b) + _short(b["answer"]), _mark(a) + _short(a["answer"]))
        for b, a in zip(before, after, strict=True)
    ]
    console.result()
    console.table("", ("Question", model["base_model"], "tuned"), rows, styles=("", "dim", ""))
    console.result()
    restored = "" if made.ran else "; nothing had to run"
    console.result(f"{build.recipe.name}: {_scored(made, '{}')}, in {seconds(took)}{restored}")
    console.result(f"  dataset  {folder / 'dataset.jsonl'}  ({made.done['format'].facts['rows']} rows)")
    console.result(f"  model    {model['model']}")
    console.result(f"  report   {folder / 'report.html'}")
    if cost := _cost(made):
        console.result(f"  cost     {cost}")
    question = next(iter(build.recipe.evaluate.probes.values())).question if build.recipe.evaluate.probes else "…"
    console.result(f'  ask it   ftbuild ask +recipe={build.recipe.name} "{question}"')


def _cost(made: Made) -> str:
    """Return what a build has cost and what it was quoted at; nothing if nobody was paid."""
    from ftbuild.budget import dollars

    told = made.manifest or {}
    paid, quotes = (told.get("paid") or {}).get("usd"), [q["usd"] for q in (told.get("quoted") or {}).values()]
    if not paid:
        return ""
    quoted = f"; quoted at about {dollars(sum(quotes))}" if quotes and None not in quotes else ""
    return f"{dollars(paid)}{quoted}"


def _mark(answer: Mapping[str, object]) -> str:
    return "✓ " if answer["right"] else "✗ "


def _short(text: str, most: int = 160) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1] + "…"


def _scored(made: Made, within: str) -> str:
    """Return the scores in words, put into a pattern; nothing if no probes were asked."""
    facts = made.done["evaluate"].facts if "evaluate" in made.done else {}
    if not facts.get("questions"):
        return within.format("no probes") if within == "{}" else ""
    before, after = (f"{facts[k]:.0%}" for k in ("before", "after"))
    return within.format(f"{after} of {facts['questions']} probes right, {before} before tuning")


def _summary(build: Build, made: Made) -> dict[str, object]:
    from ftbuild.store import read_json

    facts = made.done["evaluate"].facts if "evaluate" in made.done else {}
    return {
        "recipe": build.recipe.name,
        "folder": str(build.folder),
        "score": {k: facts[k] for k in ("questions", "before", "after")} if facts else None,
        "model": read_json(build.folder / "model.json") if "train" in made.done else None,
        "ran": list(made.ran),
        "stages": {name: {"key": a.key, "outputs": a.outputs, "facts": a.facts} for name, a in made.done.items()},
    }


# ---- sweeps ----


def build_job(composed: Composed, console: Console, common: Collection[str] = ()) -> float | None:
    """Build one job of a sweep, say how it ended as soon as it has, and return its score.

    `common` are the overrides that all jobs of the sweep have.
    """
    from ftbuild.config import build_from
    from ftbuild.sweep import Ended, job_of

    job = job_of(composed)
    assert job is not None
    label, folder = job.label(common), job.folder(Path(str(composed.data["builds"])) / "_")
    console.heading(f"job {job.number}", label)
    started = time.monotonic()
    try:
        build = build_from(composed)
        made = make(build, console)
    except Interrupted:
        raise
    except Exception as error:
        told = error.message if isinstance(error, FtbuildError) else traceback.format_exc().strip()
        console.error(f"job {job.number} ({label}): {told}", error.hint if isinstance(error, FtbuildError) else "")
        Ended(
            job.number,
            job.overrides,
            error=told.splitlines()[0 if isinstance(error, FtbuildError) else -1],
            seconds=time.monotonic() - started,
        ).save(folder)
        raise
    spent = prices.spent(build.recipe, {name: a.facts for name, a in made.done.items()})
    paid = made.manifest["paid"]["usd"] if made.manifest else 0.0
    model = str(made.done["train"].facts.get("model", "")) if "train" in made.done else ""
    took = time.monotonic() - started
    Ended(
        job.number, job.overrides, build.recipe.name, "", made.score, spent.usd, spent.tokens, round(took, 2), model, paid
    ).save(folder)
    console.note(f"job {job.number} ({label}): {_scored(made, '{}')}, in {seconds(took)}")
    return made.score


def show_sweep(folder: Path, name: str, console: Console) -> int:
    """Show what became of the jobs of a sweep, in a table and a page; return 1 if one of them failed."""
    from dataclasses import asdict

    from ftbuild import sweep

    jobs = sweep.ended(folder)
    page = sweep.write_page(folder, name, jobs)
    found = sweep.best(jobs)
    if console.as_json:
        console.json({"sweep": name, "page": str(page), "jobs": [asdict(j) for j in jobs], "best": found and found.number})
        return int(any(j.error for j in jobs))
    columns = ("Job", *sweep.varied(jobs), "Score", "Cost", "Tokens", "Time")
    console.result()
    console.table("", columns, [(*_row(job, values),) for job, values in sweep.rows(jobs)], styles=("dim",))
    console.result()
    failed = sum(bool(j.error) for j in jobs)
    told = f"{len(jobs)} jobs" + (f", {failed} failed" if failed else "")
    console.result(f"sweep {name}: {told}" + (f"; best is job {found.number} with {found.score:.0%}" if found else ""))
    console.result(f"  page     {page}")
    console.result(f"  paid     {_paid(jobs)}")
    if found:
        console.result(f"  results  {folder / str(found.number)}")
    return int(bool(failed))


def _paid(jobs: Sequence[Ended]) -> str:
    if any(j.paid is None for j in jobs):
        return "not known: the provider's option has no price"
    return f"${sum(j.paid or 0.0 for j in jobs):.4f} in this run"


def _row(job: Ended, values: list[str]) -> list[str]:
    if job.error:
        return [str(job.number), *values, f"failed: {_short(job.error, 80)}", "", "", seconds(job.seconds)]
    score = "–" if job.score is None else f"{job.score:.0%}"
    usd = "?" if job.usd is None else f"${job.usd:.4f}"
    return [str(job.number), *values, score, usd, f"{job.tokens:,}", seconds(job.seconds)]
