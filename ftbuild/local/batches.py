"""Batches: a file of requests, answered in the background, one batch after the other, whenever nobody else is asking.

In: batches from the book.  Out: their status, and files of answers.  A batch whose server dies goes on with the next one,
and no request that was answered is asked again.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from ftbuild.local.answers import Answers
from ftbuild.local.asking import ChatRequest, CompletionRequest
from ftbuild.local.batchbook import FINAL, BatchBook
from ftbuild.local.batchfile import Line, answered, append, parse
from ftbuild.local.exchanges import REQUESTS, prepare
from ftbuild.local.protocol import ProtocolError, invalid
from ftbuild.local.state import State, new_id

_AT_ONCE = 16  # requests
_WINDOW = 24 * 3600


def new_batch(endpoint: str, input_file: str, metadata: dict[str, str] | None) -> dict[str, Any]:
    """Return a batch as the protocol describes it, before anything was done."""
    now = int(time.time())
    moments = ("in_progress", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled")
    return {
        "id": new_id("batch").replace("-", "_"),
        "object": "batch",
        "endpoint": endpoint,
        "errors": None,
        "input_file_id": input_file,
        "completion_window": "24h",
        "status": "validating",
        "output_file_id": None,
        "error_file_id": None,
        "created_at": now,
        "expires_at": now + _WINDOW,
        **{f"{name}_at": None for name in moments},
        "request_counts": {"total": 0, "completed": 0, "failed": 0},
        "metadata": metadata,
    }


class Batches:
    """The batches of a running server."""

    def __init__(self, state: State, answers: Answers) -> None:
        self._state, self._answers = state, answers
        self.book = BatchBook(state)
        self._queue: asyncio.Queue[str] = asyncio.Queue()
        self._worker: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin, with what other servers left unfinished."""
        self.wake()
        self._worker = asyncio.create_task(self._work())

    async def close(self) -> None:
        """Stop; what is unfinished waits for the next server."""
        if self._worker:
            self._worker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._worker
        self.book.close()

    def wake(self) -> None:
        """Take over what servers that are gone have left."""
        for id_ in self.book.adopt():
            self._queue.put_nowait(id_)

    def add(self, batch: dict[str, Any]) -> None:
        """Put a new batch in the queue."""
        self.book.add(batch)
        self._queue.put_nowait(batch["id"])

    def cancel(self, id_: str) -> dict[str, Any]:
        """Let a batch end with what was answered so far."""
        return self.book.update(id_, status="cancelling", cancelling_at=int(time.time()))

    async def _work(self) -> None:
        while True:
            id_ = await self._queue.get()
            try:
                await self._run(id_)
            except Exception as error:  # noqa: BLE001 - the batch has failed, the next one need not
                told = [{"line": None, "code": "server_error", "message": f"{type(error).__name__}: {error}", "param": None}]
                self._end(id_, "failed", errors={"object": "list", "data": told})

    async def _run(self, id_: str) -> None:
        batch = self.book.get(id_)
        if batch is None or batch["status"] in FINAL:
            return
        file = self._state.file_path(batch["input_file_id"])
        content = await asyncio.to_thread(file.read_bytes)
        lines, wrong = await asyncio.to_thread(parse, content, batch["endpoint"])
        if wrong:
            self._end(id_, "failed", errors={"object": "list", "data": wrong})
            return
        folder = self.book.folder(id_)
        good, bad = ({a["custom_id"] for a in answered(folder / name)} for name in ("output.jsonl", "errors.jsonl"))
        counts = {"total": len(lines), "completed": len(good), "failed": len(bad)}
        begun = batch["in_progress_at"] or int(time.time())
        self.book.update(id_, status="in_progress", in_progress_at=begun, request_counts=counts, model=lines[0].body["model"])
        await self._answer_all(id_, batch, [line for line in lines if line.custom_id not in good | bad])
        self._finish(id_)

    async def _answer_all(self, id_: str, batch: dict[str, Any], lines: Sequence[Line]) -> None:
        """Answer what is left, several at once, until all is answered, the batch is cancelled, or its time is over."""
        waiting = iter(lines)

        async def answer_some() -> None:
            for line in waiting:
                if self._over(id_):
                    return
                answer, status = await self._answer(batch["endpoint"], line)
                self._write(id_, answer, good=status < 400)  # noqa: PLR2004 - what HTTP calls an error

        workers = [asyncio.create_task(answer_some()) for _ in range(_AT_ONCE)]
        try:
            while not all(worker.done() for worker in workers) and not self._over(id_):
                await asyncio.wait(workers, timeout=0.2)
            if not self._over(id_):
                await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    def _over(self, id_: str) -> bool:
        batch = self.book.get(id_) or {}
        return batch.get("status") != "in_progress" or time.time() >= batch["expires_at"]

    async def _answer(self, endpoint: str, line: Line) -> tuple[dict[str, Any], int]:
        """Return the answer to one request, and its HTTP status."""
        try:
            request = _whole(REQUESTS[endpoint].model_validate(line.body))
            exchange = await prepare(self._state, self._answers, request)
            rows = await self._answers.complete(exchange.loaded, exchange.wanted, background=True)
            body, status = exchange.whole(rows), 200
        except ValidationError as error:
            body, status = invalid(error.errors()).envelope, 400
        except ProtocolError as error:
            body, status = error.envelope, error.status
        except Exception as error:  # noqa: BLE001 - this request has failed, the others need not
            body, status = ProtocolError(500, f"{type(error).__name__}: {error}").envelope, 500
        response = {"status_code": status, "request_id": f"req_{secrets.token_hex(12)}", "body": body}
        answer = {"id": f"batch_req_{secrets.token_hex(12)}", "custom_id": line.custom_id, "response": response, "error": None}
        return answer, status

    def _write(self, id_: str, answer: dict[str, Any], *, good: bool) -> None:
        append(self.book.folder(id_) / ("output.jsonl" if good else "errors.jsonl"), answer)
        counts = (self.book.get(id_) or {})["request_counts"]
        counts["completed" if good else "failed"] += 1
        self.book.update(id_, request_counts=counts)

    def _finish(self, id_: str) -> None:
        """Turn the answers into files, and end the batch."""
        batch = self.book.update(id_, status="finalizing", finalizing_at=int(time.time()))
        made: dict[str, Any] = {}
        for name, field in (("output.jsonl", "output_file_id"), ("errors.jsonl", "error_file_id")):
            file = self.book.folder(id_) / name
            if file.is_file() and not batch[field]:
                made[field] = self._state.add_file(file.read_bytes(), f"{id_}_{name}", "batch_output")["id"]
        if batch["status"] == "cancelling":
            self._end(id_, "cancelled", **made)
        elif sum(batch["request_counts"][kind] for kind in ("completed", "failed")) < batch["request_counts"]["total"]:
            self._end(id_, "expired", **made)
        else:
            self._end(id_, "completed", **made)

    def _end(self, id_: str, status: str, **facts: Any) -> None:
        self.book.update(id_, status=status, **{f"{status}_at": int(time.time())}, **facts)


def _whole(request: CompletionRequest | ChatRequest) -> CompletionRequest | ChatRequest:
    if request.stream:
        raise ProtocolError(400, "'stream' is not supported in a batch.", param="stream", code="unsupported_parameter")
    return request
