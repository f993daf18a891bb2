"""`ftbuild check`: what is wrong with training rows, before they are sent."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftbuild.errors import ConfigError
from ftbuild.words import exactly, none

if TYPE_CHECKING:
    from collections.abc import Callable

    from ftbuild.checking.about import About
    from ftbuild.checking.mending import Mended
    from ftbuild.checking.reading import Lines
    from ftbuild.checking.running import Checked, Finding
    from ftbuild.cli import Arguments
    from ftbuild.config import Build
    from ftbuild.console import Bar, Console


def check(arguments: Arguments, console: Console) -> int:
    """Check training rows before they are sent: their shape, separators and stop tokens, doubles, length in exact tokens.

    ftbuild check FILE [--model NAME] [--fix] [--json] [store=DIRECTORY]

      FILE           rows of prompt and completion, of chat messages, or preferences: .jsonl, .json, .csv, .tsv, .xlsx, .parquet
      --model NAME   count tokens as this model does (gpt-4.1-nano, smollm2-135m-instruct, a folder), and hold rows to its limit
      --fix          write what is safely put right into FILE.fixed.jsonl, and what was done into FILE.fixed.log.jsonl

    An error is what a provider refuses, a warning what makes a worse model, a hint something to think about.  The exit code is
    1 if there are errors; with --fix, if there are errors in what was written.

    ftbuild check +recipe=NAME  runs the tests of its cleaning rules (clean.tests), and checks its rows as they were built last.
    """
    from ftbuild.checking.reading import Lines

    (word,) = exactly(arguments.words, 1, "ftbuild check FILE")
    settings = arguments.settings(store=".ftbuild")
    lines = Lines(Path(word))
    model = arguments.options.get("model", "")
    about = _about(model, Path(settings["store"]) / "local")
    checked = _run(lines, about, console)
    mended, after = None, checked
    if "fix" in arguments.options:
        mended, after = _mend(lines, checked, model, about, console)
    if console.as_json:
        console.json(_told(word, checked, about, mended, after))
    else:
        _show(word, checked, about, console)
        if mended:
            _show_mended(mended, after, console)
        elif any(f.fixable for f in checked.findings):
            console.result(f"ftbuild check {word} --fix  puts right what is marked with ✓, in a new file")
    return 0 if after.ok else 1


def of_recipe(build: Build, arguments: Arguments, console: Console) -> tuple[int, float | None]:
    """Check a recipe: the tests of its cleaning rules, and its rows as they were built last, for the model that it trains."""
    from ftbuild.checking.reading import Lines
    from ftbuild.checking.running import about
    from ftbuild.ruletests import failures

    none(arguments.words)
    for flag in arguments.options:
        raise ConfigError(f"--{flag} is for files; the rows of a recipe are mended by its rules and filters")
    recipe, file = build.recipe, build.folder / "dataset.jsonl"
    failed = list(failures(recipe.clean))
    for failure in failed:
        console.result(f"clean.tests.{failure.test}: not what is expected (- expected, + made)")
        for line in failure.diff():
            console.lines(line)
    count = len(recipe.clean.tests)
    if count:
        console.result(f"{recipe.name}: {count - len(failed)} of {count} tests of rules passed")
    tests = {"tests": {"run": count, "failed": [asdict(failure) for failure in failed]}}
    if not file.is_file():
        if console.as_json:
            console.json(tests)
        console.result(f"{recipe.name}: {'its rows' if failed else 'the recipe is right; its rows'} are not built yet")
        return int(bool(failed)), None
    known = about(
        recipe.trainer.provider, recipe.trainer.base_model, state=build.store.root / "local",
        separator=recipe.format.separator, stop=recipe.format.stop,
    )  # fmt: skip
    checked = _run(Lines(file), known, console)
    if console.as_json:
        console.json({**_told(str(file), checked, known, None, checked), **tests})
    else:
        _show(str(file), checked, known, console)
    return (0 if checked.ok and not failed else 1), None


def _about(model: str, state: Path) -> About:
    from ftbuild.checking.running import about
    from ftbuild.recipe import Provider
    from ftbuild.tokens import encoding

    local = about(Provider(kind="local"), model, state=state) if model and not encoding(model) else None
    return local if local and local.counter.exact else about(Provider(), model, state=state)


def _run(lines: Lines, about: About, console: Console) -> Checked:
    from ftbuild.checking.running import check

    with console.step(f"checking {lines.file.name}") as bar:
        return check(iter(lines), about, _progress(lines, bar))


def _progress(lines: Lines, bar: Bar) -> Callable[[int], None]:
    def told(rows: int) -> None:
        if lines.at:
            bar(min(99, lines.at * 100 // max(1, lines.size)), 100, rows=f"{rows:,}")

    return told


def _mend(lines: Lines, checked: Checked, model: str, about: About, console: Console) -> tuple[Mended, Checked]:
    """Write the mended file, and check that in its turn, with the marks that were put there."""
    from ftbuild.checking.mending import mend
    from ftbuild.checking.reading import Lines

    with console.step("putting right what can be") as bar:
        mended = mend(lines, checked, _progress(lines, bar))
    fresh = _about(model, Path())
    fresh.counter, fresh.most_tokens = about.counter, about.most_tokens
    return mended, _run(Lines(mended.file), fresh, console)


# ---- how it is shown ----


def _show(name: str, checked: Checked, about: About, console: Console) -> None:
    if checked.findings:
        rows = [(f.severity, f"{f.count:,} ×", _what(f), f.rule) for f in checked.findings]
        console.table("", ("", "", "What", "Rule"), rows, styles=("bold", "", "", "dim"))
        console.result()
    guess = f"the tokenizer of {about.model} is not at hand" if about.model else "--model NAME counts exactly"
    how = f"tokens ({about.counter.name})" if about.counter.exact else f"tokens (an estimate; {guess})"
    kind = f" {checked.kind}" if checked.kind else ""
    console.result(f"{name}: {checked.rows:,}{kind} rows, {checked.tokens:,} {how}, the longest row {checked.longest:,}")
    for what, mark in (("separator", about.separator), ("stop token", about.stop)):
        if mark:
            console.result(f"  {what:<10} {mark!r}")
    console.result(f"  {checked.in_words()}")


def _what(finding: Finding) -> str:
    told = [finding.message]
    if finding.first:
        lines = ", ".join(str(line) for line, _ in finding.first) + (", …" if finding.count > len(finding.first) else "")
        told.append(f"  line {lines}: {finding.first[0][1]}".rstrip(": "))
    mark = "✓" if finding.fixable else "→"
    return "\n".join([*told, *([f"  {mark} {finding.fix}"] if finding.fix else [])])


def _show_mended(mended: Mended, after: Checked, console: Console) -> None:
    console.result()
    done = [
        f"{n:,} × {rule} {did}"
        for did, counted in (("changed", mended.changed), ("left out", mended.left_out))
        for rule, n in counted.items()
    ]
    told = ", ".join(done) or "nothing had to be done"
    console.result(f"{mended.file}: {mended.rows:,} rows ({told})")
    console.result(f"  what was done, row by row: {mended.log}")
    console.result(f"  {after.in_words()}")
    for finding in after.of("error"):
        console.result(f"  error: {finding.message} ({finding.count:,}): {finding.fix}")


def _told(name: str, checked: Checked, about: About, mended: Mended | None, after: Checked) -> dict[str, Any]:
    told: dict[str, Any] = {
        "file": name,
        "ok": checked.ok,
        "rows": checked.rows,
        "kind": checked.kind,
        "tokens": checked.tokens,
        "longest": checked.longest,
        "counted_by": about.counter.name,
        "exact": about.counter.exact,
        "separator": about.separator,
        "stop": about.stop,
        "findings": [f.told() for f in checked.findings],
    }
    if mended:
        told["fixed"] = {
            "file": str(mended.file),
            "log": str(mended.log),
            "rows": mended.rows,
            "changed": dict(mended.changed),
            "left_out": dict(mended.left_out),
            "ok": after.ok,
            "findings": [f.told() for f in after.findings],
        }
    return told
