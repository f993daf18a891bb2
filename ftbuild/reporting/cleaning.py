"""The page on cleaning: what each rule took, what was left out, and a few documents before and after.

In: what `clean` counted.  Out: HTML, which lies beside the report.  It is a page of its own, because what was taken out may
change when nothing does that is read by the stages after it.  A large corpus makes no large page: everything is a sample.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from ftbuild.reporting.templates import render

_DROPPED = 20
_LINES = 60  # of a document before and after
_LONGEST = 300  # characters of a line


def page(told: Mapping[str, Any], dropped: Sequence[Mapping[str, str]]) -> str:
    """Return the page on what the rules did, as `effects.json` tells it, and on the documents that were left out."""
    samples = [
        {"document": s["document"], "lines": list(islice(_changed(s["before"], s["after"]), _LINES))} for s in told["samples"]
    ]
    return render(
        "cleaning.html.j2",
        effects=told,
        samples=[s for s in samples if s["lines"]],
        dropped=dropped[:_DROPPED],
        all_dropped=len(dropped),
        share=1 - told["after"] / told["before"] if told["before"] else 0.0,
    )


def _changed(before: str, after: str) -> Iterator[tuple[str, str]]:
    """Yield the lines that differ, side by side: what was there, and what is there now."""
    old, new = before.splitlines(), after.splitlines()
    for kind, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            continue
        for n in range(max(b - a, d - c)):
            was, now = (lines[at + n] if at + n < end else "" for lines, at, end in ((old, a, b), (new, c, d)))
            if was.strip() or now.strip():
                yield _short(was), _short(now)


def _short(line: str) -> str:
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
