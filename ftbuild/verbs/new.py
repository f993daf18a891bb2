"""`ftbuild new`: a recipe of one's own, written to begin with."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from ftbuild.errors import ConfigError
from ftbuild.words import exactly

if TYPE_CHECKING:
    from ftbuild.cli import Arguments
    from ftbuild.console import Console

_NAME = re.compile(r"[^\W_][\w.-]*")
_FEWEST = 10  # rows that a trainer takes


def new(arguments: Arguments, console: Console) -> int:
    """Write a recipe that builds at once: conf/recipe/NAME.yaml and prompts/NAME/, commented, for you to change.

    ftbuild new NAME [--from FILE_OR_URL] [language=zh] [--json]

    --from takes a file (text, Markdown, HTML, PDF, Word, EPUB, wikitext, …), a folder, the address of a page or of a wiki's
    article, or a table of questions and answers (JSONL, CSV, Excel, Parquet).  It is read once, to find its title, its headings
    and its language (English or Chinese).  Without --from, an example text is written, to be replaced by yours.

    Nothing that exists is written over.  Examples:

      ftbuild new lighthouse
      ftbuild new handbook --from docs/handbook.pdf
      ftbuild new faq --from answers.xlsx
      ftbuild new 规程 --from 手册/操作规程.docx
    """
    from ftbuild import scaffolding

    (name,) = exactly(arguments.words, 1, "ftbuild new NAME --from FILE_OR_URL")
    given = {"from": arguments.options.get("from", ""), **arguments.settings(language="")}
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{name!r} cannot be a recipe's name", hint="letters, digits, - and _; the recipe becomes a file")
    if given["language"] not in ("", "en", "zh"):
        raise ConfigError(f"language={given['language']}: en or zh", hint="any other language: change the recipe by hand")
    _free(Path("conf/recipe") / f"{name}.yaml")
    text = ""
    if given["from"]:
        with console.step(f"reading {given['from']}"):
            seen = scaffolding.look(given["from"], console.warn)
    else:
        seen, text = scaffolding.example(name, given["language"] or "en")
    if given["language"]:
        from dataclasses import replace

        seen = replace(seen, language=given["language"])
    files = scaffolding.files_of(name, seen, text)
    for path in files:
        _free(path)
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(content)
    _tell(console, name, seen, list(files))
    return 0


def _free(path: Path) -> None:
    if os.path.lexists(path):
        raise ConfigError(f"{path} exists already", hint="choose another name, or move it out of the way")


def _tell(console: Console, name: str, seen: object, written: list[Path]) -> None:
    from ftbuild.scaffolding import Look

    assert isinstance(seen, Look)
    if console.as_json:
        console.json(
            {
                "recipe": name,
                "title": seen.title,
                "language": seen.language,
                "documents": seen.documents,
                "pairs": seen.pairs,
                "characters": seen.characters,
                "headings": list(seen.headings),
                "files": [str(path) for path in written],
            }
        )
        return
    what = (
        _count(seen.pairs, "pair")
        if seen.pairs
        else f"{_count(seen.documents, 'document')}, {_count(len(seen.headings), 'heading')}"
    )
    console.result(f"{name}: {seen.title} ({what}, {seen.characters:,} characters, {seen.language})")
    for path in written:
        console.result(f"  wrote  {path}")
    if 0 < seen.pairs < _FEWEST:
        console.warn(f"a trainer wants at least {_FEWEST} rows; {seen.pairs} are too few to build with")
    console.result()
    plan, build = f"ftbuild plan +recipe={name}", f"ftbuild +recipe={name}"
    console.result(f"  {plan}   what would be done")
    console.result(f"  {build}{' ' * (len(plan) - len(build))}   build it")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
