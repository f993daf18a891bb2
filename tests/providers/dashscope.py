"""DashScope (Model Studio)."""

from __future__ import annotations

import secrets
from typing import Any, ClassVar

from ftbuild.testing import Request, Status
from ftbuild.testing.server import Answer
from tests.providers.dialect import Wrapped, moment


class DashScope(Wrapped):
    """DashScope: compatible files, wrapped jobs and deployments."""

    base = "/compatible-mode/v1"
    must_deploy = True
    routes = (
        ("POST", r"/\.\./api/v1/fine-tunes", "create"),
        ("GET", r"/\.\./api/v1/fine-tunes", "listed"),
        ("GET", r"/\.\./api/v1/fine-tunes/([\w-]+)", "job"),
        ("GET", r"/\.\./api/v1/fine-tunes/([\w-]+)/logs", "logs"),
        ("GET", r"/\.\./api/v1/fine-tunes/([\w-]+)/checkpoints", "kept"),
        ("POST", r"/\.\./api/v1/fine-tunes/([\w-]+)/cancel", "cancelled"),
        ("POST", r"/\.\./api/v1/deployments", "deploy"),
        ("GET", r"/\.\./api/v1/deployments", "deployments"),
        ("GET", r"/\.\./api/v1/deployments/([\w:.-]+)", "deployment"),
        ("DELETE", r"/\.\./api/v1/deployments/([\w:.-]+)", "undeploy"),
    )
    words: ClassVar = {"validating_files": "PENDING", "queued": "QUEUING", "running": "RUNNING", "succeeded": "SUCCEEDED"}

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.names: dict[str, str] = {}
        self.services: dict[str, dict[str, Any]] = {}

    def _of(self, job: dict[str, Any]) -> dict[str, Any]:
        told = {
            "job_id": job["id"], "job_name": self.names.get(job["id"]), "model": job["model"], "base_model": job["model"],
            "status": {**self.words, "failed": "FAILED", "cancelled": "CANCELED"}[job["status"]],
            "training_file_ids": [job["training_file"]], "training_type": "sft",
            "create_time": moment(job["created_at"], "%Y-%m-%d %H:%M:%S"),
        }  # fmt: skip
        if job["fine_tuned_model"]:
            told |= {"finetuned_output": job["fine_tuned_model"], "usage": job["trained_tokens"]}
        return told | ({"code": "1", "message": job["error"]["message"]} if job["status"] == "failed" else {})

    def _wrap(self, output: Any) -> Answer:
        return {"request_id": secrets.token_hex(8), "output": output}

    def create(self, request: Request) -> Answer:
        body = request.body
        self.created.append(body)
        if self.training.refused:
            return self.training.refused
        assert body["training_type"] in ("sft", "efficient_sft")
        assert isinstance(body["hyper_parameters"].get("learning_rate", ""), str)
        suffix = body.get("finetuned_output_suffix", "")
        job = self._begin(body["model"], body["training_file_ids"][0], suffix, body["hyper_parameters"]["n_epochs"])
        self.names[job["id"]] = body["job_name"]
        return self._wrap(self._of(job))

    def listed(self, request: Request) -> Answer:
        jobs = [self._of(j) for j in self._trainer.jobs.values()][::-1]
        return self._wrap({"jobs": jobs, "total": len(jobs), "page_no": 1, "page_size": int(request.query["page_size"])})

    def job(self, request: Request, id_: str) -> Answer:
        return self._wrap(self._of(self._trainer.advance(id_, self.training)))

    def logs(self, request: Request, id_: str) -> Answer:
        lines = [e["message"] for e in self._trainer.events[id_]][::-1]
        return self._wrap({"logs": lines, "total": len(lines), "page_no": 1, "page_size": 1000})

    def kept(self, request: Request, id_: str) -> Answer:
        kept = [
            {
                "checkpoint": f"checkpoint-{c['step_number']:08}",
                "status": "SUCCEEDED",
                "model_name": c["fine_tuned_model_checkpoint"],
            }
            for c in self._trainer.checkpoints.get(id_, [])
        ]
        return self._wrap(kept)

    def cancelled(self, request: Request, id_: str) -> Answer:
        return self._wrap(self._of(self._trainer.cancel(id_)))

    def deploy(self, request: Request) -> Answer:
        body = request.body
        if body["model_name"] not in self._trainer.tuned or not body["plan"] or not body["capacity"]:
            return Status(400, "InvalidParameter", "model_name")
        name = f"{body['name'][:20]}-{secrets.token_hex(3)}"
        self.services[name] = {
            "deployed_model": name,
            "model_name": body["model_name"],
            "status": "PENDING",
            "plan": body["plan"],
        }
        return self._wrap(self.services[name])

    def deployments(self, request: Request) -> Answer:
        return self._wrap({"deployments": list(self.services.values()), "total": len(self.services)})

    def deployment(self, request: Request, name: str) -> Answer:
        if name not in self.services:
            return Status(404, "NotFound", f"Model: {name} not found!")
        if not self.working(name):
            self.services[name]["status"] = "RUNNING"
            self.deployed[name] = self.services[name]["model_name"]
        return self._wrap(self.services[name])

    def undeploy(self, request: Request, name: str) -> Answer:
        self.deployed.pop(name, None)
        return self._wrap({**self.services.pop(name), "status": "DELETING"})
