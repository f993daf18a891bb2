"""Files of rows as people have them: JSON Lines, JSON, CSV, TSV, Excel, Parquet.

In: a file.  Out: its rows with the lines that they stand on, one after the other, and what is wrong with the file itself: what
is no JSON or no UTF-8, blank lines, other line ends, keys that occur twice, numbers that JSON does not have.  Only JSON, which
is one document, and Excel are held in memory as a whole.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from ftbuild.checking.about import Problem, short
from ftbuild.errors import ConfigError, SourceError
from ftbuild.paths import shown

Read = Iterator["tuple[int, Any] | Problem"]
"""Rows with their lines, and between them what is wrong with the file, as far as it was read."""

_NESTED = ("messages", "tools", "preferred_output", "non_preferred_output")

LONGEST = 32 * 2**20
"""Bytes of one line beyond which it is not read."""


class Lines:
    """A file of rows, which can be gone through more than once.  `at` is how many bytes of it were read, `size` of how many."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.at, self.size = 0, 0
        try:
            self.size = file.stat().st_size
            with file.open("rb"):
                pass
        except OSError as error:
            raise SourceError(f"{shown(file)}: cannot be read: {error.strerror}") from error
        ending = file.suffix.lower()
        if ending not in READERS:
            raise ConfigError(
                f"{shown(file)}: {ending or 'a file without an ending'} is no file of rows that can be read",
                hint=", ".join(e.removeprefix(".") for e in READERS) + " can; rename the file by what it is",
            )
        self._read = READERS[ending]
        self.uploadable = ending in (".jsonl", ".ndjson")

    def __iter__(self) -> Read:
        try:
            yield from self._read(self)
        except UnicodeDecodeError as error:
            where = f"byte {error.start}"
            raise SourceError(
                f"{shown(self.file)}: is not UTF-8 ({where})", hint="save it as UTF-8, as spreadsheets and editors can"
            ) from error
        except OSError as error:
            raise SourceError(f"{shown(self.file)}: cannot be read: {error.strerror}") from error


# ---- JSON ----


class _Remarks:
    """What the JSON of one line holds that it should not."""

    def __init__(self) -> None:
        self.twice, self.odd = "", ""
        self._decoder = json.JSONDecoder(object_pairs_hook=self._object, parse_constant=self._constant)

    def read(self, text: str) -> Any:
        self.twice = self.odd = ""
        return self._decoder.decode(text)

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) != len(pairs):
            names = [name for name, _ in pairs]
            self.twice = next(n for n in names if names.count(n) > 1)
        return made

    def _constant(self, name: str) -> float:
        self.odd = name
        return float(name)

    def problems(self, line: int, text: str) -> Iterator[Problem]:
        if self.twice:
            yield Problem("error", f"a key occurs twice in one object: {self.twice!r}", line, short(text))
        if self.odd:
            yield Problem("error", "NaN and Infinity are no JSON", line, short(text))
        if "\\u" in text and _halved(text):
            yield Problem("error", "half a surrogate pair, which is no text", line, short(text))


def _halved(text: str) -> bool:
    try:
        json.dumps(json.loads(text), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    except ValueError:
        return False
    return False


def _json_lines(lines: Lines) -> Read:
    remarks, number = _Remarks(), 0
    with lines.file.open("rb") as file:
        for given in _bounded(file):
            number += 1
            lines.at += len(given)
            raw = given.removeprefix(codecs.BOM_UTF8) if number == 1 else given
            if len(raw) < len(given):
                yield Problem("warning", "the file begins with a byte order mark", 1)
            if len(raw) > LONGEST:
                yield Problem("error", f"a line of more than {LONGEST // 2**20} MB", number)
                continue
            try:
                text = raw.decode()
            except UnicodeDecodeError as error:
                yield Problem("error", "the line is not UTF-8", number, f"byte {error.start} of the line")
                continue
            if text.endswith("\r\n"):
                yield Problem("hint", "lines end as on Windows (CRLF)", number)
            if not text.strip():
                yield Problem("hint", "blank lines", number)
                continue
            try:
                data = remarks.read(text)
            except (ValueError, RecursionError) as error:
                yield Problem("error", "the line is not JSON", number, f"{_why(error)}: {short(text.strip())}")
                continue
            yield from remarks.problems(number, text.strip())
            yield number, data
    lines.at = 0


def _why(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} (column {error.colno})"
    return "nested too deep" if isinstance(error, RecursionError) else str(error)


def _bounded(file: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of a file; of one that is too long, only the beginning."""
    while raw := file.readline(LONGEST + 1):
        if len(raw) > LONGEST:
            while (more := file.readline(LONGEST + 1)) and not more.endswith(b"\n"):
                pass
        yield raw


def _json(lines: Lines) -> Read:
    remarks, text = _Remarks(), lines.file.read_bytes().decode("utf-8-sig")
    try:
        data = remarks.read(text)
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", 0)
        raise SourceError(
            f"{shown(lines.file)}:{line}: not JSON: {_why(error)}", hint="a file of one object a line is called .jsonl"
        ) from error
    lists = [data] if isinstance(data, list) else [v for v in data.values() if isinstance(v, list)] if data else []
    if len(lists) != 1:
        raise SourceError(f"{shown(lines.file)}: a list of rows belongs here", hint="[{…}, {…}], or an object with one list")
    yield from (Problem(p.severity, p.message, 0, p.excerpt) for p in remarks.problems(0, text))
    yield from enumerate(lists[0], start=1)


# ---- tables ----


def _separated(lines: Lines) -> Read:
    csv.field_size_limit(LONGEST)
    with lines.file.open("r", encoding="utf-8-sig", newline="") as file:
        separator = "\t" if lines.file.suffix.lower() == ".tsv" else _separator(file)
        reader = csv.reader(_told(lines, file), delimiter=separator, strict=True)
        good = 1
        try:
            names = next(reader, [])
            for name in {n for n in names if names.count(n) > 1}:
                yield Problem("error", f"two columns are called {name!r}; the last of them counts", 1)
            good = reader.line_num + 1
            for cells in reader:
                if any(cells):
                    yield from _cells(names, cells, good)
                else:
                    yield Problem("hint", "blank lines", good)
                good = reader.line_num + 1
        except csv.Error as error:
            raise SourceError(f"{shown(lines.file)}:{good}: {error}", hint="is a quotation mark missing?") from error
    lines.at = 0


def _told(lines: Lines, file: Iterable[str]) -> Iterator[str]:
    for text in file:
        lines.at += len(text)
        yield text


def _separator(file: io.TextIOBase) -> str:
    """Return what stands between the cells of a table, by its first line."""
    first = file.readline()
    file.seek(0)
    return max(",;\t|", key=lambda mark: (first.count(mark), mark == ","))


def _cells(names: list[str], cells: list[str], line: int) -> Read:
    row = {name: _cell(name, cell) for name, cell in zip(names, cells, strict=False)}
    if len(cells) != len(names):
        yield Problem(
            "error", f"the line has {len(cells)} cells, the first line has {len(names)}", line, short(", ".join(cells))
        )
    yield line, row


def _cell(name: str, text: str) -> Any:
    """Return a cell as text; or as what its JSON says, in those columns that are never text."""
    if name in _NESTED and text[:1] in ("[", "{"):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return text


def _excel(lines: Lines) -> Read:
    pandas = _pandas(lines, "openpyxl")
    table = _tried(lines, lambda: pandas.read_excel(lines.file, dtype=str, keep_default_na=False), "openpyxl")
    yield from _records(table, 2)


def _parquet(lines: Lines) -> Read:
    _pandas(lines, "pyarrow")

    def opened() -> Any:
        from pyarrow import parquet

        return parquet.ParquetFile(lines.file)

    number = 1
    for batch in _tried(lines, opened, "pyarrow").iter_batches(batch_size=1000):
        for row in batch.to_pylist():
            yield number, {k: v for k, v in row.items() if v is not None}
            number += 1


def _pandas(lines: Lines, needed: str) -> Any:
    import importlib.util

    if importlib.util.find_spec(needed) is None:
        raise ConfigError(f"{shown(lines.file)}: reading this needs {needed}", hint=f"pip install {needed}")
    import pandas as pd

    return pd


def _tried(lines: Lines, reading: Callable[[], Any], needed: str) -> Any:
    try:
        return reading()
    except ImportError as error:
        raise ConfigError(f"{shown(lines.file)}: reading this needs {needed}", hint=f"pip install {needed}") from error
    except Exception as error:  # the readers raise what they like for a broken file
        raise SourceError(f"{shown(lines.file)}: cannot be read: {str(error).partition(chr(10))[0]}") from error


def _records(table: Any, first: int) -> Read:
    for number, row in enumerate(table.to_dict("records"), start=first):
        yield number, {str(k): _cell(str(k), v) if isinstance(v, str) else v for k, v in row.items()}


READERS: Mapping[str, Callable[[Lines], Read]] = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": _json,
    ".csv": _separated,
    ".tsv": _separated,
    ".xlsx": _excel,
    ".parquet": _parquet,
}
"""How files are read, by their endings."""
