"""generate: questions and answers about every section, from a teacher and from the text itself.

In: sections.  Out: `pairs.jsonl`; `rejected.jsonl`, what a teacher said that could not be used, with the reason; `units.jsonl`,
how each request ended.

Which templates are used depends on the teacher's size: those made for a capable chat model, or those made for a small one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any

from ftbuild.digest import digest
from ftbuild.errors import FtbuildError
from ftbuild.prompts import Prompts, template_digest
from ftbuild.providers import answering
from ftbuild.records import Origin, Pair, Rejected, Section, read_sections, write_jsonl
from ftbuild.registries import KINDS, PARSERS
from ftbuild.stage import Task, stage
from ftbuild.units import Around, Unit, surroundings, units

if TYPE_CHECKING:
    from ftbuild.parsers import Parsed
    from ftbuild.recipe import Recipe, Template
    from ftbuild.teacher import Reply, Request


@dataclass(frozen=True)
class Asked:
    """One request: the template it was rendered from, the unit of text it is about, and the request itself."""

    name: str
    template: Template
    unit: Unit
    request: Request


def chosen(recipe: Recipe) -> dict[str, Template]:
    """Return the recipe's templates that are made for a teacher of its size."""
    return {n: t for n, t in recipe.prompts.items() if t.size in (recipe.teacher.size, "any")}


def read_besides(recipe: Recipe) -> Mapping[str, str]:
    """Return the digests of the prompt templates that are used, who is asked, and what the kinds of rows depend on."""
    found = {f"prompt {t.file}": template_digest(t.file) for t in chosen(recipe).values()}
    if found:
        found |= answering(recipe.teacher.provider, recipe.teacher.model)
    for use in recipe.kinds.values():
        found |= KINDS.depends(use.name, recipe)
    return found


def requests(task: Task) -> list[Request]:
    """Return all requests of the stage, sent before or not."""
    sections = read_sections(task.input("structure/sections.jsonl"))
    return [one.request for one in _requests(task.recipe, sections)]


@stage(
    reads=("prompts", "kinds", "teacher", "language", "vars"),
    inputs=("structure/sections.jsonl",),
    outputs=("pairs.jsonl", "rejected.jsonl", "units.jsonl"),
    packages=("jinja2", "sentencex"),
    besides=read_besides,
    requests=requests,
)
def generate(task: Task) -> None:
    """Have questions and answers written about every section."""
    recipe = task.recipe
    sections = list(read_sections(task.input("structure/sections.jsonl")))
    pairs: list[Pair] = []
    rejected: list[Rejected] = []
    for name, kind in recipe.kinds.items():
        made = [_of_kind(pair, name) for pair in kind(sections, recipe.language)]
        task.console.note(f"{name}: {len(made)} pairs from the text itself")
        pairs += made
    asked = list(_requests(recipe, sections))
    ends: list[dict[str, Any]] = []
    if asked:
        replies = _ask(task, asked)
        for one, reply in zip(asked, replies, strict=True):
            ends.append(_read(one, reply, pairs, rejected))
        _report(task, asked, replies, ends, rejected)
    write_jsonl(task.out / "rejected.jsonl", rejected)
    write_jsonl(task.out / "units.jsonl", ends)
    task.facts["pairs"] = write_jsonl(task.out / "pairs.jsonl", pairs)


def _of_kind(pair: Pair, name: str) -> Pair:
    origin = pair.origin
    named = replace(origin, template=name)
    return Pair(
        digest([name, origin.document, origin.path, pair.prompt, pair.completion])[:16],
        pair.prompt,
        pair.completion,
        named,
    )


def _requests(recipe: Recipe, sections: Iterable[Section]) -> Iterator[Asked]:
    prompts = Prompts()
    sections = list(sections)
    who = answering(recipe.teacher.provider, recipe.teacher.model)
    language = recipe.language.name
    around = {id(s): a for s, a in zip(sections, surroundings(sections, language), strict=True)} if chosen(recipe) else {}
    for name, template in chosen(recipe).items():
        varied = [dict(zip(template.vary, values, strict=True)) for values in product(*template.vary.values())]
        for unit in units(sections, template.unit, recipe.language.name):
            for values in varied:
                rendered = prompts.file(
                    template.file, {**recipe.vars, **_context(unit, template, around[id(unit.section)]), **values}
                )
                for sample in range(template.samples):
                    yield Asked(name, template, unit, _request(recipe, template, rendered, sample, who))


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
    system = [{"role": "system", "content": template.system}] if template.system else []
    return Request("chat", {**body, "messages": [*system, {"role": "user", "content": rendered}]}, who, sample)


def _ask(task: Task, asked: list[Asked]) -> list[Reply]:
    teacher = task.services.teacher(task.recipe.teacher.provider, attempts=task.recipe.teacher.attempts)
    parsers = {one.request.id: PARSERS[one.template.parse] for one in asked}

    def usable(request: Request, text: str) -> bool:
        return bool(parsers[request.id](text).found)

    with task.console.step(f"asking {task.recipe.teacher.model}") as bar:
        return teacher.ask([one.request for one in asked], usable=usable, told=bar)


def _read(one: Asked, reply: Reply, pairs: list[Pair], rejected: list[Rejected]) -> dict[str, Any]:
    """Add what a reply holds to `pairs` and `rejected`, and return how the request ended."""
    parsed: Parsed = PARSERS[one.template.parse](reply.text)
    section = one.unit.section

    def origin(line: int) -> Origin:
        digest_ = template_digest(one.template.file)
        passage = one.unit.text if one.template.unit != "section" else ""
        told = Origin.of(section, passage=passage)
        return replace(told, template=one.name, template_digest=digest_[:16], request=one.request.id[:16], line=line)

    for found in parsed.found:
        completion = found.completion or one.unit.text
        id_ = digest([one.name, one.request.id, found.line, found.prompt, completion])[:16]
        pairs.append(Pair(id_, found.prompt, completion, origin(found.line)))
    cut = reply.finish == "length"
    for unused in parsed.unused:
        reason = unused.reason + (" (the reply was cut off)" if cut and unused is parsed.unused[-1] else "")
        rejected.append(Rejected(reason, unused.raw, origin(unused.line)))
    if reply.problem:
        rejected.append(Rejected(reply.problem, reply.text, origin(0)))
    wanted = one.template.pairs if one.template.parse == "pairs" else 1
    return {
        "template": one.name,
        "request": one.request.id[:16],
        "path": list(section.path),
        "pairs": len(parsed.found),
        "wanted": wanted,
        "unused": len(parsed.unused),
        "problem": reply.problem,
        "usage": reply.usage,
    }


def _report(task: Task, asked: list[Asked], replies: list[Reply], ends: list[dict[str, Any]], rejected: list[Rejected]) -> None:
    failed = [e for e in ends if e["problem"]]
    for one in rejected[:3]:
        place = " / ".join(one.origin.path)
        task.console.note(f"not used ({one.origin.template}, {place}, line {one.origin.line}): {one.reason}: {one.raw[:80]!r}")
    if len(rejected) > 3:  # noqa: PLR2004
        task.console.note(f"… and {len(rejected) - 3} more; all are in rejected.jsonl")
    for end in failed[:5]:
        task.console.warn(f"{end['template']} for {' / '.join(end['path'])} gave nothing: {end['problem']}")
    if failed and len(failed) == len(asked):
        raise FtbuildError(f"the teacher gave nothing usable for any of {len(asked)} requests: {failed[0]['problem']}")
    task.facts["requests"] = len(asked)
    task.facts["cached"] = sum(r.cached for r in replies)
    task.facts["failed"] = len(failed)
    task.facts["unused"] = len(rejected)
    for kind in ("prompt", "completion"):
        task.facts[f"{kind}_tokens"] = sum(r.usage.get(kind, 0) for r in replies if not r.cached)
