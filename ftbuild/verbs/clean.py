"""`ftbuild clean`: what the cleaning rules of a recipe take out, and what is left."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftbuild.errors import ConfigError
from ftbuild.words import none

if TYPE_CHECKING:
    from ftbuild.cli import Arguments
    from ftbuild.config import Build
    from ftbuild.console import Console
    from ftbuild.records import Document

_CHANGED = 8  # documents named in the overview
_EXAMPLES = 3  # of what a rule took
_WIDTH = 76  # characters of an example
_LINES = 200  # of a diff that is shown on the terminal
_LONG = 2_000_000  # characters beyond which two texts are not compared line by line


def clean(build: Build, arguments: Arguments, console: Console) -> tuple[int, float | None]:
    """Fetch and clean the documents of a recipe, and show what each rule took out; nobody is asked and nothing is trained.

    ftbuild clean +recipe=NAME [--diff] [--document NAME] [--json]

      --diff            examples of what each rule took, and for the document that changed most, what it was and what it became
      --document NAME   the same for this document: its title, or enough of it

    Rules are counted in characters; one that puts something in the place of what it takes counts the difference.  Documents
    of which nothing is left are listed with the reason.
    """
    none(arguments.words)
    from ftbuild.making import make

    made = make(replace(build, options=replace(build.options, until="clean", lock=None)), console)
    outputs = made.done["clean"].outputs
    files = {name: build.store.sound(digest) for name, digest in outputs.items()}
    files["fetched.jsonl"] = build.store.sound(made.done["fetch"].outputs["documents.jsonl"])
    told = json.loads(files["effects.json"].read_text(encoding="utf-8"))
    dropped = [json.loads(line) for line in files["dropped.jsonl"].read_text(encoding="utf-8").splitlines()]
    wanted = arguments.options.get("document", "")
    diff = "diff" in arguments.options or bool(wanted)
    named = _chosen(files["fetched.jsonl"], wanted or _most_changed(told)) if diff else None
    texts = _texts(named, files["documents.jsonl"]) if named else None
    if console.as_json:
        shown = {k: v for k, v in told.items() if k != "samples"}
        document = {"title": named.title, "before": texts[0], "after": texts[1]} if named and texts else None
        console.json({"recipe": build.recipe.name, **shown, "dropped": dropped, "document": document})
        return 0, None
    _overview(told, dropped, console, examples=diff)
    if named and texts:
        console.result()
        _before_and_after(named.title or named.id, *texts, console)
    elif told["documents"]:
        console.result()
        console.result(f"ftbuild clean +recipe={build.recipe.name} --diff  shows examples, and a document before and after")
    return 0, None


def _most_changed(told: dict[str, Any]) -> str:
    return str(told["changed"][0]["document"]) if told["changed"] else ""


def _overview(told: dict[str, Any], dropped: Sequence[dict[str, str]], console: Console, *, examples: bool) -> None:
    before, after, count = told["before"], told["after"], told["documents"]
    documents = f"{count:,} document" + ("" if count == 1 else "s")
    share = f", {1 - after / before:.1%} less" if before else ""
    console.result(f"{documents}: {before:,} characters before, {after:,} after{share}")
    console.result()
    rows = []
    for rule, effect in told["rules"].items():
        taken = effect["removed"]
        shown = "\n".join(_short(e["text"]) for e in effect["examples"][:_EXAMPLES]) if examples else ""
        rows.append((rule, f"{taken:,}", f"{taken / before:.1%}" if before else "", f"{effect['documents']:,}", shown))
    columns = ("Rule", "Characters", "Share", "Documents", *(("For example",) if examples else ()))
    console.table("", columns, [row[: len(columns)] for row in rows], styles=("bold", "", "dim", "dim", "red"))
    if not rows:
        console.result("no rule took anything")
    if len(told["changed"]) > 1:
        console.result()
        changed = [(c["document"], f"{c['before']:,}", f"{c['after']:,}", _less(c)) for c in told["changed"][:_CHANGED]]
        console.table("", ("Changed most", "Before", "After", ""), changed, styles=("", "", "", "dim"))
    if dropped:
        console.result()
        rows_ = [(d["document"], d["rule"], d["reason"]) for d in dropped[:_CHANGED]]
        console.table("", ("Left out", "By rule", "Because"), rows_, styles=("", "bold", ""))
        if len(dropped) > _CHANGED:
            console.result(f"… and {len(dropped) - _CHANGED:,} more; --json lists them all")


def _less(changed: dict[str, Any]) -> str:
    return f"{1 - changed['after'] / changed['before']:.0%} less" if changed["before"] else ""


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"


def _documents(path: Path) -> Iterator[Document]:
    from ftbuild.records import read_documents

    return read_documents(path)


def _chosen(fetched: Path, name: str) -> Document | None:
    """Return the document of a title, or the only one whose title holds the name.  ConfigError if there is none, or several."""
    from ftbuild.schema import nearest

    held, titles = list[str](), list[str]()
    found: Document | None = None
    for document in _documents(fetched):
        if name in (document.title, document.id):
            return document
        title = document.title or document.id
        titles.append(title)
        if name and name.casefold() in title.casefold():
            held.append(title)
            found = document
    if len(held) > 1:
        raise ConfigError(f"--document: {name!r} is in several titles: {', '.join(held[:10])}")
    if found is None and name:
        raise ConfigError(f"--document: no document is called {name!r}; {nearest(name, titles[:1000])}")
    return found


def _texts(document: Document, clean: Path) -> tuple[str, str]:
    after = next((d.text for d in _documents(clean) if (d.id, d.title) == (document.id, document.title)), "")
    return document.text, after


def _before_and_after(title: str, before: str, after: str, console: Console) -> None:
    console.result(f"{title}, before (-) and after (+)")
    if len(before) > _LONG:
        console.result(f"  {len(before):,} characters are too many to be compared here; --json gives both texts")
        return
    lines = list(_diff(before, after))
    for line in lines[:_LINES]:
        console.lines(line)
    if len(lines) > _LINES:
        console.result(f"… and {len(lines) - _LINES:,} more lines; --json gives both texts")


def _diff(before: str, after: str) -> Iterator[str]:
    """Yield a unified diff with a little of what stays."""
    old, new = before.splitlines(), after.splitlines()
    for line in difflib.unified_diff(old, new, n=1, lineterm=""):
        if not line.startswith(("---", "+++")):
            yield line
