"""All checks over all rows, in one pass.

In: rows with their lines, problems of the file between them, and what is known of it beforehand.  Out: `Checked`, the findings.
Memory holds a batch of rows, and what the checks remember: a few bytes a row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftbuild.checking.about import About, Problem, Row, Severity, Watch, least_rows, most_tokens
from ftbuild.checking.endings import ending
from ftbuild.checking.shape import Shapes, kind_of
from ftbuild.registries import CHECKS

if TYPE_CHECKING:
    from collections.abc import Callable

    from ftbuild.recipe import Provider
    from ftbuild.tokens import Counter

_BATCH = 500
_SAMPLE = 1000
_SHOWN = 5
_ORDER = {"error": 0, "warning": 1, "hint": 2}


@dataclass
class Finding:
    """What a check found: how bad it is, in how many places, the first of them, and what to do about it."""

    rule: str
    severity: Severity
    message: str
    count: int = 0
    first: list[tuple[int, str]] = field(default_factory=list)
    fix: str = ""
    fixable: bool = False

    def told(self) -> dict[str, Any]:
        """Return the finding as plain data."""
        return {**asdict(self), "first": [{"line": line, "excerpt": excerpt} for line, excerpt in self.first]}


@dataclass
class Checked:
    """What was found in a file of rows.  `tokens` are exact if the counter is; `longest` is the row with the most of them."""

    rows: int = 0
    kind: str = ""
    tokens: int = 0
    longest: int = 0
    findings: list[Finding] = field(default_factory=list)
    watches: dict[str, Watch] = field(default_factory=dict)

    def of(self, severity: Severity) -> list[Finding]:
        """Return the findings of one severity."""
        return [f for f in self.findings if f.severity == severity]

    def in_words(self) -> str:
        """Return how many findings there are of each severity."""
        told = []
        for severity in _ORDER:
            many = sum(f.severity == severity for f in self.findings)
            told.append(f"{many} {severity}{'' if many == 1 else 's'}" if many else f"no {severity}s")
        return ", ".join(told)

    @property
    def ok(self) -> bool:
        """Whether there is no error."""
        return not self.of("error")


def about(provider: Provider, model: str, *, state: Path | None = None, separator: str = "", stop: str = "") -> About:
    """Return what is known of rows that are meant for a model: how its tokens are counted, and what it takes."""
    from ftbuild.tokens import counter

    counts: Counter = counter(provider, model, state)
    most = counts.context or most_tokens(model)
    return About(
        counts, model, least_rows(provider.kind, provider.base_url), most, separator, stop, declared=bool(separator or stop)
    )


def check(rows: Iterable[tuple[int, Any] | Problem], about: About, told: Callable[[int], None] = lambda _: None) -> Checked:
    """Run all checks over rows.  `told` hears how many were seen, now and then."""
    made, found = Checked(), dict[tuple[str, str], Finding]()

    def add(rule: str, problem: Problem, watch: Watch | None = None) -> None:
        finding = found.setdefault((rule, problem.message), Finding(rule, problem.severity, problem.message))
        finding.count += 1
        if watch:
            finding.fix = problem.by_hand or watch.fix
            finding.fixable = watch.mend is not None and not problem.by_hand
        if problem.line and len(finding.first) < _SHOWN:
            finding.first.append((problem.line, problem.excerpt))

    shapes = Shapes()
    read = _read(iter(rows), shapes, lambda problem: add("file", problem))
    about.sample = list(islice(read, _SAMPLE))
    _guess(about)
    made.watches = {name: CHECKS[name](about) for name in CHECKS}
    for batch in _batches(chain(about.sample, read)):
        _count(batch, about)
        for row in batch:
            made.rows += 1
            made.tokens += row.tokens
            made.longest = max(made.longest, row.tokens)
            made.kind = made.kind or row.kind
            for name, watch in made.watches.items():
                if watch.each and (row.sound or watch.unsound):
                    for problem in watch.each(row) or ():
                        add(name, problem, watch)
        told(made.rows)
    for name, watch in made.watches.items():
        for problem in watch.end() if watch.end else ():
            add(name, problem, watch)
    for finding in found.values():
        if finding.rule == "file":
            finding.fix, finding.fixable = _FILE.get(finding.message, ("what cannot be read is left out", True))
    made.findings = sorted(found.values(), key=lambda f: (_ORDER[f.severity], -f.count))
    return made


_FILE = {
    "the file begins with a byte order mark": ("it is dropped", True),
    "lines end as on Windows (CRLF)": ("lines end as elsewhere", True),
    "blank lines": ("they are dropped", True),
    "NaN and Infinity are no JSON": ("the row is left out", True),
    "half a surrogate pair, which is no text": ("the row is left out", True),
}


def sounded(line: int, data: Any, shapes: Shapes) -> Row:
    """Return a row with its kind and whether its shape is right."""
    kind, problem = shapes.of(data)
    return Row(line, data, kind or (kind_of(data) if isinstance(data, dict) else ""), not problem)


def numbered(rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[int, Any]]:
    """Return rows with the lines that they will stand on."""
    return enumerate(rows, start=1)


def _read(rows: Iterator[tuple[int, Any] | Problem], shapes: Shapes, add: Callable[[Problem], None]) -> Iterator[Row]:
    broken = -1
    for one in rows:
        if isinstance(one, Problem):
            add(one)
            broken = one.line if one.severity == "error" else broken
        elif one[0] != broken:  # a row that was read all the same, but is not what it seems
            yield sounded(*one, shapes)


def _guess(about: About) -> None:
    """Find the separator and the stop token, unless they are declared."""
    texts = [row for row in about.sample if row.sound and row.kind == "completion"]
    if texts and not about.declared:
        about.separator = ending([row.prompt for row in texts])
        about.stop = ending([row.answer for row in texts])


def _batches(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while batch := list(islice(rows, _BATCH)):
        yield batch


def _count(batch: list[Row], about: About) -> None:
    sound = [row for row in batch if row.sound]
    try:
        counted = about.counter.count_rows([row.data for row in sound])
    except ValueError:  # there is one among them that the model's template does not take
        counted = [_tokens(row, about) for row in sound]
    for row, tokens in zip(sound, counted, strict=True):
        row.tokens = tokens


def _tokens(row: Row, about: About) -> int:
    try:
        return about.counter.count_row(row.data)
    except ValueError as error:
        row.unlaid = str(error)
        return 0
