"""Run cleaning rules over documents, in order, with all cores, and keep account of what each of them took.

In: documents, one JSON object a line, and the rules of a recipe.  Out: `Item`s in the same order, each with the clean document
or the reason why there is none.  No more documents are held at a time than are being worked on; between rules that look at
all documents, they lie in a temporary file.
"""

from __future__ import annotations

import json
import pickle
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from inspect import Parameter, signature
from typing import Any

from ftbuild.cleaned import Cleaned
from ftbuild.errors import ConfigError, FtbuildError, SourceError, Unwanted
from ftbuild.limits import OutOfTime, limit
from ftbuild.pool import batches, mapped
from ftbuild.records import Document
from ftbuild.registries import RULES
from ftbuild.registry import Use

_MILLION = 1_000_000
_EXAMPLES = 2  # of what a rule took from one document
_LONGEST = 160  # characters of such an example


@dataclass
class Item:
    """A document on its way: its line of JSON, and what was done to it.  `removed` is in characters, by rule.

    `dropped` says why there is nothing left of it, `by` which rule it was, `failed` whether that is an error.
    """

    line: str
    title: str = ""
    before: int = 0
    after: int = 0
    removed: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)
    dropped: str = ""
    by: str = ""
    failed: bool = False
    original: str = ""


def cleaned(
    lines: Iterable[str], rules: Mapping[str, Use[Any]], *, seconds: float, jobs: int | None = None, originals: int = 0
) -> Iterator[Item]:
    """Yield for each document what the rules make of it, in order.  `originals` is how many keep the text that they had.

    ConfigError for a rule that can work on no document; what goes wrong with one document is told by its item.
    """
    items: Iterator[Item] = (Item(line, original="?" if n < originals else "") for n, line in enumerate(lines))
    for readings, part in _parts(rules):
        if readings:
            ((name, rule),) = part
            items = _over_all(items, name, rule, readings)
        else:
            items = _apart(items, part, seconds, jobs)
    if not rules:
        items = _apart(items, (), seconds, jobs)
    return items


def _parts(rules: Mapping[str, Use[Any]]) -> Iterator[tuple[int, tuple[tuple[str, Use[Any]], ...]]]:
    """Yield runs of rules that look at one document each, and single ones that look at all."""
    run: list[tuple[str, Use[Any]]] = []
    for name, rule in rules.items():
        if readings := RULES.readings(rule.name):
            if run:
                yield 0, tuple(run)
                run = []
            yield readings, ((name, rule),)
        else:
            run.append((name, rule))
    if run:
        yield 0, tuple(run)


# ---- one document at a time ----


@dataclass(frozen=True)
class _Work:
    rules: tuple[tuple[str, Use[Any]], ...]
    seconds: float


def _apart(items: Iterator[Item], rules: Sequence[tuple[str, Use[Any]]], seconds: float, jobs: int | None) -> Iterator[Item]:
    given = [(name, rule.name, dict(rule.params)) for name, rule in rules]
    for batch in mapped(
        _of_batch, batches(items, lambda item: len(item.line)), setup=_set_up, given=(given, seconds), jobs=jobs
    ):
        yield from batch


def _set_up(given: tuple[list[tuple[str, str, dict[str, Any]]], float]) -> _Work:
    rules, seconds = given
    return _Work(tuple((name, RULES.use(rule, **params)) for name, rule, params in rules), seconds)


def _of_batch(work: _Work, batch: list[Item]) -> list[Item]:
    return [item if item.dropped else of_document(item, work.rules, work.seconds) for item in batch]


def of_document(item: Item, rules: Sequence[tuple[str, Use[Any]]], seconds: float) -> Item:
    """Return an item after rules that look at one document each."""
    document = Document(**json.loads(item.line))
    if not item.title:
        item.title, item.before = document.title or document.id, len(document.text)
        item.original = document.text if item.original else ""
    text, name = document.text, ""
    meta = {**document.meta, "title": document.title, "format": document.format}
    try:
        with limit(seconds * max(1.0, len(text) / _MILLION)):
            for name, rule in rules:
                if RULES.suits(rule.name, document.format):
                    text = _one(item, name, rule, text, meta)
                    if not text.strip():
                        return _dropped(item, name, "nothing is left of it")
    except Unwanted as unwanted:
        return _dropped(item, name, str(unwanted))
    except ConfigError:
        raise
    except OutOfTime:
        return _failed(item, name, f"takes longer than {seconds:g} s for each million characters (clean.seconds)")
    except FtbuildError as error:
        return _failed(item, name, error.message)
    except Exception as error:  # noqa: BLE001 - a rule is whatever somebody has registered
        return _failed(item, name, f"{type(error).__name__}: {error}")
    if not text.strip():
        return _dropped(item, name, "it is empty")
    item.after = len(text)
    item.line = json.dumps(
        asdict(Document(document.id, document.title, text, document.format, document.meta)), ensure_ascii=False
    )
    return item


def _one(item: Item, name: str, rule: Use[Any], text: str, meta: Mapping[str, Any]) -> str:
    made = rule(text, meta) if _takes_meta(rule.function) else rule(text)
    pieces: Mapping[str, Sequence[str]] = {}
    if isinstance(made, Cleaned):
        pieces = made.removed
        made = made.text
    if not isinstance(made, str):
        raise TypeError(f"a rule returns text, not {type(made).__name__}")
    _account(item, name, text, made, pieces)
    return made


def _account(item: Item, name: str, before: str, after: str, pieces: Mapping[str, Sequence[str]] = {}) -> None:
    """Note what a rule took: by kind, if it tells, and what remains of the difference under its own name."""
    if before == after:
        return
    told = 0
    for kind, taken in pieces.items():
        key = f"{name}: {kind}"
        size = sum(map(len, taken))
        told += size
        item.removed[key] = item.removed.get(key, 0) + size
        item.examples.setdefault(key, []).extend(_short(piece) for piece in taken[:_EXAMPLES])
    item.removed[name] = item.removed.get(name, 0) + len(before) - len(after) - told
    if not pieces:
        item.examples.setdefault(name, []).extend(_short(piece) for piece in differences(before, after, _EXAMPLES))


@cache
def _takes_meta(rule: Callable[..., Any] | None) -> bool:
    assert rule is not None
    placed = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in placed for p in signature(rule).parameters.values()) > 1


def _dropped(item: Item, by: str, reason: str) -> Item:
    item.dropped, item.by, item.line, item.after = reason, by, "", 0
    return item


def _failed(item: Item, by: str, reason: str) -> Item:
    item.failed = True
    return _dropped(item, by, reason)


def _short(text: str) -> str:
    text = " ".join(text[: 4 * _LONGEST].split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def differences(before: str, after: str, most: int) -> list[str]:
    """Return the first pieces of a text that are not in what a rule made of it, at most so many.

    What follows a piece is found again by its next letters, which is quick, and right where a rule takes things out.
    """
    found: list[str] = []
    here = there = 0
    while len(found) < most:
        same = _common(before, here, after, there)
        here, there = here + same, there + same
        if here >= len(before):
            break
        again = skipped = -1
        for skipped in (0, 4, 8, 16, 32):  # letters that the rule may have put in the place
            anchor = after[there + skipped : there + skipped + 16]
            if anchor and (again := before.find(anchor, here + 1, here + 100_000)) >= 0:
                break
        if again < 0:
            end = len(before)
            while end > here and len(before) - end < len(after) - there and before[end - 1] == after[end - 1 - len(before)]:
                end -= 1
            found.append(before[here : min(end, here + _LONGEST * 2)])
            break
        back = _back(before, here, again)  # the same letters may stand before and at the end of what went
        found.append(before[here - back : again - back])
        here, there = again, there + skipped
    return [piece for piece in found if piece.strip()]


def _back(text: str, here: int, again: int) -> int:
    """Return by how many letters a piece may be moved to the left to begin with a word, and still be the same piece."""
    back = 0
    while (
        back < min(here, _LONGEST) and text[here - back - 1] == text[again - back - 1] and not text[here - back - 1].isspace()
    ):
        back += 1
    return back if back == here or text[here - back - 1].isspace() else 0


def _common(one: str, at: int, other: str, there: int) -> int:
    """Return how many characters two texts have in common from two places on."""
    size, most = 0, min(len(one) - at, len(other) - there)
    step = 64
    while size < most:
        if one[at + size : at + size + step] == other[there + size : there + size + step]:
            size = min(most, size + step)
            step *= 2
        elif step == 1:
            break
        else:
            step = max(1, step // 4)
    return min(size, most)


# ---- all documents ----


def _over_all(items: Iterator[Item], name: str, rule: Use[Any], readings: int) -> Iterator[Item]:
    """Run a rule that is given the texts of all documents.  They wait in a file if it reads them more than once."""
    if readings > 1:
        with tempfile.TemporaryFile(prefix="ftbuild-clean-") as file:
            for item in items:
                pickle.dump(item, file, protocol=5)
            yield from _told(rule, name, _Again(file))
    else:
        yield from _told(rule, name, items)


class _Again:
    """Items in a file, to be read as often as somebody wants."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def __iter__(self) -> Iterator[Item]:
        place = 0
        while True:
            self._file.seek(place)
            try:
                item: Item = pickle.load(self._file)  # noqa: S301 - what was written above
            except EOFError:
                return
            place = self._file.tell()
            yield item


class _Texts:
    """The texts of the documents that a rule is for.  Those of the last reading are remembered until they come back."""

    def __init__(
        self, items: Iterable[Item], rule: Use[Any], waiting: deque[tuple[Item, Document | None]], readings: int
    ) -> None:
        self._items, self._rule, self._waiting, self._left = items, rule, waiting, readings

    def __iter__(self) -> Iterator[str]:
        self._left -= 1
        for item in self._items:
            document = None if item.dropped else Document(**json.loads(item.line))
            mine = document if document and RULES.suits(self._rule.name, document.format) else None
            if document and not item.title:
                item.title, item.before, item.after = document.title or document.id, len(document.text), len(document.text)
                item.original = document.text if item.original else ""
            if not self._left:
                self._waiting.append((item, mine))
            if mine:
                yield mine.text


def _told(rule: Use[Any], name: str, items: Iterable[Item]) -> Iterator[Item]:
    waiting: deque[tuple[Item, Document | None]] = deque()
    for text in rule(_Texts(items, rule, waiting, RULES.readings(rule.name))):
        while waiting and waiting[0][1] is None:
            yield waiting.popleft()[0]
        item, document = waiting.popleft()
        assert document is not None
        yield _changed(item, name, document, text)
    for item, document in waiting:
        if document is not None:
            raise FtbuildError(f"the rule {name} gave fewer texts than there are documents")
        yield item


def _changed(item: Item, name: str, document: Document, text: str) -> Item:
    if text == document.text:
        return item
    _account(item, name, document.text, text)
    if not text.strip():
        return _dropped(item, name, "nothing is left of it")
    item.after = len(text)
    new = Document(document.id, document.title, text, document.format, document.meta)
    item.line = json.dumps(asdict(new), ensure_ascii=False)
    return item


def refuse(item: Item) -> None:
    """End a build because of a document that could not be cleaned.  SourceError."""
    raise SourceError(
        f"{item.title}: {item.by or 'the document'}: {item.dropped}",
        hint="if it is the document's fault, clean.on_error=skip goes on without it" if item.failed else "which rule took it?",
    )
