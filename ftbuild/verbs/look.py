"""`ftbuild show` and `ftbuild diff`: where a build comes from, and in what two of them differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ftbuild.words import exactly

if TYPE_CHECKING:
    from ftbuild.cli import Arguments
    from ftbuild.console import Console

_MOST = 10


def show(arguments: Arguments, console: Console) -> int:
    """Show where a build comes from: recipe and overrides, commit, models, digests, tokens, cost, times.

    ftbuild show BUILD [builds=DIRECTORY] [store=DIRECTORY] [--json]

    BUILD is a recipe's name, a folder with a manifest.json, the beginning of a build's id, or NAME~1 for the last but one.
    """
    from ftbuild.compare import find
    from ftbuild.stages import ORDER

    (word,) = exactly(arguments.words, 1, "ftbuild show NAME")
    told = find(word, arguments.settings(builds="builds", store=".ftbuild"))
    if console.as_json:
        console.json({k: v for k, v in told.items() if k != "origin"})
        return 0
    console.result(f"{told['recipe']}  {told.get('id', '')}")
    for name, value in _facts(told):
        console.result(f"  {name:<10} {value}")
    rows = [
        (name, "ran" if s.get("ran") else "not of this build" if s.get("left_out") else "kept", s["key"][:12], _few(s["facts"]))
        for name, s in sorted(told["stages"].items(), key=lambda stage: ORDER.index(stage[0]) if stage[0] in ORDER else -1)
    ]
    console.result()
    console.table("", ("Stage", "", "Key", "Facts"), rows, styles=("bold", "dim", "dim", ""))
    return 0


def _facts(told: dict[str, Any]) -> list[tuple[str, str]]:
    git, spent, score = told.get("git"), told["spent"], told.get("score") or {}
    paid = told["paid"]["usd"]
    usd = "not known: the provider's option has no price" if spent["usd"] is None else f"${spent['usd']:.4f}"
    usd += f", ${paid:.4f} of it paid by this build" if None not in (spent["usd"], paid) else ""
    prices = f" (prices of {spent['prices']})" if spent["prices"] else ""
    facts = [
        ("overrides", " ".join(told["overrides"])),
        ("built", f"{told['ended']}, in {told['seconds']:g} s"),
        ("commit", f"{git['commit'][:12]}{' and changes that are not committed' if git['dirty'] else ''}" if git else "none"),
        ("models", ", ".join(f"{k} {v}" for k, v in told["models"].items())),
        *((f"checkpoint {n}", _checkpoint(c)) for n, c in enumerate(_checkpoints(told), start=1)),
        ("score", f"{score['after']:.0%} after, {score['before']:.0%} before" if score.get("questions") else ""),
        (
            "tokens",
            f"{spent['prompt_tokens']:,} read, {spent['completion_tokens']:,} written, {spent['trained_tokens']:,} trained on",
        ),
        ("cost", usd + prices),
        ("quoted", _quoted(told.get("quoted") or {})),
        ("seeds", ", ".join(f"{k} {v}" for k, v in told["seeds"].items())),
        ("packages", ", ".join(f"{k} {v}" for k, v in told["packages"].items())),
        ("with", f"ftbuild {told['ftbuild']}, Python {told['python']}, {told['platform']}"),
        *((f"{kind}", f"{name}  {digest[:12]}") for kind in ("inputs", "prompts") for name, digest in told[kind].items()),
    ]
    return [(name, value) for name, value in facts if value]


def _checkpoints(told: dict[str, Any]) -> list[dict[str, Any]]:
    return list(told["stages"].get("train", {}).get("facts", {}).get("checkpoints") or ())


def _checkpoint(told: dict[str, Any]) -> str:
    numbers = ", ".join(f"{k.replace('_', ' ')} {v:.4g}" for k, v in told.items() if isinstance(v, float) and k != "step")
    return f"step {told['step']}  {told['model']}  {numbers}".rstrip()


def _quoted(quotes: dict[str, Any]) -> str:
    """Return what a build was quoted at before its first request; nothing if it asked nobody."""
    known = [q["usd"] for q in quotes.values()]
    return f"about ${sum(known):.4f}, before the first request" if known and None not in known else ""


def _few(facts: dict[str, Any]) -> str:
    return ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in facts.items() if isinstance(v, int | float | str))


def diff(arguments: Arguments, console: Console) -> int:
    """Show in what two builds differ: keys of the recipe, pairs added and removed, answers, scores, cost.

    ftbuild diff A B [builds=DIRECTORY] [store=DIRECTORY] [--json]

    A and B are recipes' names, folders (a job of a sweep, too), beginnings of ids, or NAME~1 for the build before the last.
    """
    from ftbuild.compare import differences, find

    one, other = exactly(arguments.words, 2, "ftbuild diff NAME~1 NAME")
    settings = arguments.settings(builds="builds", store=".ftbuild")
    found = differences(find(one, settings), find(other, settings))
    if console.as_json:
        console.json(found)
        return 0
    console.table("", ("", one, other), [(n, *values) for n, values in found["facts"].items()], styles=("bold",))
    if found["config"]:
        console.result()
        console.table("", ("Recipe", one, other), [tuple(change) for change in found["config"]], styles=("bold",))
    for name, mark in (("added", "+"), ("removed", "-")):
        pairs = found["pairs"][name]
        console.result()
        console.result(f"{len(pairs):,} pairs {name}")
        for pair in pairs[:_MOST]:
            console.result(f"  {mark} {pair['prompt']} → {pair['completion']}")
        if len(pairs) > _MOST:
            console.result(f"  … and {len(pairs) - _MOST:,} more; --json lists them all")
    if found["answers"]:
        console.result()
        rows = [
            (a["question"], *(f"{'✓' if a[s]['right'] else '✗'} {a[s]['answer'][:80]}" for s in "ab")) for a in found["answers"]
        ]
        console.table("", ("Answered otherwise", one, other), rows)
    return 0
