"""The scripted Batch API: files of requests, answered line by line by the same script as live ones, in memory.

In: an uploaded file and what to do with it.  Out: the protocol's batch objects, and files of answers.  A batch takes one step
toward its end each time that it is retrieved: validating → in_progress, some lines at a time → finalizing → completed, or
whatever the script says; nothing depends on the clock.  Source: OpenAI's API reference and its guide to the Batch API.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ftbuild.testing.replies import Refused, Request, Status

_ENDED = ("failed", "completed", "expired", "cancelled")
_MOMENTS = ("in_progress", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled")
_ENDPOINTS = ("/v1/chat/completions", "/v1/completions")


@dataclass(frozen=True)
class Batching:
    """How batches go: so many lines are answered at each look, after `expires_after` of them the time is over.

    `fails` holds the errors with which their validation fails, `refused` answers their creation, `hold` keeps them from
    going on.  A line to which the script says a `Status` goes into the error file.
    """

    at_once: int = 1000
    expires_after: int | None = None
    fails: tuple[Mapping[str, Any], ...] = ()
    refused: Status | None = None
    hold: bool = False
    most_lines: int = 50_000


class Batches:
    """All batches of one provider.  The caller sees to it that only one thread is in here."""

    def __init__(
        self, add_file: Callable[[bytes, str, str], dict[str, Any]], content: Callable[[str], bytes | None],
        answer: Callable[[Request], dict[str, Any] | Status],
    ) -> None:  # fmt: skip
        self._add_file, self._content, self._answer = add_file, content, answer
        self.all: dict[str, dict[str, Any]] = {}
        self._waiting: dict[str, list[dict[str, Any]]] = {}
        self._said: dict[str, tuple[list[Any], list[Any]]] = {}

    def create(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Create a batch.  What is wrong with its lines is found later, while they are validated."""
        if asked.get("endpoint") not in _ENDPOINTS:
            raise Refused(400, f"Invalid value: '{asked.get('endpoint')}'.", code="invalid_value", param="endpoint")
        if self._content(str(asked.get("input_file_id"))) is None:
            raise Refused(400, f"No such File object: {asked.get('input_file_id')}", param="input_file_id")
        now = int(time.time())
        batch = {
            "id": f"batch_{secrets.token_hex(12)}", "object": "batch", "endpoint": asked["endpoint"], "errors": None,
            "input_file_id": asked["input_file_id"], "completion_window": asked.get("completion_window"),
            "status": "validating", "output_file_id": None, "error_file_id": None, "created_at": now,
            "expires_at": now + 86400, **{f"{moment}_at": None for moment in _MOMENTS},
            "request_counts": {"total": 0, "completed": 0, "failed": 0}, "metadata": asked.get("metadata"),
        }  # fmt: skip
        self.all[batch["id"]] = batch
        self._said[batch["id"]] = [], []
        return batch

    def batch(self, id_: str) -> dict[str, Any]:
        """Return a batch as it stands."""
        if id_ not in self.all:
            raise Refused(404, f"No batch found with id '{id_}'.", param="batch_id")
        return self.all[id_]

    def advance(self, id_: str, script: Batching) -> dict[str, Any]:
        """Take a batch one step on and return it."""
        batch = self.batch(id_)
        match batch["status"]:
            case "validating":
                self._validate(batch, script)
            case "in_progress" if not script.hold:
                self._go_on(batch, script)
            case "finalizing":
                self._end(batch, "completed")
            case "cancelling":
                self._end(batch, "cancelled")
        return batch

    def cancel(self, id_: str) -> dict[str, Any]:
        """Let a batch end with what was answered so far."""
        batch = self.batch(id_)
        if batch["status"] in _ENDED:
            raise Refused(409, f"Cannot cancel a batch with status '{batch['status']}'.", code="invalid_status")
        self._turn(batch, "cancelling")
        return batch

    def _validate(self, batch: dict[str, Any], script: Batching) -> None:
        lines, wrong = self._read(batch), [dict(problem) for problem in script.fails]
        models = {str(line["body"].get("model")) for line in lines}
        if len(models) > 1:
            wrong.append({"code": "mismatched_model", "message": "All requests of a batch must be for one model.", "line": 2})
        if len(lines) > script.most_lines:
            wrong.append({"code": "too_many_tasks", "message": f"There are more than {script.most_lines} requests."})
        if len({line["custom_id"] for line in lines}) < len(lines):
            wrong.append({"code": "duplicate_custom_id", "message": "A custom_id occurs more than once."})
        if any(line["url"] != batch["endpoint"] for line in lines):
            wrong.append({"code": "invalid_url", "message": "A URL is not that of the batch."})
        if wrong:
            batch["errors"] = {"object": "list", "data": [{"line": None, "param": None, **w} for w in wrong]}
            self._turn(batch, "failed")
            return
        self._waiting[batch["id"]] = lines
        batch["request_counts"]["total"] = len(lines)
        self._turn(batch, "in_progress")

    def _read(self, batch: Mapping[str, Any]) -> list[dict[str, Any]]:
        content = self._content(batch["input_file_id"]) or b""
        return [json.loads(line) for line in content.split(b"\n") if line.strip()]

    def _go_on(self, batch: dict[str, Any], script: Batching) -> None:
        waiting, counts = self._waiting[batch["id"]], batch["request_counts"]
        for _ in range(script.at_once):
            done = counts["completed"] + counts["failed"]
            if not waiting or (script.expires_after is not None and done >= script.expires_after):
                break
            self._one(batch, waiting.pop(0))
        if waiting and script.expires_after is not None:
            for line in waiting:
                message = "This request could not be executed before the completion window expired."
                error = {"code": "batch_expired", "message": message}
                self._said[batch["id"]][1].append({**_head(line), "response": None, "error": error})
            self._end(batch, "expired")
        elif not waiting:
            self._turn(batch, "finalizing")

    def _one(self, batch: dict[str, Any], line: Mapping[str, Any]) -> None:
        said = self._answer(Request("POST", batch["endpoint"].removeprefix("/v1"), line["body"]))
        bad = isinstance(said, Status)
        body, status = (said.envelope, said.status) if isinstance(said, Status) else (said, 200)
        response = {"status_code": status, "request_id": f"req_{secrets.token_hex(12)}", "body": body}
        self._said[batch["id"]][bad].append({**_head(line), "response": response, "error": None})
        batch["request_counts"]["failed" if bad else "completed"] += 1

    def _end(self, batch: dict[str, Any], status: str) -> None:
        for said, name in zip(self._said[batch["id"]], ("output_file_id", "error_file_id"), strict=True):
            if said:
                content = "".join(json.dumps(line) + "\n" for line in reversed(said)).encode()  # in no order that is promised
                batch[name] = self._add_file(content, f"{batch['id']}_{name}.jsonl", "batch_output")["id"]
        self._turn(batch, status)

    def _turn(self, batch: dict[str, Any], status: str) -> None:
        batch |= {"status": status, f"{status}_at": int(time.time())}


def _head(line: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": f"batch_req_{secrets.token_hex(12)}", "custom_id": line["custom_id"]}
