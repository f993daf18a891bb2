"""generate: questions and answers about every section, from a teacher and from the text itself.

In: sections.  Out: `pairs.jsonl`; `rejected.jsonl`, what a teacher said that could not be used, with the reason; `units.jsonl`,
how each unit of text ended with each template that asks about it.  All three are written as replies arrive.

Which templates are used depends on the teacher's size: those made for a capable chat model, or those made for a small one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby, product
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TextIO

from ftbuild.digest import digest
from ftbuild.errors import FtbuildError
from ftbuild.prompts import Prompts, template_digest
from ftbuild.providers import answering
from ftbuild.records import Origin, Pair, Rejected, line, read_sections
from ftbuild.registries import KINDS
from ftbuild.stage import Task, stage
from ftbuild.units import Around, surroundings, units

if TYPE_CHECKING:
    from pathlib import Path

    from ftbuild.recipe import Recipe, Template
    from ftbuild.teacher import Reply, Request
    from ftbuild.teaching import Asked, Said
    from ftbuild.units import Unit

_SHOWN = 5  # of what went wrong, on the console; all of it is in the files


def chosen(recipe: Recipe) -> dict[str, Template]:
    """Return the recipe's templates that are made for a teacher of its size."""
    return {n: t for n, t in recipe.prompts.items() if t.size in (recipe.teacher.size, "any")}


def read_besides(recipe: Recipe) -> Mapping[str, str]:
    """Return the digests of the prompt templates that are used, who is asked and how, and what the kinds of rows depend on."""
    from ftbuild.teaching import structured

    templates = chosen(recipe).values()
    found = {f"prompt {t.file}": template_digest(t.file) for t in templates}
    if found:
        found |= answering(recipe.teacher.provider, recipe.teacher.model)
    if any(structured(recipe, t) for t in templates):
        found["structured output"] = recipe.teacher.provider.capabilities.structured
    for use in recipe.kinds.values():
        found |= KINDS.depends(use.name, recipe)
    return found


def requests(task: Task) -> list[Request]:
    """Return the first request about each unit, sent before or not; what will have to be repaired nobody knows."""
    return [one.request for one in _asked(task)]


@dataclass
class _Results:
    """The three files, and what is counted while they are written."""

    files: Mapping[str, TextIO]
    digests: Mapping[str, str]
    ends: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    rejected: list[Rejected] = field(default_factory=list)
    without: list[dict[str, Any]] = field(default_factory=list)
    short: list[dict[str, Any]] = field(default_factory=list)

    def pair(self, pair: Pair) -> None:
        """Write a pair."""
        self._write("pairs", pair)

    def reject(self, rejected: Rejected) -> None:
        """Write what is of no use."""
        self._write("rejected", rejected)
        if len(self.rejected) < _SHOWN:
            self.rejected.append(rejected)

    def unit(self, unit: dict[str, Any]) -> None:
        """Write how a unit ended."""
        self._write("units", unit)
        self.ends[unit["end"]] += 1
        if unit["problem"]:
            self._few(self.without, unit)
        elif missing := unit["wanted"] - unit["pairs"]:
            self.counts["missing"] += max(0, missing)
            self._few(self.short, unit) if missing > 0 else None

    def _few(self, list_: list[dict[str, Any]], unit: dict[str, Any]) -> None:
        if len(list_) < _SHOWN:
            list_.append(unit)

    def _write(self, name: str, record: Any) -> None:
        self.files[name].write(line(record))
        self.counts[name] += 1


@stage(
    version=2,
    reads=("prompts", "kinds", "teacher", "language", "vars"),
    inputs=("structure/sections.jsonl",),
    outputs=("pairs.jsonl", "rejected.jsonl", "units.jsonl"),
    packages=("jinja2", "sentencex"),
    besides=read_besides,
    requests=requests,
)
def generate(task: Task) -> None:
    """Have questions and answers written about every section."""
    with ExitStack() as stack:
        opened = {
            name: stack.enter_context((task.out / f"{name}.jsonl").open("w", encoding="utf-8"))
            for name in ("pairs", "rejected", "units")
        }
        results = _Results(opened, {t.file: template_digest(t.file) for t in chosen(task.recipe).values()})
        sections = list(read_sections(task.input("structure/sections.jsonl"))) if task.recipe.kinds else []
        for name, kind in task.recipe.kinds.items():
            before = results.counts["pairs"]
            for pair in kind(sections, task.recipe.language):
                results.pair(_of_kind(pair, name))
            task.console.note(f"{name}: {results.counts['pairs'] - before} pairs from the text itself")
        total = sum(1 for _ in _asked(task))  # every prompt is rendered once before anything is sent
        if total:
            _ask(task, total, results)
            _report(task, total, results)
    task.facts["pairs"] = results.counts["pairs"]


def _of_kind(pair: Pair, name: str) -> Pair:
    origin = pair.origin
    named = replace(origin, template=name)
    return Pair(
        digest([name, origin.document, origin.path, pair.prompt, pair.completion])[:16],
        pair.prompt,
        pair.completion,
        named,
    )


def _asked(task: Task) -> Iterator[Asked]:
    return every_request(task.recipe, task.input("structure/sections.jsonl"))


def every_request(recipe: Recipe, file: Path) -> Iterator[Asked]:
    """Yield all units of a file's sections with the templates that ask about them."""
    from ftbuild.teaching import Asked

    prompts, teacher = Prompts(), recipe.teacher
    who = answering(teacher.provider, teacher.model)
    for name, template in chosen(recipe).items():
        varied = [dict(zip(template.vary, values, strict=True)) for values in product(*template.vary.values())]
        for unit, around in _units(recipe, file, template.unit):
            for values in varied:
                rendered = prompts.file(template.file, {**recipe.vars, **_context(unit, template, around), **values})
                for sample in range(template.samples):
                    request = _request(recipe, template, rendered, sample, who)
                    yield Asked(name, template, unit, request, teacher.attempts, teacher.more)


def _units(recipe: Recipe, file: Path, kind: str) -> Iterator[tuple[Unit, Around]]:
    """Yield the units of all sections with what stands around those, a document at a time."""
    language = recipe.language.name
    for _, group in groupby(read_sections(file), key=attrgetter("document")):
        sections = list(group)
        for section, around in zip(sections, surroundings(sections, language), strict=True):
            for unit in units([section], kind, language):
                yield unit, around


def _context(unit: Unit, template: Template, around: Around) -> dict[str, Any]:
    section = unit.section
    return {
        **asdict(around),
        "part": section.part,
        "parts": section.parts,
        "revision": section.revision,
        "title": section.title,
        "section": section.path[0],
        "subsection": section.path[-1],
        "path": " / ".join(section.path),
        "text": unit.text,
        "section_text": section.text,
        "pairs": template.pairs,
    }


def _request(recipe: Recipe, template: Template, rendered: str, sample: int, who: Mapping[str, str]) -> Request:
    from ftbuild.teacher import Request
    from ftbuild.teaching import structured, told_in_words

    body: dict[str, Any] = {
        "model": recipe.teacher.model,
        "temperature": template.temperature,
        "top_p": template.top_p,
        "max_tokens": template.max_tokens,
        "seed": template.seed + sample,
    }
    if template.stop:
        body["stop"] = list(template.stop)
    if template.endpoint == "completion":
        return Request("completion", {**body, "prompt": rendered}, who, sample)
    if form := structured(recipe, template):
        body["response_format"], rendered = form, rendered + told_in_words(form)
    system = [{"role": "system", "content": template.system}] if template.system else []
    return Request("chat", {**body, "messages": [*system, {"role": "user", "content": rendered}]}, who, sample)


def _ask(task: Task, total: int, results: _Results) -> None:
    teacher = task.services.teacher(task.recipe.teacher.provider, mode=task.recipe.teacher.mode)

    def take(one: Asked, replies: Sequence[Reply]) -> None:
        _read(one, one.read(replies), results)
        results.counts["cached"] += all(reply.cached for reply in replies)
        results.counts["sent"] += sum(not reply.cached for reply in replies)
        for kind in ("prompt", "completion"):
            results.counts[f"{kind}_tokens"] += sum(r.usage.get(kind, 0) for r in replies if not r.cached)

    with task.console.step(f"asking {task.recipe.teacher.model}") as bar:
        teacher.ask(_asked(task), take, told=bar, total=total)


def _read(one: Asked, said: Sequence[Said], results: _Results) -> None:
    """Write down what the replies about a unit hold, and how it ended."""
    section = one.unit.section
    digest_ = results.digests[one.template.file][:16]
    place = Origin.of(section, passage=one.unit.text if one.template.unit != "section" else "")
    usage: Counter[str] = Counter()
    for each in said:
        id_ = each.request.id

        def origin(number: int, id_: str = id_) -> Origin:
            return replace(place, template=one.name, template_digest=digest_, request=id_[:16], line=number)

        for found in each.found:
            completion = found.completion or one.unit.text
            name = digest([one.name, id_, found.line, found.prompt, completion])[:16]
            results.pair(Pair(name, found.prompt, completion, origin(found.line)))
        cut = each.reply.finish == "length"
        for unused in each.unused:
            reason = unused.reason + (" (the reply was cut off)" if cut and unused is each.unused[-1] else "")
            results.reject(Rejected(reason, unused.raw, origin(unused.line)))
        usage.update(each.reply.usage)
    pairs, problem = sum(len(each.found) for each in said), ""
    if not pairs:
        problem = said[-1].problem + (f" ({len(said)} attempts)" if len(said) > 1 else "")
        results.reject(Rejected(problem, said[-1].reply.text, origin(0)))
    results.unit(
        {
            "template": one.name,
            "request": one.request.id[:16],
            "requests": [each.request.id[:16] for each in said],
            "path": list(section.path),
            "end": one.end(said),
            "pairs": pairs,
            "wanted": one.wanted,
            "unused": sum(len(each.unused) for each in said),
            "problem": problem,
            "usage": dict(usage),
        }
    )


def _report(task: Task, total: int, results: _Results) -> None:
    """Tell how it went, and end the build if too much went wrong."""
    from ftbuild.teaching import ENDS, FAILED, REJECTED

    console, counts = task.console, results.counts
    for one in results.rejected[:3]:
        place = " / ".join(one.origin.path)
        console.note(f"not used ({one.origin.template}, {place}, line {one.origin.line}): {one.reason}: {one.raw[:80]!r}")
    if counts["rejected"] > 3:  # noqa: PLR2004
        console.note(f"… and {counts['rejected'] - 3} more; all are in rejected.jsonl")
    for end in results.without:
        console.warn(f"{end['template']} for {' / '.join(end['path'])} gave nothing: {end['problem']}")
    for end in results.short:
        console.warn(f"{end['template']} for {' / '.join(end['path'])} gave {end['pairs']} pairs of {end['wanted']}")
    told = ", ".join(f"{results.ends[end]:,} {end}" for end in ENDS)
    console.note(f"{total:,} units: {told}" + (f"; {counts['missing']:,} pairs are missing" if counts["missing"] else ""))
    lost = results.ends[FAILED] + results.ends[REJECTED]
    task.facts |= {"requests": total, "cached": counts["cached"], "sent": counts["sent"]}
    task.facts |= {end: results.ends[end] for end in ENDS}
    task.facts |= {"missing": counts["missing"], "unused": counts["rejected"]}
    task.facts |= {f"{kind}_tokens": counts[f"{kind}_tokens"] for kind in ("prompt", "completion")}
    if lost == total:
        raise FtbuildError(f"the teacher gave nothing usable for any of {total} requests: {results.without[0]['problem']}")
    may = task.recipe.teacher.may_fail
    if lost > may * total:
        raise FtbuildError(
            f"the teacher gave nothing usable for {lost} of {total} units ({lost / total:.0%}), and {may:.0%} may fail",
            hint="the replies are kept, and the same command asks again about what failed; teacher.max_failed allows more",
        )
