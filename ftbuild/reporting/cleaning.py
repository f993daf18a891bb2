"""What the report says about cleaning: what each rule took, what was left out, and a few documents before and after.

In: the outputs of `clean`.  Out: plain values for the template.  A large corpus makes no large page: everything is a sample.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from ftbuild.records import read_jsonl

_DROPPED = 20
_LINES = 60  # of a document before and after
_LONGEST = 300  # characters of a line


def cleaning(inputs: Mapping[str, Path]) -> dict[str, Any]:
    """Return what the template shows of cleaning."""
    told = json.loads(inputs["clean/effects.json"].read_text(encoding="utf-8"))
    dropped = list(islice(read_jsonl(inputs["clean/dropped.jsonl"]), _DROPPED + 1))
    samples = [
        {"document": s["document"], "lines": list(islice(_changed(s["before"], s["after"]), _LINES))} for s in told["samples"]
    ]
    return {
        **told,
        "samples": [s for s in samples if s["lines"]],
        "dropped": dropped[:_DROPPED],
        "more_dropped": len(dropped) > _DROPPED,
        "share": 1 - told["after"] / told["before"] if told["before"] else 0.0,
    }


def _changed(before: str, after: str) -> Iterator[tuple[str, str]]:
    """Yield the lines that differ, side by side: what was there, and what is there now."""
    old, new = before.splitlines(), after.splitlines()
    for kind, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            continue
        for n in range(max(b - a, d - c)):
            was, now = (lines[at + n] if at + n < end else "" for lines, at, end in ((old, a, b), (new, c, d)))
            if was.strip() or now.strip():
                yield was[:_LONGEST], now[:_LONGEST]
