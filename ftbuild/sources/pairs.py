"""Questions and answers that exist already, in a table: they skip generation and join the others when pairs are curated.

In: JSON Lines, CSV, TSV, an Excel sheet or Parquet, chosen by the file's ending.  Out: `Pair`s.
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
from ftbuild.paths import find_file, shown
from ftbuild.records import Origin, Pair
from ftbuild.registries import SOURCES
from ftbuild.schema import nearest
from ftbuild.sources.file import read_text

Numbered = Iterator[tuple[int, Mapping[str, Any]]]


@SOURCES("pairs", files=("path",))
def pairs(
    *, path: str, title: str = "", question: str = "question", answer: str = "answer", section: str = ""
) -> Iterator[Pair]:
    """Read a table of questions and answers; `question`, `answer` and `section` name its columns.

    A section is the heading that a question belongs to, or a path of headings such as `Synopsis/Act 1`.
    """
    file = find_file(path)
    found = 0
    for line, row in _rows(file):
        for column in filter(None, (question, answer, section)):
            if column not in row:
                hint = f"the file has: {', '.join(map(str, row))}" if row else ""
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
        found += 1
        yield Pair(digest([path, asked, told])[:16], asked, told, Origin(title or Path(path).stem, headings, path, line=line))
    if not found:
        raise SourceError(f"{path}: the file holds no pairs")


def columns(file: Path) -> list[str]:
    """Return the names of a table's columns, by its first row."""
    return [str(name) for name in next((row for _, row in _rows(file)), {})]


def _text(value: Any) -> str:
    return "" if value is None or value != value else str(value).strip()  # noqa: PLR0124 - a missing cell is not a number


def _rows(file: Path) -> Numbered:
    """Yield the rows of a table with the line that each stands on."""
    match file.suffix.lower():
        case ".jsonl" | ".ndjson":
            yield from _json_lines(file)
        case ".csv" | ".tsv" as ending:
            yield from _separated(file, "\t" if ending == ".tsv" else ",")
        case ".xlsx" | ".parquet" as ending:
            yield from _with_pandas(file, ending)
        case other:
            raise ConfigError(f"{shown(file)}: {other or 'a file without an ending'} is no table that can be read",
                              hint="jsonl, csv, tsv, xlsx and parquet can")  # fmt: skip


def _json_lines(file: Path) -> Numbered:
    for number, line in enumerate(read_text(file).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise SourceError(f"{shown(file)}:{number}: not JSON: {error}") from error
        if not isinstance(row, dict):
            raise SourceError(f"{shown(file)}:{number}: an object in braces belongs here")
        yield number, row


def _separated(file: Path, separator: str) -> Numbered:
    reader = csv.DictReader(io.StringIO(read_text(file), newline=""), delimiter=separator, strict=True)
    good = 1
    try:
        for row in reader:
            good = reader.line_num
            yield good, {k: v for k, v in row.items() if k is not None}
    except csv.Error as error:
        raise SourceError(f"{shown(file)}:{good + 1}: {error}", hint="is a quotation mark missing?") from error


def _with_pandas(file: Path, ending: str) -> Numbered:
    import pandas as pd

    try:
        table = pd.read_excel(file, dtype=str) if ending == ".xlsx" else pd.read_parquet(file)
    except ImportError as error:
        needed = "openpyxl" if ending == ".xlsx" else "pyarrow"
        raise ConfigError(f"{shown(file)}: reading {ending} needs {needed}", hint=f"pip install {needed}") from error
    except Exception as error:  # the readers raise what they like for a broken file
        raise SourceError(f"{shown(file)}: cannot be read: {str(error).partition(chr(10))[0]}") from error
    for number, row in enumerate(table.to_dict("records"), start=2):
        yield number, {str(k): v for k, v in row.items()}
