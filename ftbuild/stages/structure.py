"""structure: find the headings of every document and keep the sections that the recipe selects.

In: clean documents.  Out: `sections.jsonl`, the text below each heading with the path of headings above it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase

from ftbuild.digest import digest
from ftbuild.errors import ConfigError
from ftbuild.records import Document, Section, read_documents, write_jsonl
from ftbuild.stage import Task, stage

_HEADINGS = {
    "wikitext": re.compile(r"(?m)^(={1,6})[ \t]*(.+?)[ \t]*\1[ \t]*$"),
    "markdown": re.compile(r"(?m)^(#{1,6})[ \t]+(.+?)[ \t]*#*[ \t]*$"),
}


def sections(document: Document, *, levels: int, lead: str) -> Iterator[Section]:
    """Yield a document's sections in order.  Headings below `levels` stay in the text as paragraphs of their own."""
    pattern = _HEADINGS.get(document.format)
    path: list[tuple[int, str]] = []
    position = 0
    for match in pattern.finditer(document.text) if pattern else ():
        depth = len(match[1])
        if depth > levels + (document.format == "wikitext"):  # wikitext's sections begin at two equals signs
            continue
        yield from _section(document, path, lead, document.text[position : match.start()])
        path = [*(p for p in path if p[0] < depth), (depth, match[2].strip())]
        position = match.end()
    yield from _section(document, path, lead, document.text[position:])


def _section(document: Document, path: list[tuple[int, str]], lead: str, text: str) -> Iterator[Section]:
    text = "\n".join(line.strip("= ") if line.startswith("==") else line.strip() for line in text.splitlines() if line.strip())
    names = tuple(name for _, name in path) or (lead,)
    if text:
        yield Section(digest([document.id, names, text])[:16], document.id, document.title, names, text)


def selected(path: tuple[str, ...], select: tuple[str, ...], drop: tuple[str, ...]) -> bool:
    """Say whether a section is kept: a pattern such as `Synopsis` or `Synopsis/Act *` names it or a heading above it."""
    above = ["/".join(path[: n + 1]) for n in range(len(path))]

    def named(patterns: tuple[str, ...]) -> bool:
        return any(fnmatchcase(heading.casefold(), p.casefold()) for p in patterns for heading in above)

    return (not select or named(select)) and not named(drop)


@stage(reads=("structure",), inputs=("clean/documents.jsonl",), outputs=("sections.jsonl",), quick=True)
def structure(task: Task) -> None:
    """Split the documents at their headings and keep the selected sections."""
    wanted = task.recipe.structure
    found: list[str] = []
    kept: list[Section] = []
    documents = 0
    for document in read_documents(task.input("clean/documents.jsonl")):
        documents += 1
        for section in sections(document, levels=wanted.levels, lead=wanted.lead):
            found.append("/".join(section.path))
            if len(section.text) >= wanted.min_characters and selected(section.path, wanted.select, wanted.drop):
                kept.append(section)
    if documents and not kept:
        patterns = ", ".join(wanted.select) or "nothing"
        raise ConfigError(
            f"structure.select: no section is called {patterns}",
            hint="the document has: " + ", ".join(dict.fromkeys(found)),
        )
    task.facts["sections"] = write_jsonl(task.out / "sections.jsonl", kept)
    task.facts["characters"] = sum(len(s.text) for s in kept)
