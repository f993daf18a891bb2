"""Zhipu."""

from __future__ import annotations

from typing import Any

from ftbuild.testing import Request, Status
from ftbuild.testing.server import Answer
from tests.providers.dialect import Wrapped


class Zhipu(Wrapped):
    """Zhipu: the protocol's older form, `request_id`, and steps in words of its own."""

    base = "/api/paas/v4"
    routes = (
        ("POST", r"/fine_tuning/jobs", "create"),
        ("GET", r"/fine_tuning/jobs", "listed"),
        ("GET", r"/fine_tuning/jobs/([\w-]+)", "job"),
        ("GET", r"/fine_tuning/jobs/([\w-]+)/events", "events"),
        ("GET", r"/models(?:/.*)?", "unknown"),
        ("GET", r"/files/[\w-]+", "unknown"),
    )

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.ids: dict[str, str] = {}

    def _of(self, job: dict[str, Any]) -> dict[str, Any]:
        kept = (
            "id",
            "created_at",
            "fine_tuned_model",
            "finished_at",
            "model",
            "object",
            "result_files",
            "status",
            "trained_tokens",
        )
        error = job["error"] if job["error"]["code"] else None
        told = {k: job[k] for k in kept} | {"training_file": job["training_file"], "error": error}
        return told | {"request_id": self.ids.get(job["id"])}

    def create(self, request: Request) -> Answer:
        body = request.body
        self.created.append(body)
        if strange := set(body) - {"model", "training_file", "validation_file", "hyperparameters", "suffix", "request_id"}:
            return Status(400, "1210", f"API 调用参数有误: {strange}")
        job = self._begin(body["model"], body["training_file"], body.get("suffix", ""), body["hyperparameters"]["n_epochs"])
        self.ids[job["id"]] = body["request_id"]
        return self._of(job)

    def listed(self, request: Request) -> Answer:
        return {"object": "list", "data": [self._of(j) for j in self._trainer.jobs.values()][::-1]}

    def job(self, request: Request, id_: str) -> Answer:
        return self._of(self._trainer.advance(id_, self.training))

    def events(self, request: Request, id_: str) -> Answer:
        told = []
        for event in self._trainer.events[id_][: int(request.query["limit"])]:
            data = event["data"] or {}
            metric = {
                "current_steps": data.get("step"),
                "total_steps": data.get("total_steps"),
                "loss": str(data.get("train_loss", "")),
            }
            told.append({**event, "data": metric})
        return {"object": "list", "data": told}

    def unknown(self, request: Request) -> Answer:
        return Status(404, message="404 NOT_FOUND")
