"""structure: find the headings of every document and keep the sections that the recipe selects.

In: clean documents.  Out: `sections.jsonl`, the text below each heading with the path of headings above it and its place in the
clean document; sections too long for a request in parts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from ftbuild.digest import digest
from ftbuild.errors import ConfigError
from ftbuild.headings import Heading, folded, headings, named, paths
from ftbuild.plain import unescape
from ftbuild.pool import batches, mapped
from ftbuild.records import Document, Section
from ftbuild.stage import Task, stage
from ftbuild.versions import versions

if TYPE_CHECKING:
    from ftbuild.recipe import Recipe, Structure
    from ftbuild.splitting import Splitter

_MOST_NAMES = 2000
"""How many different headings are remembered, to tell what there is when a pattern names none."""


def sections(document: Document, *, levels: int, lead: str, pattern: str = "") -> Iterator[Section]:
    """Yield a document's sections in order.  Headings below `levels` stay in the text as paragraphs of their own."""
    deepest = levels + (document.format == "wikitext")  # wikitext's sections begin at two equals signs
    found = headings(document.text, document.format, pattern)
    tops = [h for h in found if h.level <= deepest]
    starts, ends = [0, *(h.end for h in tops)], [*(h.start for h in tops), len(document.text)]
    inner = iter([h for h in found if h.level > deepest])
    waiting = next(inner, None)
    for path, opens, closes in zip([(), *paths(tops)], starts, ends, strict=True):
        within: list[Heading] = []
        while waiting is not None and waiting.start < closes:
            within.append(waiting)
            waiting = next(inner, None)
        source = document.text[opens:closes]
        if not (stripped := source.strip()):
            continue
        start = opens + source.find(stripped[0])
        end = start + len(stripped)
        text = tidied(document, start, end, within)
        names = path or (lead,)
        id_ = digest([document.id, names, text])[:16]
        revision = str(document.meta.get("revision", ""))
        yield Section(id_, document.id, document.title, names, text, start, end, revision)


def tidied(document: Document, start: int, end: int, inner: Sequence[Heading] = ()) -> str:
    """Return what a section says that stands from `start` to `end` of a document: its lines that are not empty.

    White space around lines is dropped, but for what indents the lines of Markdown; `inner` are headings that are none here.
    """
    pieces, last = [], start
    for heading in inner:
        pieces += [document.text[last : heading.start], heading.text]
        last = heading.end
    source = "".join([*pieces, document.text[last:end]])
    if document.format in ("markdown", "html"):
        return "\n".join(unescape(line.rstrip()) for line in source.splitlines() if line.strip()).strip()
    return "\n".join(line.strip() for line in source.splitlines() if line.strip())


def selected(path: tuple[str, ...], select: tuple[str, ...], drop: tuple[str, ...]) -> bool:
    """Say whether a section is kept: a pattern such as `Plot`, `Plot/Act *` or `**/Act 1` names it or a heading above it."""
    return (not select or named(path, select)) and not named(path, drop)


@dataclass
class _Work:
    wanted: Structure
    splitter: Splitter | None


def _set_up(wanted: Structure) -> _Work:
    if wanted.split is None:
        return _Work(wanted, None)
    from ftbuild.splitting import splitter

    return _Work(wanted, splitter(wanted.split))


def _of_batch(work: _Work, lines: list[str]) -> list[tuple[list[str], list[tuple[str, ...]], int]]:
    """Return for each document its kept sections as lines, the paths of all that there are, and the characters kept."""
    return [_of_document(work, Document(**json.loads(line))) for line in lines]


def _of_document(work: _Work, document: Document) -> tuple[list[str], list[tuple[str, ...]], int]:
    wanted = work.wanted
    kept: list[Section] = []
    found: list[tuple[str, ...]] = []
    for section in sections(document, levels=wanted.levels, lead=wanted.lead, pattern=wanted.headings):
        found.append(section.path)
        if len(section.text) >= wanted.min_characters and selected(section.path, wanted.select, wanted.drop):
            kept += list(_parts(section, document, work.splitter)) if work.splitter else [section]
    lines = [json.dumps(asdict(section), ensure_ascii=False) for section in kept]
    return lines, found, sum(len(section.text) for section in kept)


def _parts(section: Section, document: Document, splitter: Splitter) -> Iterator[Section]:
    """Yield the parts of a section, or all of it if it is short enough."""
    if splitter.fits(section.text):
        yield section
        return
    inner = [h for h in headings(document.text[section.start : section.end], document.format) if h.level]
    moved = [replace(h, start=h.start + section.start, end=h.end + section.start) for h in inner]

    def said(start: int, end: int) -> str:
        return tidied(document, start, end, [h for h in moved if start <= h.start and h.end <= end])

    spans = splitter.spans(document.text, section.start, section.end, said)
    for part, (start, end) in enumerate(spans, start=1):
        text = said(start, end)
        id_ = digest([section.document, section.path, text, part])[:16]
        yield replace(section, id=id_, text=text, start=start, end=end, part=part, parts=len(spans))


def _depends(recipe: Recipe) -> Mapping[str, str]:
    """Return what the borders of parts depend on: what counts tokens, and what finds sentences."""
    if recipe.structure.split is None:
        return versions("regex") if recipe.structure.headings else {}
    from ftbuild.splitting import depends

    return depends(recipe.structure.split)


@stage(
    reads=("structure",),
    inputs=("clean/documents.jsonl",),
    outputs=("sections.jsonl",),
    besides=_depends,
    quick=True,
    version=2,
)
def structure(task: Task) -> None:
    """Split the documents at their headings and keep the selected sections."""
    wanted = task.recipe.structure
    names: dict[str, None] = {}
    missing = set(wanted.select)
    count = characters = documents = read = 0
    with (
        task.console.step("finding sections") as bar,
        task.input("clean/documents.jsonl").open(encoding="utf-8") as source,
        (task.out / "sections.jsonl").open("w", encoding="utf-8") as out,
    ):
        total = task.input("clean/documents.jsonl").stat().st_size

        def lines_of(file: Iterable[str]) -> Iterator[str]:
            nonlocal read
            for line in file:
                read += len(line.encode())
                yield line

        for batch in mapped(_of_batch, batches(lines_of(source), len), setup=_set_up, given=wanted):
            for lines, found, size in batch:
                documents += 1
                out.writelines(f"{line}\n" for line in lines)
                count, characters = count + len(lines), characters + size
                if missing:
                    missing -= {p for p in missing if any(named(path, (p,)) for path in found)}
                if len(names) < _MOST_NAMES:
                    names |= dict.fromkeys("/".join(path) for path in found)
            if read < total:
                bar(100 * read // total, 100, documents=f"{documents:,}")
    if documents and not count:
        raise _nothing(wanted, names)
    for pattern in sorted(missing):
        task.console.warn(f"structure.select: no section is called {pattern}{_nearest(pattern, names)}")
    task.facts["sections"] = count
    task.facts["characters"] = characters


def _nothing(wanted: Structure, names: Mapping[str, Any]) -> ConfigError:
    patterns = ", ".join(wanted.select) or "nothing"
    near = next((hint for pattern in wanted.select if (hint := _nearest(pattern, names))), "")
    shown = [*names][:60]
    more = f", … and {len(names) - len(shown):,} more" if len(names) > len(shown) else ""
    return ConfigError(
        f"structure.select: no section is called {patterns}{near}" if wanted.select else "structure: no section is left",
        hint="the document has: " + ", ".join(shown) + more,
    )


def _nearest(pattern: str, names: Mapping[str, Any]) -> str:
    """Return a hint with the heading most like a pattern, if one is like it."""
    import difflib

    by_fold: dict[str, str] = {}
    for name in names:
        parts = name.split("/")
        for n in range(1, len(parts) + 1):
            above = "/".join(parts[:n])
            by_fold.setdefault(folded(above), above)
            by_fold.setdefault(folded(parts[n - 1]), above)
    close = difflib.get_close_matches(folded(pattern), by_fold, n=1, cutoff=0.6)
    return f"; did you mean {by_fold[close[0]]!r}?" if close else ""
