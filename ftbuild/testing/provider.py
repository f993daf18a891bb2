"""The scripted provider: who may ask what, and who answers.

In: requests.  Out: what the script and the trainer say, in the protocol's words, and a record of all of it.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from ftbuild.testing.batching import Batches, Batching
from ftbuild.testing.replies import Refusal, Refused, Request, Script, Status, ended, speaker
from ftbuild.testing.server import Answer, Server
from ftbuild.testing.training import Trainer, Training, rows

_MASKED_FROM = 12


class ScriptedProvider:
    """A provider that does as it is told, for as long as the `with` block lasts.

    `reply` answers for all models, `tuned_reply`, if there is one, for the tuned ones.  `fault` may answer any request itself,
    with a status, an object or bytes; `lost` may do the same after a request that asks no model has had its effect.
    `training`, `batching`, `fault` and `lost` may be changed at any time.  An exception in a script is
    answered with 500 and raised again at the end of the block.  `shutdown` has the days on which models end.
    """

    def __init__(
        self,
        reply: Script = "ok",
        *,
        tuned_reply: Script | None = None,
        training: Training | None = None,
        batching: Batching | None = None,
        fault: Callable[[Request], Answer | None] | None = None,
        lost: Callable[[Request], Answer | None] | None = None,
        models: tuple[str, ...] = ("scripted-teacher", "scripted-base"),
        organisation: str = "scripted",
        shutdown: Mapping[str, str] | None = None,
    ) -> None:
        self.training = training or Training()
        self.batching = batching or Batching()
        self.fault = fault
        self.lost = lost
        self.requests: list[Request] = []
        self.api_key = f"sk-scripted-{secrets.token_hex(16)}"
        self._reply = speaker(reply)
        self._tuned_reply = self._reply if tuned_reply is None else speaker(tuned_reply)
        self._models = models
        self._shutdown = dict(shutdown or {})
        self._trainer = Trainer(models, organisation)
        self._batches = Batches(self._trainer.add_file, self._trainer.contents.get, self._ask)
        self._lock = threading.RLock()
        self._errors: list[Exception] = []
        self._server = Server(self.answer)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        if self._errors and error is None:
            raise self._errors[0]

    @property
    def base_url(self) -> str:
        """The address to give to clients."""
        return self._server.base_url

    @property
    def asked(self) -> list[Request]:
        """The requests that asked a model something, in the order in which they came."""
        return [r for r in self.requests if r.path.endswith("/completions")]

    @property
    def jobs(self) -> list[dict[str, Any]]:
        """All fine-tuning jobs, the oldest first."""
        with self._lock:
            return [dict(job) for job in self._trainer.jobs.values()]

    @property
    def batches(self) -> list[dict[str, Any]]:
        """All batches, the oldest first."""
        with self._lock:
            return [dict(batch) for batch in self._batches.all.values()]

    @property
    def files(self) -> list[dict[str, Any]]:
        """All files that were uploaded or made, and not deleted."""
        with self._lock:
            return [dict(file) for file in self._trainer.files.values()]

    def cancel(self, batch: str) -> None:
        """Cancel a batch, as somebody does at the provider's own page."""
        with self._lock:
            self._batches.cancel(batch)

    def rows(self, job: Mapping[str, Any]) -> list[Any]:
        """Return the rows that a job was created with."""
        return rows(self._trainer.contents[job["training_file"]])

    def answer(self, request: Request, key: str) -> Answer:
        """Answer one request, as the server got it."""
        with self._lock:
            self.requests.append(request)
        try:
            self._authorise(key)
            if self.fault and (fault := self.fault(request)) is not None:
                return fault
            if request.method == "POST" and request.path in ("/completions", "/chat/completions"):
                return self._ask(request)  # without the lock: many may be asked at once
            with self._lock:
                answer = self._route(request)
            return answer if self.lost is None or (instead := self.lost(request)) is None else instead
        except Refused as error:
            return error.status
        except Exception as error:  # noqa: BLE001 - the test hears of it at the end of the block
            self._errors.append(error)
            return Status(500, message=f"the script failed: {error!r}", headers={"x-should-retry": "false"})

    def _authorise(self, key: str) -> None:
        if not key:
            raise Refused(401, "You didn't provide an API key.")
        if not secrets.compare_digest(key.encode(), self.api_key.encode()):
            shown = f"{key[:4]}{'*' * 8}{key[-4:]}" if len(key) >= _MASKED_FROM else "*" * len(key)
            raise Refused(401, f"Incorrect API key provided: {shown}.", code="invalid_api_key")

    def _route(self, request: Request) -> Answer:
        """Answer whatever asks no model anything.  The lock is held."""
        group, *place = request.path.strip("/").split("/")
        answer: Answer | None = None
        match group:
            case "models":
                answer = self._models_route(request, "/".join(place))
            case "files":
                answer = self._files_route(request, place)
            case "batches":
                answer = self._batches_route(request, place)
            case "fine_tuning" if place[:1] == ["jobs"]:
                answer = self._jobs_route(request, place[1:])
        if answer is None:
            raise Refused(404, f"Unknown request URL: {request.method} {request.path.removeprefix('/..')}.", code="unknown_url")
        return answer

    def _models_route(self, request: Request, name: str) -> Answer | None:
        match request.method:
            case "GET" if not name:
                return {"object": "list", "data": [self._model(name) for name in (*self._models, *self._trainer.tuned)]}
            case "GET":
                return self._model(name)
            case "DELETE" if name:
                self._trainer.deleted.add(str(self._model(name)["id"]))
                return {"id": name, "object": "model", "deleted": True}
        return None

    def _files_route(self, request: Request, place: list[str]) -> Answer | None:
        match request.method, place:
            case "POST", []:
                return self._upload(request.body if isinstance(request.body, dict) else {})
            case "GET", []:
                purpose = request.query.get("purpose")
                return _page(
                    [f for f in self._trainer.files.values() if purpose in (None, f["purpose"])][::-1], request, 10_000
                )
            case "GET", [id_]:
                return self._trainer.file(id_)
            case "DELETE", [id_]:
                return self._trainer.delete_file(id_)
            case "GET", [id_, "content"]:
                return self._trainer.contents[self._trainer.file(id_)["id"]]
        return None

    def _jobs_route(self, request: Request, place: list[str]) -> Answer | None:
        match request.method, place:
            case "POST", []:
                return self.training.refused or self._trainer.create(request.body or {}, self.training)
            case "GET", []:
                return _page(list(self._trainer.jobs.values())[::-1], request, 20)
            case "GET", [id_]:
                return self._trainer.advance(id_, self.training)
            case "GET", [id_, "checkpoints"]:
                return _page(self._trainer.checkpoints.get(self._trainer.job(id_)["id"], []), request, 10)
            case "GET", [id_, "events"]:
                return _page(self._trainer.events[self._trainer.job(id_)["id"]], request, 20)
            case "POST", [id_, "cancel"]:
                return self._trainer.cancel(id_)
        return None

    def _batches_route(self, request: Request, place: list[str]) -> Answer | None:
        match request.method, place:
            case "POST", []:
                return self.batching.refused or self._batches.create(request.body or {})
            case "GET", []:
                return _page(list(self._batches.all.values())[::-1], request, 20)
            case "GET", [id_]:
                return self._batches.advance(id_, self.batching)
            case "POST", [id_, "cancel"]:
                return self._batches.cancel(id_)
        return None

    def _upload(self, form: Mapping[str, Any]) -> Answer:
        if missing := next((name for name in ("file", "purpose") if name not in form), ""):
            raise Refused(400, f"'{missing}' is a required property", param=missing)
        filename, content = form["file"]
        return self._trainer.add_file(content, filename, form["purpose"])

    def _ask(self, request: Request) -> dict[str, Any] | Status:
        chat, body = request.path == "/chat/completions", request.body or {}
        wanted = "messages" if chat else "prompt"
        if missing := next((name for name in ("model", wanted) if not body.get(name)), ""):
            raise Refused(400, f"Missing required parameter: '{missing}'.", code="missing_required_parameter", param=missing)
        if body.get("stream") or body.get("n", 1) != 1:
            raise Refused(400, "The scripted provider sends one whole reply.", code="unsupported_parameter")
        with self._lock:
            self._model(request.model)
        speak = self._reply if request.model in self._models else self._tuned_reply
        stop = body.get("stop") or []
        prompts = [body[wanted]] if chat or isinstance(body[wanted], str) else body[wanted]
        choices, words = [], 0
        for index, prompt in enumerate(prompts):
            reply = speak(replace(request, body={**body, wanted: prompt}))
            if isinstance(reply, Status):
                return reply
            text, finish, refusal = ended(reply, [stop] if isinstance(stop, str) else stop)
            words += len((text or refusal or "").split())
            said: dict[str, Any] = {"message": {"role": "assistant", "content": text, "refusal": refusal}}
            if not chat:
                said = {"text": text or ""}
                finish = "content_filter" if isinstance(reply, Refusal) else finish
            choices.append({"index": index, **said, "finish_reason": finish, "logprobs": None})
        given = len(json.dumps(body[wanted]).split())
        return {
            "id": f"{'chatcmpl' if chat else 'cmpl'}-{secrets.token_hex(12)}",
            "object": "chat.completion" if chat else "text_completion",
            "created": int(time.time()),
            "model": request.model,
            "choices": choices,
            "usage": {"prompt_tokens": given, "completion_tokens": words, "total_tokens": given + words},
        }

    def _model(self, name: str) -> dict[str, Any]:
        if name not in (*self._models, *self._trainer.tuned):
            raise Refused(404, f"The model `{name}` does not exist or you do not have access to it.", code="model_not_found")
        day = self._shutdown.get(name)
        return {"id": name, "object": "model", "created": 0, "owned_by": "scripted", "shutdown_date": day}


def _page(items: list[dict[str, Any]], request: Request, limit: int) -> Answer:
    """Return one page of a list: what follows the item `after`, at most `limit` of it."""
    ids = [item["id"] for item in items]
    start = ids.index(request.query["after"]) + 1 if request.query.get("after") in ids else 0
    end = start + int(request.query.get("limit", limit))
    return {"object": "list", "data": items[start:end], "has_more": end < len(items)}
