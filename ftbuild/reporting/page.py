"""The report's page: collects the numbers, renders the template.

In: the recipe, the stages' output files and their facts.  Out: HTML.  Whatever comes from a document or a model is escaped.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftbuild.digest import identity
from ftbuild.records import Pair, read_documents, read_jsonl, read_pairs, read_sections
from ftbuild.reporting.charts import line_chart
from ftbuild.reporting.costs import costs
from ftbuild.reporting.templates import render
from ftbuild.store import read_json

if TYPE_CHECKING:
    from ftbuild.recipe import Recipe

_SAMPLES = 5
_REJECTS = 40
_DOCUMENTS = 30  # that are told of one by one
_SECTIONS = 200


def page(recipe: Recipe, inputs: Mapping[str, Path], facts: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the report as one HTML page."""
    pairs = list(read_pairs(inputs["curate/pairs.jsonl"]))
    rejected = list(read_jsonl(inputs["curate/rejected.jsonl"]))
    score = read_json(inputs["evaluate/score.json"])
    return render(
        "report.html.j2",
        name=recipe.name,
        score=score,
        answers=_answers(inputs),
        model=read_json(inputs["train/model.json"]),
        loss=line_chart(_losses(inputs["train/metrics.csv"])),
        **_documents(inputs),
        rules=list(facts.get("clean", {}).get("removed", {}).items()),
        counts=_counts(pairs),
        samples=_samples(pairs),
        rejected=list(islice(rejected, _REJECTS)),
        rejected_count=len(rejected),
        reasons=Counter(_reason(r["reason"]) for r in rejected).most_common(),
        row=next(read_jsonl(inputs["format/rows.jsonl"])),
        facts=facts,
        costs=costs(recipe, facts),
        took=sum(f.get("seconds", 0) for f in facts.values()),
        teacher=recipe.teacher,
        trainer=recipe.trainer,
        train={k: v for k, v in identity(recipe.train).items() if v not in (None, "", {})},
    )


def _answers(inputs: Mapping[str, Path]) -> list[dict[str, Any]]:
    before, after = (list(read_jsonl(inputs[f"{s}/answers.jsonl"])) for s in ("baseline", "evaluate"))
    return [{"question": a["question"], "before": b, "after": a} for b, a in zip(before, after, strict=True)]


def _documents(inputs: Mapping[str, Path]) -> dict[str, Any]:
    """Return the first documents with their sections, and how many more there are."""
    told: list[dict[str, Any]] = []
    more = 0
    for d in read_documents(inputs["clean/documents.jsonl"]):
        if len(told) < _DOCUMENTS:
            told.append({"id": d.id, "title": d.title, "characters": len(d.text), "meta": d.meta})
        else:
            more += 1
    sections: dict[str, list[tuple[str, int]]] = {d["id"]: [] for d in told}
    for s in read_sections(inputs["structure/sections.jsonl"]):
        if len(own := sections.get(s.document, ())) < _SECTIONS and s.document in sections:
            sections[s.document] = [*own, (" / ".join(s.path), len(s.text))]
    return {"documents": told, "more_documents": more, "sections": sections}


def _losses(file: Path) -> list[tuple[float, float]]:
    rows = csv.DictReader(io.StringIO(file.read_text(encoding="utf-8")))
    return [(float(r["step"]), float(r["train_loss"])) for r in rows if r.get("train_loss")]


def _counts(pairs: Sequence[Pair]) -> dict[str, Any]:
    """Return a table of pairs by section and template."""
    templates = sorted({p.origin.template for p in pairs})
    counted = Counter((p.origin.path, p.origin.template) for p in pairs)
    paths = list(dict.fromkeys(p.origin.path for p in pairs))
    rows = [(" / ".join(path) or "–", [counted[path, t] for t in templates]) for path in paths]
    return {"templates": templates, "rows": rows, "totals": [sum(counted[p, t] for p in paths) for t in templates]}


def _samples(pairs: Sequence[Pair]) -> dict[str, list[Pair]]:
    """Return a few pairs of each template, spread over all of them."""
    by_template: dict[str, list[Pair]] = {}
    for pair in pairs:
        by_template.setdefault(pair.origin.template, []).append(pair)
    return {t: own[:: max(1, len(own) // _SAMPLES)][:_SAMPLES] for t, own in by_template.items()}


def _reason(text: str) -> str:
    return text.split(": ", maxsplit=1)[0] if len(text) > 60 else text  # noqa: PLR2004
