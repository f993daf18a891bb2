"""Questions and answers that exist already, in a table: they skip generation and join the others when pairs are curated.

In: JSON Lines, JSON, CSV, TSV, an Excel sheet or Parquet, chosen by the file's ending.  Out: `Pair`s.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ftbuild.digest import digest
from ftbuild.errors import ConfigError, SourceError
from ftbuild.paths import find_files, shown
from ftbuild.readers.archive import Archive
from ftbuild.readers.decode import decoded
from ftbuild.records import Origin, Pair
from ftbuild.registries import SOURCES
from ftbuild.schema import nearest

Numbered = Iterator[tuple[int, Mapping[str, Any]]]


@SOURCES("pairs", files=("path",))
def pairs(
    *,
    path: str,
    title: str = "",
    question: str = "question",
    answer: str = "answer",
    section: str = "",
    sheet: str = "",
    encoding: str = "",
) -> Iterator[Pair]:
    """Read a table of questions and answers, or all that a pattern names; `question`, `answer`, `section` name its columns.

    A section is the heading that a question belongs to, or a path of headings such as `Synopsis/Act 1`.  `sheet` is one of an
    Excel file's, else its first; `encoding` is that of a text, which is told by itself where it can be.
    """
    found = 0
    for name, file in find_files(path).items():
        for pair in _pairs(file, name, title or Path(name).stem, (question, answer, section), sheet, encoding):
            found += 1
            yield pair
    if not found:
        raise SourceError(f"{path}: the file holds no pairs")


def _pairs(file: Path, path: str, title: str, columns: tuple[str, str, str], sheet: str, encoding: str) -> Iterator[Pair]:
    question, answer, section = columns
    for line, row in _rows(file, sheet, encoding):
        for column in filter(None, (question, answer, section)):
            if column not in row:
                hint = f"the file has: {', '.join(map(str, row))}" if row else ""
                if file.suffix.lower().startswith(".xls"):
                    hint += "; sheet: names another sheet than the first" if not sheet else ""
                raise ConfigError(
                    f"{shown(file)}:{line}: there is no column {column!r}; {nearest(column, list(row))}", hint=hint
                )
        asked, told = _text(row[question]), _text(row[answer])
        if not asked and not told:
            continue
        if not asked or not told:
            raise SourceError(
                f"{shown(file)}:{line}: the {answer if asked else question} is empty", hint="fill it in, or drop the line"
            )
        headings = tuple(h.strip() for h in _text(row[section]).split("/") if h.strip()) if section else ()
        yield Pair(digest([path, asked, told])[:16], asked, told, Origin(title, headings, path, line=line))


def columns(file: Path) -> list[str]:
    """Return the names of a table's columns, by its first row."""
    return [str(name) for name in next((row for _, row in _rows(file)), {})]


def _text(value: Any) -> str:
    return "" if value is None or value != value else str(value).strip()  # noqa: PLR0124 - a missing cell is not a number


def _rows(file: Path, sheet: str = "", encoding: str = "") -> Numbered:
    """Yield the rows of a table with the line that each stands on."""
    match file.suffix.lower():
        case ".jsonl" | ".ndjson":
            yield from _json_lines(_text_of(file, encoding), file)
        case ".json":
            yield from _json_list(_text_of(file, encoding), file)
        case ".csv" | ".tsv" as ending:
            yield from _separated(_text_of(file, encoding), file, "\t" if ending == ".tsv" else "")
        case ".xlsx" | ".xlsm" | ".parquet" as ending:
            yield from _with_pandas(file, ending, sheet)
        case other:
            raise ConfigError(f"{shown(file)}: {other or 'a file without an ending'} is no table that can be read",
                              hint="jsonl, json, csv, tsv, xlsx and parquet can")  # fmt: skip


def _text_of(file: Path, encoding: str) -> str:
    try:
        return decoded(file.read_bytes(), shown(file), given=encoding)
    except OSError as error:
        raise SourceError(f"{shown(file)}: {error.strerror}") from error


def _json_list(text: str, file: Path) -> Numbered:
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{shown(file)}: not JSON: {error}") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise SourceError(f"{shown(file)}: a list of objects belongs here", hint="one object a line is .jsonl")
    yield from enumerate(rows, start=1)


def _json_lines(text: str, file: Path) -> Numbered:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise SourceError(f"{shown(file)}:{number}: not JSON: {error}") from error
        if not isinstance(row, dict):
            raise SourceError(f"{shown(file)}:{number}: an object in braces belongs here")
        yield number, row


def _separated(text: str, file: Path, separator: str) -> Numbered:
    """Yield the rows of a table of text; what separates its columns is what its first line has most of."""
    first = text.partition("\n")[0]
    separator = separator or max(",;\t|", key=first.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    csv.field_size_limit(100_000_000)
    good = 1
    try:
        for row in reader:
            good = reader.line_num
            yield good, {k: v for k, v in row.items() if k is not None}
    except csv.Error as error:
        raise SourceError(f"{shown(file)}:{good + 1}: {error}", hint="is a quotation mark missing?") from error


def _with_pandas(file: Path, ending: str, sheet: str) -> Numbered:
    import pandas as pd

    try:
        table = pd.read_parquet(file) if ending == ".parquet" else _sheet(file, sheet)
    except (SourceError, ConfigError):
        raise
    except ImportError as error:
        needed = "pyarrow" if ending == ".parquet" else "openpyxl"
        raise ConfigError(f"{shown(file)}: reading {ending} needs {needed}", hint="pip install 'ftbuild[tables]'") from error
    except Exception as error:  # the readers raise what they like for a broken file
        raise SourceError(f"{shown(file)}: cannot be read: {str(error).partition(chr(10))[0]}") from error
    for number, row in enumerate(table.to_dict("records"), start=2):
        yield number, {str(k): v for k, v in row.items()}


def _sheet(file: Path, sheet: str) -> Any:
    """Return a sheet of an Excel file as a table of texts.  ConfigError names those that there are."""
    import pandas as pd

    data = file.read_bytes()
    if data.startswith(b"PK"):
        Archive(data, shown(file), what="Excel file").refuse_entities()
    with pd.ExcelFile(io.BytesIO(data), engine="openpyxl") as book:
        names = [str(name) for name in book.sheet_names]
        if sheet and sheet not in names:
            raise ConfigError(f"{shown(file)}: there is no sheet {sheet!r}; {nearest(sheet, names)}")
        return pd.read_excel(book, sheet_name=sheet or 0, dtype=str)
