"""Training files, checked line by line before anything is trained on them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

_ROLES = ("system", "developer", "user", "assistant", "tool")


def problems(content: bytes) -> Iterator[str]:
    """Yield what is wrong with a training file, each naming its line."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        yield f"the file is not UTF-8 (byte {error.start})"
        return
    kinds = set()
    lines = [(n, line) for n, line in enumerate(text.split("\n"), start=1) if line.strip()]
    if not lines:
        yield "the file has no rows"
    for number, line in lines:
        try:
            row = json.loads(line)
        except ValueError as error:
            yield f"line {number}: not JSON: {error}"
            continue
        problem = _problem(row)
        if problem:
            yield f"line {number}: {problem}"
        else:
            kinds.add("chat" if "messages" in row else "completion")
    if len(kinds) > 1:
        yield "the file mixes prompt-completion rows with chat rows"


def _problem(row: Any) -> str:
    if not isinstance(row, dict):
        return "the row is not an object"
    if "messages" not in row:
        missing = [k for k in ("prompt", "completion") if not isinstance(row.get(k), str)]
        if missing:
            return f"the row has no text under {missing[0]!r} (nor 'messages')"
        return "" if row["completion"] else "the completion is empty"
    messages = row["messages"]
    if not isinstance(messages, list) or not messages:
        return "'messages' is not a list of turns"
    for n, message in enumerate(messages):
        if not isinstance(message, dict) or message.get("role") not in _ROLES:
            return f"messages[{n}] has no role out of {', '.join(_ROLES)}"
        if not isinstance(message.get("content"), str):
            return f"messages[{n}] has no text under 'content'"
        if message.get("weight", 1) not in (0, 1):
            return f"messages[{n}].weight is neither 0 nor 1"
    if not any(m["role"] == "assistant" and m.get("weight", 1) for m in messages):
        return "there is no assistant turn to learn"
    return ""
