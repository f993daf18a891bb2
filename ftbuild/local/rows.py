"""Training files, checked line by line before anything is trained on them.

    {"prompt": "…", "completion": "…"}                                                   completion
    {"messages": [{"role": "user", "content": "…"}, …], "tools": […]}                   chat; `weight` 0 or 1 on answers
    {"input": {"messages": […]}, "preferred_output": […], "non_preferred_output": […]}  preference

In: a file.  Out: `Checked`, what its rows are, how many, and what is wrong with them.  Memory holds a line at a time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_ROLES = ("system", "developer", "user", "assistant", "tool")
_BETWEEN = b"\n"  # nothing else ends a row: U+2028 and its kind may stand inside one


@dataclass
class Checked:
    """What was found in a training file: the kind of its rows, their number, the first problem and how many there are."""

    kind: str = ""
    rows: int = 0
    problem: str = ""
    problems: int = 0

    @property
    def message(self) -> str:
        """The first problem, and how many more there are; empty if there is none."""
        return self.problem + (f" (and {self.problems - 1} more)" if self.problems > 1 else "")

    def add(self, problem: str) -> None:
        """Count a problem."""
        self.problem = self.problem or problem
        self.problems += 1


def checked(path: Path) -> Checked:
    """Check a training file."""
    with path.open("rb") as lines:
        return check(lines)


def check(lines: Iterable[bytes]) -> Checked:
    """Check the lines of a training file."""
    found, kinds, at = Checked(), set[str](), 0
    for number, line in enumerate(lines, start=1):
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            found.add(f"the file is not UTF-8 (byte {at + error.start})")
            return found
        at += len(line)
        if not text.strip():
            continue
        found.rows += 1
        problem, kind = _line(text)
        if problem:
            found.add(f"line {number}: {problem}")
        else:
            kinds.add(kind)
    if not found.rows:
        found.add("the file has no rows")
    if len(kinds) > 1:
        names = {"completion": "prompt-completion rows", "chat": "chat rows", "preference": "preference rows"}
        found.add("the file mixes " + " with ".join(names[k] for k in names if k in kinds))
    found.kind = next(iter(kinds), "")
    return found


def _line(text: str) -> tuple[str, str]:
    """Return what is wrong with a line, if anything, and what kind of row it is."""
    try:
        row = json.loads(text)
    except (ValueError, RecursionError) as error:
        return f"not JSON: {error}", ""
    if not isinstance(row, dict):
        return "the row is not an object", ""
    if "\\u" in text:
        try:
            json.dumps(row, ensure_ascii=False).encode()
        except (ValueError, RecursionError):
            return "there is half a surrogate pair in it, which is no text", ""
    if "messages" in row:
        return _chat(row), "chat"
    if "preferred_output" in row or "non_preferred_output" in row:
        return _preference(row), "preference"
    missing = [k for k in ("prompt", "completion") if not isinstance(row.get(k), str)]
    if missing:
        return f"the row has no text under {missing[0]!r} (nor 'messages')", ""
    return "" if row["completion"] else "the completion is empty", "completion"


def _chat(row: Mapping[str, Any]) -> str:
    problem = _turns(row["messages"], "messages") or _tools(row)
    if problem:
        return problem
    if not any(m["role"] == "assistant" and m.get("weight", 1) for m in row["messages"]):
        return "there is no assistant turn to learn"
    return ""


def _preference(row: Mapping[str, Any]) -> str:
    given = row.get("input")
    if not isinstance(given, dict):
        return "there is no object under 'input'"
    problem = _turns(given.get("messages"), "input.messages") or _tools(given, "input.")
    for name in ("preferred_output", "non_preferred_output"):
        problem = problem or _turns(row.get(name), name)
        if not problem and {m["role"] for m in row[name]} - {"assistant", "tool"}:
            problem = f"{name} holds other turns than the assistant's and its tools'"
        if not problem and row[name][-1]["role"] != "assistant":
            problem = f"{name} does not end with an assistant turn"
    return problem or ("both outputs are the same" if row["preferred_output"] == row["non_preferred_output"] else "")


def _turns(messages: Any, name: str) -> str:
    if not isinstance(messages, list) or not messages:
        return f"{name!r} is not a list of turns"
    for n, message in enumerate(messages):
        if not isinstance(message, dict) or message.get("role") not in _ROLES:
            return f"{name}[{n}] has no role out of {', '.join(_ROLES)}"
        calls = message.get("tool_calls")
        if calls is not None and (message["role"] != "assistant" or not _calls(calls)):
            return f"{name}[{n}].tool_calls is not a list of calls of functions with their names and arguments"
        if not _readable(message.get("content")) and not (calls and message.get("content") is None):
            return f"{name}[{n}] has no text under 'content'"
        if message.get("weight", 1) not in (0, 1):
            return f"{name}[{n}].weight is neither 0 nor 1"
    return ""


def _readable(content: Any) -> bool:
    """Say whether a turn's content is text, or a list of nothing but pieces of text."""
    if isinstance(content, list):
        return all(isinstance(p, dict) and p.get("type") == "text" and isinstance(p.get("text"), str) for p in content)
    return isinstance(content, str)


def _calls(calls: Any) -> bool:
    functions = [c.get("function") if isinstance(c, dict) else None for c in calls] if isinstance(calls, list) else [None]
    right = (isinstance(f, dict) and isinstance(f.get("name"), str) and _is_text(f.get("arguments", "")) for f in functions)
    return bool(functions) and all(right)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _tools(row: Mapping[str, Any], place: str = "") -> str:
    tools = row.get("tools")
    if tools is None:
        return ""
    functions = [t.get("function") if isinstance(t, dict) else None for t in tools] if isinstance(tools, list) else [None]
    right = all(isinstance(f, dict) and isinstance(f.get("name"), str) for f in functions)
    return "" if right else f"{place}tools is not a list of functions with their names"
