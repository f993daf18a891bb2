"""What the stages of a build would ask and train, and what that would cost, before the first request is sent.

In: a recipe, the stages that have yet to run, and what is known of their inputs.  Out: a `Quote` a stage.  What is rendered is
counted; what is not known before somebody has answered is reckoned, twice: as expected, and at most.

Expected are replies as long as those that are kept for the same template, or as those of the last build, or, where there are
none, so many tokens a pair; rows like those of the last build, or as many as pairs were asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftbuild.budget import Amount, most_written, read
from ftbuild.plan import Last, Step, Verdict, inputs_of
from ftbuild.prices import cost
from ftbuild.records import read_jsonl, read_pairs, read_sections
from ftbuild.tokens import counter

if TYPE_CHECKING:
    from ftbuild.asking import Question
    from ftbuild.recipe import Provider, Recipe
    from ftbuild.replies import Replies
    from ftbuild.store import Action, Store
    from ftbuild.teacher import Request
    from ftbuild.tokens import Counter

A_PAIR = 60
"""Tokens that a question and its answer take as a line of JSON: what is expected where nothing is known."""

_AN_ANSWER = 24
_A_VERDICT = 60
_SHARE_OF_JSON = 0.25  # of a reply with pairs: names of keys, quotes, braces
_ROWS_A_TOKEN = 0.2  # rows that are made of a text, by its tokens (measured: 827 of 3,985)
_A_ROW = 14  # tokens of the question and the answer of such a row
_COUNTED = 2000  # rows


@dataclass(frozen=True)
class Quote:
    """What one stage would send, and cost: as expected (`completion_tokens`, `usd`), and at most.

    Tokens are those of requests still to send: the replies to `cached` of them are kept, and have `kept_tokens`.  `pairs` is
    how many all replies are to hold.  `exact` says whether the tokens to read were counted by the model's own vocabulary,
    `counted` by which; `known` whether all requests or rows lie before us; `expected` where the length of replies is taken
    from.  Dollars are None where the price table does not know the model, or nobody knows how many tokens there will be.
    """

    requests: int = 0
    cached: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    most_completion_tokens: int = 0
    trained_tokens: int = 0
    most_trained_tokens: int = 0
    usd: float | None = 0.0
    most_usd: float | None = 0.0
    pairs: int = 0
    kept_tokens: int = 0
    batch: bool = False
    exact: bool = False
    counted: str = ""
    known: bool = True
    expected: str = ""
    prices: str = ""

    @property
    def to_send(self) -> int:
        """How many requests would be sent."""
        return self.requests - self.cached

    @property
    def amount(self) -> Amount:
        """What it is expected to take from a budget."""
        return Amount(self.usd or 0.0, self.prompt_tokens + self.completion_tokens + self.trained_tokens, self.to_send)

    @property
    def most(self) -> Amount:
        """What it may take from a budget at most."""
        tokens = self.prompt_tokens + self.most_completion_tokens + self.most_trained_tokens
        return Amount(self.most_usd or 0.0, tokens, self.to_send)

    def plain(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {**asdict(self), "to_send": self.to_send}


@dataclass(frozen=True)
class Known:
    """What is known while a build is planned or runs: the recipe, the store, replies, finished stages, the last build."""

    recipe: Recipe
    store: Store
    replies: Replies
    done: Mapping[str, Action]
    last: Last

    def inputs(self, step: Step) -> dict[str, Path] | None:
        """Return a stage's input files, or None if one of them has yet to be made, or made again because it was damaged."""
        digests = inputs_of(step.stage, self.done)
        if digests is None or not all(map(self.store.intact, digests.values())):
            return None
        return {name: self.store.object(d) for name, d in digests.items()}

    def file(self, stage: str, output: str) -> Path | None:
        """Return an output of a finished stage, if there is one."""
        digest = self.done[stage].outputs[output] if stage in self.done else ""
        return self.store.object(digest) if digest and self.store.intact(digest) else None


def quotes(known: Known, steps: Iterable[Step]) -> dict[str, Quote]:
    """Return the quotes of those stages that ask somebody or train, and have to run or may have to."""
    found: dict[str, Quote] = {}
    for step in steps:
        if step.verdict in (Verdict.RUN, Verdict.MAYBE):
            with suppress(OSError):
                quote = _quote(known, step, found)
                if quote is not None:
                    found[step.stage.name] = quote
    return found


def total(quotes: Iterable[Quote]) -> tuple[Amount, Amount]:
    """Return what several quotes come to, as expected and at most."""
    expected, most = Amount(), Amount()
    for quote in quotes:
        expected, most = _sum(expected, quote.amount), _sum(most, quote.most)
    return expected, most


def _sum(one: Amount, other: Amount) -> Amount:
    return Amount(one.usd + other.usd, one.tokens + other.tokens, one.requests + other.requests)


def _quote(known: Known, step: Step, before: Mapping[str, Quote]) -> Quote | None:
    match step.stage.name:
        case "generate":
            return _of_generation(known, known.inputs(step))
        case "train":
            return _of_training(known, known.inputs(step), before.get("generate"))
        case "baseline" | "evaluate":
            return _of_questions(known, step.stage.name)
    return None


# ---- the teacher ----


@dataclass
class _Template:
    """What is asked by one template: requests to send and what they may take, replies that are kept and their length."""

    usual: int
    pairs: int = 0
    missing: int = 0
    most: int = 0
    read: int = 0
    kept: int = 0
    written: int = 0


def _of_generation(known: Known, inputs: Mapping[str, Path] | None) -> Quote | None:
    from ftbuild.stages.generate import every_request

    if inputs is None:
        return None
    recipe = known.recipe
    count = counter(recipe.teacher.provider, recipe.teacher.model)
    templates: dict[str, _Template] = {}
    for one in every_request(recipe, inputs["structure/sections.jsonl"]):
        template = templates.setdefault(one.name, _Template(A_PAIR * one.wanted))
        template.pairs += one.wanted
        if (reply := known.replies.get(one.request.id)) is not None:
            template.kept += 1
            template.written += int((reply.get("usage") or {}).get("completion", 0))
        else:
            template.missing += 1
            template.read += read(count, one.request.body)
            template.most += most_written(one.request)
    if not templates:
        return None
    missing = sum(t.missing for t in templates.values())
    earlier = _lengths_of_last(known) if missing else {}
    ways, expected = set[str](), 0
    for name, template in templates.items():
        if template.missing:
            mean = template.written / template.kept if template.written else earlier.get(name, 0)
            ways.add("as long as earlier ones" if mean else f"{A_PAIR} tokens a pair")
            expected += min(round((mean or template.usual) * template.missing), template.most)
    provider, teacher = recipe.teacher.provider, recipe.teacher
    quote = Quote(
        requests=missing,
        prompt_tokens=sum(t.read for t in templates.values()),
        most_completion_tokens=sum(t.most for t in templates.values()),
        pairs=sum(t.pairs for t in templates.values()),
        kept_tokens=sum(t.written for t in templates.values()),
        batch=teacher.mode == "batch",
        exact=count.exact,
        counted=count.name,
        prices=provider.prices.date,
    )
    kept = sum(t.kept for t in templates.values())
    return _with(quote, provider, teacher.model, kept, expected, " or ".join(sorted(ways)))


def _lengths_of_last(known: Known) -> dict[str, float]:
    """Return how many tokens the replies of the last build had on the average, by template."""
    record = known.last.actions.get("generate", {})
    units = known.store.object(str(record.get("outputs", {}).get("units.jsonl", "")))
    found: dict[str, list[int]] = {}
    if units.is_file():
        for unit in read_jsonl(units):
            if tokens := int((unit.get("usage") or {}).get("completion", 0)):
                found.setdefault(str(unit["template"]), []).append(tokens)
    return {name: sum(lengths) / len(lengths) for name, lengths in found.items()}


def _of_requests(provider: Provider, model: str, missing: Sequence[Request]) -> Quote:
    """Return what requests read, and what they may write at most."""
    if not missing:
        return Quote(prices=provider.prices.date)
    count = counter(provider, model)
    given = sum(read(count, r.body) for r in missing)
    most = sum(most_written(r) for r in missing)
    return Quote(len(missing), 0, given, 0, most, exact=count.exact, counted=count.name, prices=provider.prices.date)


def _with(quote: Quote, provider: Provider, model: str, kept: int, expected: int, way: str) -> Quote:
    """Return a quote with its replies' length, its price, and what is kept."""

    def priced(written: int) -> float | None:
        return cost(provider, model, prompt=quote.prompt_tokens, completion=written, batch=quote.batch)

    changes: dict[str, Any] = {
        "requests": quote.requests + kept,
        "cached": kept,
        "completion_tokens": expected,
        "expected": way,
    }
    changes |= {"usd": priced(expected), "most_usd": priced(quote.most_completion_tokens)}
    return replace(quote, **changes)


# ---- the questions ----


def _of_questions(known: Known, stage: str) -> Quote:
    from ftbuild.asking import Asker, questions

    recipe = known.recipe
    provider, base = recipe.trainer.provider, recipe.trainer.base_model
    tuned = str(known.done["train"].facts["model"]) if "train" in known.done else ""
    model = base if stage == "baseline" else tuned or f"ft:{base}"
    held_out = known.file("curate", "held_out.jsonl")
    asker = Asker(recipe, model)
    pairs = list(read_pairs(held_out)) if held_out else []
    asked = [(q, asker.request(q.text, q.path)) for q in questions(recipe, pairs)]
    unseen = recipe.curate.hold_out if held_out is None and recipe.evaluate.held_out is not None else 0
    missing = [(q, r) for q, r in asked if known.replies.get(r.id) is None]
    kept = len(asked) - len(missing)
    missing += asked[:1] * unseen  # questions like the first one, which has to stand for those to come
    quote = _of_requests(provider, base, [r for _, r in missing])
    usual = min(recipe.evaluate.max_tokens, _AN_ANSWER)
    quote = _with(quote, provider, model, kept, usual * len(missing), f"{usual} tokens an answer" if missing else "")
    quote = _with_judge(recipe, quote, [q for q, _ in missing], usual)
    return replace(quote, known=held_out is not None or recipe.evaluate.held_out is None)


def _with_judge(recipe: Recipe, quote: Quote, asked: Sequence[Question], usual: int) -> Quote:
    """Return the quote of questions with what a judge is asked about their answers, where their graders ask one."""
    from ftbuild.judging import asks, verdict_on

    cases = [verdict_on(recipe, q.grade, q.text, "", q.expected) for q in asked if asks(q.grade)]
    if not cases:
        return quote
    judge = recipe.judge
    own = _of_requests(judge.provider, judge.model, cases)
    own = replace(own, prompt_tokens=own.prompt_tokens + usual * len(cases))
    own = _with(own, judge.provider, judge.model, 0, min(judge.max_tokens, _A_VERDICT) * len(cases), "")
    counts = ("requests", "prompt_tokens", "completion_tokens", "most_completion_tokens")
    sums: dict[str, Any] = {name: getattr(quote, name) + getattr(own, name) for name in counts}
    for name in ("usd", "most_usd"):
        one, other = getattr(quote, name), getattr(own, name)
        sums[name] = None if one is None or other is None else one + other
    return replace(quote, **sums, exact=False, expected=f"{quote.expected}, {_A_VERDICT} a verdict")


# ---- training ----


def _of_training(known: Known, inputs: Mapping[str, Path] | None, teacher: Quote | None) -> Quote | None:
    recipe = known.recipe
    provider, base, epochs = recipe.trainer.provider, recipe.trainer.base_model, recipe.train.epochs
    count = counter(provider, base)
    if inputs is not None:
        once = most = training_tokens(count, inputs["format/rows.jsonl"])
        way = ""
    else:
        once, most, way = _rows_to_come(known, count, teacher)
    if not most:
        way = "not known before its rows are made"
        free = 0.0 if provider.prices.free else None
        return Quote(usd=free, most_usd=free, known=False, expected=way, prices=provider.prices.date)
    usd, most_usd = (cost(provider, base, trained=n * epochs) for n in (once, most))
    return Quote(
        trained_tokens=once * epochs,
        most_trained_tokens=most * epochs,
        usd=usd,
        most_usd=most_usd,
        exact=count.exact and inputs is not None,
        counted=count.name,
        known=inputs is not None,
        expected=way,
        prices=provider.prices.date,
    )


def training_tokens(count: Counter, rows: Path) -> int:
    """Return the tokens of a file of training rows, seen once."""
    return sum(count.count_row(row) for row in read_jsonl(rows))


def _rows_to_come(known: Known, count: Counter, teacher: Quote | None) -> tuple[int, int, str]:
    """Return the tokens of rows that are not made yet, as expected and at most, and how that was found."""
    last = known.last.actions
    rows = known.store.object(str(last.get("format", {}).get("outputs", {}).get("rows.jsonl", "")))
    if rows.is_file():
        once = training_tokens(count, rows)
        return once, once, "the rows of the last build"
    sections = known.file("structure", "sections.jsonl")
    if sections is None:
        return 0, 0, ""
    frame = count.count_row(_row(known.recipe, "", ""))
    parts = [
        (*_of_teacher(teacher, frame), "the pairs asked for"),
        (*_ready(known, count), "the pairs that exist"),
        (*_of_kinds(known, count, sections, frame), "the length of the text"),
    ]
    told = " and ".join(way for number, _, _, way in parts if number)
    number, once, most = sum(p[0] for p in parts), sum(p[1] for p in parts), sum(p[2] for p in parts)
    kept = 1 - min(1.0, known.recipe.curate.hold_out / number) if number else 0
    return round(once * kept), round(most * kept), told


def _of_teacher(teacher: Quote | None, frame: int) -> tuple[int, int, int]:
    """Return the rows of replies to come, their tokens as expected, and at most."""
    if teacher is None:
        return 0, 0, 0
    written = round((teacher.kept_tokens + teacher.completion_tokens) * (1 - _SHARE_OF_JSON))
    most = teacher.kept_tokens + teacher.most_completion_tokens
    return teacher.pairs, written + teacher.pairs * frame, most + teacher.pairs * frame


def _ready(known: Known, count: Counter) -> tuple[int, int, int]:
    """Return the rows of pairs that exist already, and their tokens twice; of many, the first ones stand for all."""
    given = known.file("fetch", "pairs.jsonl")
    if given is None:
        return 0, 0, 0
    number, first = 0, list[int]()
    for pair in read_pairs(given):
        number += 1
        if number <= _COUNTED:
            first.append(count.count_row(_row(known.recipe, pair.prompt, pair.completion, pair.origin.path)))
    tokens = round(sum(first) / max(1, len(first)) * number)
    return number, tokens, tokens


def _of_kinds(known: Known, count: Counter, sections: Path, frame: int) -> tuple[int, int, int]:
    """Return the rows that kinds make of the text itself, by its length or as many as are wanted, and their tokens twice."""
    kinds = known.recipe.kinds.values()
    text = sum(count.count(s.text) for s in read_sections(sections)) if kinds else 0
    number = sum(max(int(use.params.get("rows") or 0), round(text * _ROWS_A_TOKEN)) for use in kinds)
    return number, number * (frame + _A_ROW), number * (frame + _A_ROW)


def _row(recipe: Recipe, question: str, answer: str, path: tuple[str, ...] = ()) -> Mapping[str, Any]:
    """Return a row as it will be trained on.  One that cannot be made is its question and answer."""
    from ftbuild.errors import ConfigError
    from ftbuild.rows import Formatter

    try:
        return Formatter(recipe.format, recipe.vars).row(question, answer, path)
    except ConfigError:
        return {"prompt": question, "completion": answer}
