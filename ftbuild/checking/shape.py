"""The shape of rows, as JSON Schemas say it: `schemas/completion.json`, `chat.json` and `preference.json`.

In: a row's data.  Out: its kind, and what is wrong with it, in words.

The schemas look at nothing but keys, types, whether a text or a list is empty, and the words under `role`, `type` and `weight`.
So rows that are alike in these get the same verdict, and each such form is asked about once: a file of 100,000 rows has few.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from ftbuild.checking.about import KINDS, data

TELLING = ("role", "type", "weight")
"""The keys under which a schema looks at the value itself."""

_TYPES = {
    "string": "text",
    "array": "a list",
    "object": "an object",
    "null": "nothing",
    "boolean": "true or false",
    "number": "a number",
}


class Shapes:
    """Says of rows what kind they are and what is wrong with their shape; remembers what it said."""

    def __init__(self) -> None:
        self._known: dict[Any, tuple[str, str]] = {}

    def of(self, row: Any) -> tuple[str, str]:
        """Return the kind of a row, and what is wrong with it (nothing: an empty text)."""
        form = _form(row, "")
        known = self._known.get(form)
        if known is None:
            known = self._known[form] = self._judged(row)
        return known

    def _judged(self, row: Any) -> tuple[str, str]:
        if not isinstance(row, dict):
            return "", "the row is no object in braces"
        kind = kind_of(row)
        if not kind:
            return "", "the row has neither 'prompt' and 'completion' nor 'messages'"
        errors = list(_validator(kind).iter_errors(row))
        if not errors:
            return kind, ""
        from jsonschema.exceptions import best_match  # type: ignore[import-untyped]

        return kind, _in_words(best_match(errors))


def kind_of(row: Mapping[str, Any]) -> str:
    """Return what kind of row this means to be, or nothing."""
    if "messages" in row:
        return "chat"
    if "preferred_output" in row or "non_preferred_output" in row:
        return "preference"
    return "completion" if "prompt" in row or "completion" in row else ""


def known_columns(kind: str) -> tuple[str, ...]:
    """Return the keys that a row of a kind may have."""
    return tuple(data(f"schemas/{kind}.json")["properties"])


@cache
def _validator(kind: str) -> Any:
    from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

    assert kind in KINDS
    return Draft202012Validator(data(f"schemas/{kind}.json"))


def _form(value: Any, key: str) -> Any:
    """Return all of a value that a schema looks at."""
    if isinstance(value, str):
        return value if key in TELLING else (str, bool(value))
    if isinstance(value, dict):
        return tuple((k, _form(v, k)) for k, v in value.items())
    if isinstance(value, list):
        return (list, *(_form(v, key) for v in value))
    return (type(value), value if key in TELLING else None)


def _in_words(error: Any) -> str:
    place = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in error.absolute_path).lstrip(".") or "the row"
    value, said = error.instance, error.validator_value
    match error.validator:
        case "required":
            missing = next(k for k in said if k not in value)
            return f"{place} has no {missing!r}"
        case "type":
            wanted = [said] if isinstance(said, str) else said
            return f"{place} is {_named(value)}; {' or '.join(_TYPES[w] for w in wanted if w != 'null')} belongs there"
        case "enum":
            return f"{place} is {value!r}, which is none of {', '.join(map(str, said))}"
        case "minLength" | "minItems":
            return f"{place} is empty"
        case _:
            return f"{place}: {error.message}"


def _named(value: Any) -> str:
    names = {str: "text", dict: "an object", list: "a list", bool: "true or false", type(None): "nothing"}
    return names.get(type(value), "a number")
