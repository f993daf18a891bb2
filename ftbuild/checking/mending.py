"""The second pass over a file: what can be put right safely is, in a new file; what was done is written down, row by row.

In: a file that was checked, and what the checks found.  Out: `NAME.fixed.jsonl`, and beside it `NAME.fixed.log.jsonl` with a
line for each row that was changed or left out, and why.  The file itself is never touched.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ftbuild.checking.about import Problem
from ftbuild.checking.reading import Lines
from ftbuild.checking.running import Checked, sounded
from ftbuild.checking.shape import Shapes
from ftbuild.errors import FtbuildError
from ftbuild.paths import shown
from ftbuild.store import aside


@dataclass
class Mended:
    """What a second pass has written: where, how many rows, and how often each rule changed one or left one out."""

    file: Path
    log: Path
    rows: int = 0
    changed: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)


def target(file: Path) -> Path:
    """Return where the mended rows of a file are written."""
    return file.with_name(f"{file.stem}.fixed.jsonl")


def mend(lines: Lines, checked: Checked, told: Callable[[int], None] = lambda _: None) -> Mended:
    """Write what a checked file is once it is mended.  FtbuildError if that cannot be."""
    to = target(lines.file)
    made = Mended(to, to.with_suffix(".log.jsonl"))
    try:
        with aside(made.log) as log, aside(made.file) as file:
            for line, text, done in _rows(lines, checked, made):
                if text is not None:
                    file.write(text.encode())
                    made.rows += 1
                for one in done:
                    log.write((json.dumps({"line": line, **one}, ensure_ascii=False) + "\n").encode())
                told(made.rows)
    except OSError as error:
        raise FtbuildError(f"{shown(to)}: cannot be written: {error.strerror}") from error
    return made


def _rows(lines: Lines, checked: Checked, made: Mended) -> Iterator[tuple[int, str | None, list[dict[str, Any]]]]:
    """Yield for each line its new text (None: left out), and what was done to it."""
    shapes, broken = Shapes(), 0
    mends = [(n, w) for n, w in checked.watches.items() if w.mend]
    mends.sort(key=lambda one: (not one[1].unsound, one[1].late))
    for one in lines:
        if isinstance(one, Problem):
            if one.severity == "error":
                broken = one.line
                made.left_out["file"] += 1
                yield one.line, None, [{"rule": "file", "did": "left out", "why": one.message}]
            continue
        number, data = one
        if number == broken:  # it was read all the same, but is not what it seems
            continue
        done, row = [], sounded(number, data, shapes)
        kept = True
        for name, watch in mends:
            if not row.sound and not watch.unsound:
                break
            assert watch.mend is not None
            after = watch.mend(row)
            if after is None:
                made.left_out[name] += 1
                done.append({"rule": name, "did": "left out", "row": row.data})
                kept = False
                break
            if after is not row.data and after != row.data:
                made.changed[name] += 1
                done.append({"rule": name, "did": "changed", "row": row.data})
                row = sounded(number, after, shapes)
        yield number, json.dumps(row.data, ensure_ascii=False) + "\n" if kept and row.sound else None, done
