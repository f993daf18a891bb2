"""Reply parsers: how what a teacher wrote becomes pairs.  Each is `(reply) -> Parsed`, registered by name.

Teachers answer in JSON Lines, in one array, in code fences, with a few words before and after, with a broken line in the
middle, or are cut off.  A bad line costs that line only: whatever is not used is returned with its line and the reason.

A parser's trait `schema` is the JSON Schema of a reply in structured output, which it must be able to read as well; `many` says
that it finds as many pairs in a reply as were asked for, and not one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ftbuild.registries import PARSERS

_PROMPT = ("prompt", "question", "q", "instruction", "input", "问题", "问")
_COMPLETION = ("completion", "answer", "a", "response", "output", "答案", "回答", "答")
_FENCE = re.compile(r"\s*(?:```|~~~)[\w-]*\s*$")
_DECODER = json.JSONDecoder(strict=False)


@dataclass(frozen=True)
class Found:
    """One pair of a reply and the line, from 1, on which it begins.  An empty completion leaves the answer to the template."""

    line: int
    prompt: str
    completion: str


@dataclass(frozen=True)
class Unused:
    """A part of a reply that gave no pair: its line, its text and why."""

    line: int
    raw: str
    reason: str


@dataclass(frozen=True)
class Parsed:
    """What a reply holds."""

    found: list[Found] = field(default_factory=list)
    unused: list[Unused] = field(default_factory=list)


_ROWS = {
    "type": "object",
    "properties": {
        "pairs": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"prompt": {"type": "string"}, "completion": {"type": "string"}},
                "required": ["prompt", "completion"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["pairs"],
    "additionalProperties": False,
}
"""The pairs of a reply as JSON Schema, for providers that hold a model to one."""


@PARSERS("pairs", schema=_ROWS, many=True)
def pairs(reply: str) -> Parsed:
    """Read prompt-completion (or question-answer) objects out of whatever surrounds them."""
    parsed = Parsed()
    position = 0
    while True:
        start = reply.find("{", position)
        _prose(reply, position, len(reply) if start < 0 else start, parsed)
        if start < 0:
            return parsed
        line = reply.count("\n", 0, start) + 1
        try:
            value, position = _DECODER.raw_decode(reply, start)
        except (json.JSONDecodeError, RecursionError) as error:
            cut = _cut_off(reply, error)
            position = len(reply) if cut else _end_of_line(reply, start)
            reason = "cut off in the middle" if cut else f"not JSON: {getattr(error, 'msg', error)}"
            parsed.unused.append(Unused(line, reply[start:position].strip(), reason))
            continue
        for item in _objects(value):
            _take(item, line, parsed)


def _cut_off(reply: str, error: Exception) -> bool:
    """Say whether the reply ends inside the object that could not be read."""
    end = reply.rstrip()
    if not isinstance(error, json.JSONDecodeError) or end.endswith(("}", "]", "`")):
        return False
    return error.pos >= len(end) or error.msg.startswith("Unterminated string")


def _end_of_line(text: str, start: int) -> int:
    end = text.find("\n", start)
    return len(text) if end < 0 else end


def _prose(reply: str, start: int, end: int, parsed: Parsed) -> None:
    """Keep the words around the objects, but not brackets, commas and code fences."""
    first = reply.count("\n", 0, start) + 1
    for number, line in enumerate(reply[start:end].split("\n"), start=first):
        if line.strip(" \t\r,[]") and not _FENCE.match(line):
            parsed.unused.append(Unused(number, line.strip(), "no JSON object"))


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the pairs in a JSON value: the object itself, or those in a list inside it."""
    if _key(value, _PROMPT) is None:
        inner = [v for v in value.values() if isinstance(v, list) and v and all(isinstance(i, dict) for i in v)]
        if inner:
            for items in inner:
                yield from items
            return
    yield value


def _key(value: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    lower = {str(k).strip().casefold(): k for k in value}
    return next((lower[n] for n in names if n in lower), None)


def _take(item: Mapping[str, Any], line: int, parsed: Parsed) -> None:
    raw = json.dumps(item, ensure_ascii=False)
    texts = []
    for names in (_PROMPT, _COMPLETION):
        key = _key(item, names)
        if key is None:
            parsed.unused.append(Unused(line, raw, f"has no {names[0]}"))
            return
        value = item[key]
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            parsed.unused.append(Unused(line, raw, f"its {names[0]} is not text"))
            return
        text = str(value).strip()
        if not text:
            parsed.unused.append(Unused(line, raw, f"its {names[0]} is empty"))
            return
        texts.append(text)
    parsed.found.append(Found(line, *texts))


@PARSERS("question")
def question(reply: str) -> Parsed:
    """Read the first line that is a question; its answer is the passage that was asked about."""
    parsed = Parsed()
    for number, line in enumerate(reply.splitlines(), start=1):
        text = re.sub(r"^\s*(?:[-*•]|\d+[.)]|Q(?:uestion)?:)\s*", "", line).strip()
        if not text:
            continue
        if text.endswith(("?", "？")) and not parsed.found:
            parsed.found.append(Found(number, text, ""))
        else:
            parsed.unused.append(Unused(number, line.strip(), "not a question" if not parsed.found else "after the question"))
    return parsed


@PARSERS("words")
def words(reply: str) -> Parsed:
    """Read a list of words or short phrases, separated by commas, from the first line."""
    lines = reply.strip().splitlines()
    items = [w.strip(" .") for w in re.split(r"[,，、;]", lines[0])] if lines else []
    return Parsed([Found(1, item, "") for item in dict.fromkeys(items) if item])
