"""Checks of rows of any kind: how many there are, which columns, of which shape, what is there twice, what is too long."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from ftbuild.checking.about import About, Problem, Row, Watch, data, error, hint, warning
from ftbuild.checking.shape import kind_of, known_columns
from ftbuild.registries import CHECKS


@CHECKS("count")
def count(about: About) -> Watch:
    """Say whether there are enough rows."""
    rows = 0

    def each(_: Row) -> None:
        nonlocal rows
        rows += 1

    def end() -> Iterator[Problem]:
        good = data("limits.json")["good_rows"]
        if not rows:
            yield error("there are no rows")
        elif rows < about.least_rows:
            yield error(f"fewer than {about.least_rows} rows ({rows}); the provider refuses such a file")
        elif rows < good:
            yield hint(f"{rows} rows are few; providers advise {good} to 100 at least")

    return Watch(each, end, fix="write more rows", unsound=True)


@CHECKS("columns")
def columns(_: About) -> Watch:
    """Find columns that go by another name, and those that no row of the kind has."""
    extra = Counter[str]()

    def each(row: Row) -> Iterator[Problem]:
        if not isinstance(row.data, dict):
            return
        if named := _renamed(row.data):
            yield error(f"columns go by other names: {', '.join(f'{a} for {b}' for a, b in named)}", row)
        elif row.kind:
            for name in row.data.keys() - set(known_columns(row.kind)):
                extra[name] += 1
                yield warning(f"there is a column that is not used: {name!r}", row)

    def mend(row: Row) -> Mapping[str, Any] | None:
        if not isinstance(row.data, dict):
            return row.data  # type: ignore[no-any-return]
        names = dict(_renamed(row.data))
        made = {str(names.get(k, k)): v for k, v in row.data.items()}
        kind = kind_of(made)
        return {k: v for k, v in made.items() if k in known_columns(kind)} if kind else made

    return Watch(each, None, mend, "the columns are renamed, and those that are not used dropped", unsound=True)


def _renamed(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return which columns stand for which, for a row that has none of the right ones."""
    if kind_of(row):
        return []
    names = {name.strip().casefold(): name for name in row}
    found = list[tuple[str, str]]()
    for right, others in data("limits.json")["columns"].items():
        other = next((names[o] for o in (right, *others) if o in names), "")
        if not other:
            return []
        found.append((other, right))
    return [pair for pair in found if pair[0] != pair[1]]


@CHECKS("shape")
def shape(about: About) -> Watch:
    """Say where a row is not of the shape that its kind has (JSON Schema)."""
    from ftbuild.checking.shape import Shapes

    shapes = Shapes()

    def each(row: Row) -> Iterator[Problem]:
        _, problem = shapes.of(row.data)
        if problem and not (isinstance(row.data, dict) and _renamed(row.data)):
            yield error(problem, row)

    def mend(row: Row) -> Mapping[str, Any] | None:
        given = row.data
        if isinstance(given, dict) and kind_of(given) == "completion":  # numbers out of tables are meant as text
            given = {k: _text(v) if k in ("prompt", "completion") else v for k, v in given.items()}
        return given if not shapes.of(given)[1] else None

    assert about is not None
    return Watch(each, None, mend, "numbers become text; rows that are of no known shape are left out", unsound=True)


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) and value == value else value  # noqa: PLR0124


@CHECKS("kinds")
def kinds(_: About) -> Watch:
    """Say whether rows of several kinds stand in one file."""
    found = Counter[str]()

    def each(row: Row) -> Iterator[Problem]:
        first = next(iter(found), row.kind)
        found[row.kind] += 1
        if row.kind != first:
            yield error(f"{row.kind} rows among {first} rows", row)

    return Watch(each, fix="put rows of one kind into a file of their own")


@CHECKS("duplicates")
def duplicates(_: About) -> Watch:
    """Find rows that are there already."""
    seen: dict[bytes, int] = {}

    def each(row: Row) -> Iterator[Problem]:
        if seen.setdefault(row.content, row.line) != row.line:
            yield warning("the same row is there already", row)

    def mend(row: Row) -> Mapping[str, Any] | None:
        # A row that was mended before this may have become like another, which is seen here for the first time.
        return row.data if seen.setdefault(row.content, row.line) == row.line else None

    return Watch(each, None, mend, "only the first of them is kept", late=True)


@CHECKS("contradictions")
def contradictions(_: About) -> Watch:
    """Find the same question with another answer."""
    answers: dict[int, int] = {}

    def each(row: Row) -> Iterator[Problem]:
        if row.kind != "completion" and len(row.turns) > 2:  # noqa: PLR2004 - a conversation is more than its last question
            return
        asked, told = hash(row.prompt), hash(row.answer)
        if answers.setdefault(asked, told) != told:
            yield hint("the same prompt with another answer", row)

    return Watch(each, fix="keep one answer, unless the model is to learn several")


@CHECKS("too_long")
def too_long(about: About) -> Watch:
    """Find rows that have more tokens than the model takes."""
    most = about.most_tokens

    def long(row: Row) -> bool:
        return bool(most) and row.tokens > most

    def each(row: Row) -> Iterator[Problem]:
        if long(row):
            about_ = "" if about.counter.exact else "about "
            yield error(f"more than {about_}{most:,} tokens, which is what {about.model} takes; the rest would be cut off", row)

    def mend(row: Row) -> Mapping[str, Any] | None:
        return None if long(row) else row.data

    return Watch(each, None, mend, "these rows are left out; or split them", late=True)


@CHECKS("one_answer")
def one_answer(_: About) -> Watch:
    """Say whether all answers are equal."""
    answers, rows = set[str](), 0

    def each(row: Row) -> None:
        nonlocal rows
        rows += 1
        if len(answers) < 2:  # noqa: PLR2004
            answers.add(row.answer)

    def end() -> Iterator[Problem]:
        if rows > 1 and len(answers) == 1:
            yield warning(f"all {rows} answers are equal; there is nothing to learn")

    return Watch(each, end, fix="add rows with other answers")


@CHECKS("capitals")
def capitals(_: About) -> Watch:
    """Say whether most texts are written in capitals only."""
    loud, rows, first = Counter[str](), 0, dict[str, Row]()

    def each(row: Row) -> None:
        nonlocal rows
        rows += 1
        for name in ("prompt", "answer"):
            text = getattr(row, name)
            if text.isupper() and sum(map(str.isalpha, text)) > 3:  # noqa: PLR2004 - NATO is no sentence
                loud[name] += 1
                first.setdefault(name, row)

    def end() -> Iterator[Problem]:
        for name, many in loud.items():
            if many > rows / 2:
                yield hint(f"{many} of {rows} {name}s are written in capitals only", first[name])

    return Watch(each, end, fix="small letters are what models read best")
