"""The lines of a batch: its requests, checked one by one, and its answers, joined to them by `custom_id`.

In: an uploaded file.  Out: requests, or what is wrong with which line.  Answers are appended to files as they come; a line
that was cut off when a server died is taken away again, and its request asked once more.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MOST_REQUESTS = 50_000
MOST_BYTES = 200 * 2**20
_MOST_TOLD = 100


@dataclass(frozen=True)
class Line:
    """One request of a batch."""

    custom_id: str
    body: dict[str, Any]


def parse(content: bytes, endpoint: str) -> tuple[list[Line], list[dict[str, Any]]]:
    """Return a batch's requests, and what is wrong with its lines; one wrong line fails the batch."""
    lines: list[Line] = []
    wrong: list[dict[str, Any]] = []
    seen: set[str] = set()
    if len(content) > MOST_BYTES:
        return [], [_problem(None, "file_too_large", f"The file is larger than {MOST_BYTES} bytes.")]
    for number, raw in enumerate(content.split(b"\n"), 1):
        if not raw.strip():
            continue
        line = _line(raw, number, endpoint, seen)
        if isinstance(line, Line):
            lines.append(line)
            seen.add(line.custom_id)
        else:
            wrong.append(line)
    if not lines and not wrong:
        wrong.append(_problem(None, "empty_file", "The file has no requests."))
    if len(lines) > MOST_REQUESTS:
        wrong.append(_problem(None, "too_many_tasks", f"The file has more than {MOST_REQUESTS} requests."))
    if len({str(line.body["model"]) for line in lines}) > 1:
        wrong.append(_problem(None, "mismatched_model", "All requests of a batch must be for the same model.", "body.model"))
    return lines, wrong[:_MOST_TOLD]


def _line(raw: bytes, number: int, endpoint: str, seen: set[str]) -> Line | dict[str, Any]:
    try:
        told = json.loads(raw)
    except (ValueError, RecursionError):
        return _problem(number, "invalid_json_line", "This line is not parseable as valid JSON.")
    if not isinstance(told, dict):
        return _problem(number, "invalid_json_line", "This line is not a JSON object.")
    custom_id, body = told.get("custom_id"), told.get("body")
    if not isinstance(custom_id, str) or not custom_id:
        return _problem(number, "missing_required_parameter", "Missing required parameter: 'custom_id'.", "custom_id")
    if custom_id in seen:
        return _problem(number, "duplicate_custom_id", f"The custom_id {custom_id!r} is used more than once.", "custom_id")
    if told.get("method") != "POST":
        return _problem(number, "invalid_method", "Expected the method 'POST'.", "method")
    if told.get("url") != endpoint:
        return _problem(number, "invalid_url", f"The URL must be that of the batch: {endpoint!r}.", "url")
    if not isinstance(body, dict) or not isinstance(body.get("model"), str):
        return _problem(number, "missing_required_parameter", "Missing required parameter: 'body.model'.", "body.model")
    return Line(custom_id, body)


def _problem(line: int | None, code: str, message: str, param: str | None = None) -> dict[str, Any]:
    return {"line": line, "code": code, "message": message, "param": param}


def answered(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the answers that a file holds, after taking away a last line that was cut off."""
    if not file.is_file():
        return
    content = file.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        with file.open("r+b") as cut:
            cut.truncate(len(whole))
    for line in whole.split(b"\n"):
        if line.strip():
            yield json.loads(line)


def append(file: Path, answer: Mapping[str, Any]) -> None:
    """Add an answer to a file, in one write."""
    with file.open("ab", buffering=0) as end:
        end.write(json.dumps(answer).encode() + b"\n")
