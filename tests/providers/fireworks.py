"""Fireworks."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from ftbuild.testing import Request, Status
from ftbuild.testing.server import Answer
from tests.providers.dialect import Wrapped, moment


class Fireworks(Wrapped):
    """Fireworks: datasets that become ready, jobs whose id is chosen, LoRA models that are loaded."""

    base = "/inference/v1"
    must_deploy = True
    _account = r"/\.\./v1/accounts/acme"
    routes = (
        ("GET", r"/\.\./v1/(accounts/fireworks/models/[\w-]+)", "base_model"),
        ("GET", rf"{_account}/models/([\w-]+)", "own_model"),
        ("POST", rf"{_account}/datasets", "dataset"),
        ("POST", rf"{_account}/datasets/([\w-]+):upload", "filled"),
        ("GET", rf"{_account}/datasets/([\w-]+)", "dataset_state"),
        ("DELETE", rf"{_account}/datasets/([\w-]+)", "dataset_gone"),
        ("POST", rf"{_account}/supervisedFineTuningJobs", "create"),
        ("GET", rf"{_account}/supervisedFineTuningJobs", "listed"),
        ("GET", rf"{_account}/supervisedFineTuningJobs/([\w-]+)", "job"),
        ("POST", rf"{_account}/deployedModels", "load"),
        ("GET", rf"{_account}/deployedModels", "loaded"),
        ("GET", rf"{_account}/deployedModels/([\w-]+)", "loading"),
        ("DELETE", rf"{_account}/deployedModels/([\w-]+)", "unload"),
    )
    words: ClassVar = {
        "validating_files": "CREATING",
        "queued": "PENDING",
        "running": "RUNNING",
        "succeeded": "COMPLETED",
        "failed": "FAILED",
    }

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.datasets: dict[str, str] = {}
        self.named: dict[str, dict[str, Any]] = {}
        self.copies: dict[str, dict[str, Any]] = {}

    def base_model(self, request: Request, name: str) -> Answer:
        if name not in self._models:
            return Status(404, message="Model not found, inaccessible, and/or not deployed")
        return {
            "name": name,
            "state": "READY",
            "kind": "HF_BASE_MODEL",
            "baseModelDetails": {"tunable": True},
            "deprecationDate": None,
        }

    def own_model(self, request: Request, name: str) -> Answer:
        full = f"accounts/acme/models/{name}"
        if full not in {j.get("output") for j in self.named.values()}:
            return Status(404, message="not found")
        return {"name": full, "state": "READY", "kind": "HF_PEFT_ADDON"}

    def dataset(self, request: Request) -> Answer:
        assert request.body["dataset"] == {"userUploaded": {}}
        assert re.fullmatch(r"[a-z][a-z0-9-]{0,62}", request.body["datasetId"])
        self.datasets[request.body["datasetId"]] = ""
        return {"name": f"accounts/acme/datasets/{request.body['datasetId']}", "state": "UPLOADING"}

    def filled(self, request: Request, name: str) -> Answer:
        filename, content = request.body["file"]
        self.datasets[name] = self._trainer.add_file(content, filename, "fine-tune")["id"]
        return {"filename": filename}

    def dataset_state(self, request: Request, name: str) -> Answer:
        if name not in self.datasets:
            return Status(404, message="not found")
        return {"name": f"accounts/acme/datasets/{name}", "state": "UPLOADING" if self.working(name) else "READY"}

    def dataset_gone(self, request: Request, name: str) -> Answer:
        self._trainer.delete_file(self.datasets.pop(name))
        return {}

    def _of(self, name: str) -> dict[str, Any]:
        own, job = self.named[name], self._trainer.jobs[self.named[name]["job"]]
        status = {"code": "OK", "message": job["error"]["message"] or ""}
        return {
            **own["body"], "name": f"accounts/acme/supervisedFineTuningJobs/{name}", "createTime": moment(job["created_at"]),
            "state": f"JOB_STATE_{self.words[job['status']]}", "status": status, "jobProgress": {"percent": 50, "epoch": 1},
        }  # fmt: skip

    def create(self, request: Request) -> Answer:
        body, name = request.body, request.query["supervisedFineTuningJobId"]
        assert re.fullmatch(r"[a-z][a-z0-9-]{0,62}", name)
        if name in self.named:
            return Status(409, message="already exists")
        self.created.append(body)
        file = self.datasets[body["dataset"].removeprefix("accounts/acme/datasets/")]
        job = self._begin(body["baseModel"], file, "", body["epochs"])
        self.named[name] = {"job": job["id"], "body": body}
        return self._of(name)

    def listed(self, request: Request) -> Answer:
        return {"supervisedFineTuningJobs": [self._of(name) for name in self.named]}

    def job(self, request: Request, name: str) -> Answer:
        if name not in self.named:
            return Status(404, message="not found")
        job = self._trainer.advance(self.named[name]["job"], self.training)
        if job["status"] == "succeeded":
            self.named[name]["output"] = self.named[name]["body"]["outputModel"]
            self.named[name]["model"] = job["fine_tuned_model"]
        return self._of(name)

    def load(self, request: Request) -> Answer:
        if not request.body.get("serverless") and not request.body.get("deployment"):
            return Status(400, message="deployment is required")
        name = f"loaded-{len(self.copies)}"
        copy = {"name": f"accounts/acme/deployedModels/{name}", "model": request.body["model"], "state": "DEPLOYING"}
        self.copies[name] = copy
        return copy

    def loaded(self, request: Request) -> Answer:
        return {"deployedModels": list(self.copies.values())}

    def loading(self, request: Request, name: str) -> Answer:
        copy = self.copies[name]
        if not self.working(name):
            copy["state"] = "DEPLOYED"
            self.deployed[copy["model"]] = next(j["model"] for j in self.named.values() if j.get("output") == copy["model"])
        return copy

    def unload(self, request: Request, name: str) -> Answer:
        self.deployed.pop(self.copies.pop(name)["model"], None)
        return {}
