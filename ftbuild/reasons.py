"""Why a stage has to run: what is not as it was when it ran last, in words, with the old value and the new.

In: what a stage's key is made of now, and the record of its last run.  Out: `Reason`s, of a closed set of kinds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ftbuild.stage import Stage

_NOTHING = object()


class Why(Enum):
    """What kind of change it is."""

    FIRST = "not built before"
    CONFIG = "the recipe says otherwise"
    FILE = "a file, a package or a model changed"
    INPUT = "an input changed"
    VERSION = "the stage itself changed"
    LOST = "its result is not in the store"
    MISSING = "an output is gone from the store"
    SPOILED = "a readable result was changed or removed"
    FORCED = "forced"


@dataclass(frozen=True)
class Reason:
    """One thing that changed: its name, and its old and new value where they tell something."""

    why: Why
    name: str = ""
    old: str = ""
    new: str = ""

    def __str__(self) -> str:
        values = f" {self.old} → {self.new}" if self.old or self.new else ""
        match self.why:
            case Why.CONFIG:
                return f"{self.name}{values}"
            case Why.FILE | Why.INPUT:
                return f"{self.name} changed{values}"
            case Why.VERSION:
                return f"a newer version of this stage{values}"
            case Why.MISSING:
                return f"{self.name} is gone from the store"
            case Why.SPOILED:
                return f"{self.name} was changed or removed"
        return str(self.why.value)


def reasons(
    stage: Stage, config: Any, depends: Mapping[str, str], inputs: Mapping[str, str], before: Mapping[str, Any] | None
) -> tuple[Reason, ...]:
    """Return what is different from a stage's last run, whose record is `before`."""
    if not before:
        return (Reason(Why.FIRST),)
    found = []
    if before.get("version", 1) != stage.version:
        found.append(Reason(Why.VERSION, "", str(before.get("version", 1)), str(stage.version)))
    found += [Reason(Why.CONFIG, *change) for change in changes(before.get("config"), config)]
    for name, old, new in changes(before.get("depends"), depends):
        digests = len(old) > 40 or len(new) > 40  # noqa: PLR2004 - a digest says nothing to a person
        found.append(Reason(Why.FILE, name, *(("", "") if digests else (old, new))))
    found += [Reason(Why.INPUT, name) for name, _, _ in changes(before.get("inputs"), inputs)]
    return tuple(found)


def changes(old: Any, new: Any) -> Iterator[tuple[str, str, str]]:
    """Yield the dotted keys in which two pieces of plain data differ, with both values as short texts."""
    before, after = dict(_flat(old)), dict(_flat(new))
    for key in sorted(before.keys() | after.keys()):
        one, other = before.get(key, _NOTHING), after.get(key, _NOTHING)
        told_below = {} in (one, other) and any(k.startswith(f"{key}.") for k in (*before, *after))
        if one != other and not told_below:
            yield key, _shown(one), _shown(other)


def _flat(value: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{at}.{key}" if at else str(key))
    elif value is not None or at:
        yield at, list(value) if isinstance(value, tuple) else value


def _shown(value: Any) -> str:
    if value is _NOTHING:
        return "–"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = json.dumps(text, ensure_ascii=False)[1:-1] if isinstance(value, str) else text
    return text if len(text) <= 60 else text[:57] + "…"  # noqa: PLR2004
