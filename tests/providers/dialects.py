"""Hosted providers on loopback, each as its documentation describes it, around one scripted trainer.

A dialect answers its own paths in its own words, refuses what the documentation refuses, and lets a tuned model answer only when
it has been deployed, where that is so.  What the documentation does not say is not here either.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from ftbuild.testing import Request, ScriptedProvider, Status
from ftbuild.testing.replies import Refused
from ftbuild.testing.server import Answer


class Dialect(ScriptedProvider):
    """A provider whose paths lie elsewhere: `base` is what clients are given, relative paths below it are the protocol's."""

    base = "/v1"
    deployed: dict[str, str]

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.deployed = {}
        self.polls: dict[str, int] = {}
        self.created: list[dict[str, Any]] = []

    @property
    def base_url(self) -> str:
        """The address to give to clients."""
        return self.host + self.base

    @property
    def host(self) -> str:
        """The address of the server without a path."""
        return self._server.base_url.removesuffix("/v1")

    def answer(self, request: Request, key: str) -> Answer:
        """Answer a request under the base by its relative path, and any other by its whole path."""
        whole = request.path.removeprefix("/..") if request.path.startswith("/../") else f"/v1{request.path}"
        base = self.base.rstrip("/")
        inside = whole.removeprefix(base) if whole.startswith(f"{base}/") else f"/..{whole}"
        return super().answer(replace(request, path=inside), key)

    def _model(self, name: str) -> dict[str, Any]:
        if name in self.deployed:
            return super()._model(self.deployed[name])
        if name in self._trainer.tuned and self.must_deploy:
            raise Refused(404, f"The model `{name}` is not deployed.", code="DeploymentNotFound")
        return super()._model(name)

    must_deploy = False

    def working(self, name: str) -> bool:
        """Say whether something that was begun still takes its time: whoever asks first finds it so."""
        self.polls[name] = self.polls.get(name, 0) + 1
        return self.polls[name] == 1


def moment(at: float, pattern: str = "%Y-%m-%dT%H:%M:%S.000Z") -> str:
    return datetime.fromtimestamp(at, UTC).strftime(pattern)


class Azure(Dialect):
    """Azure OpenAI: `api-key` on the v1 endpoint; the control plane, with a token, on paths of its own."""

    base = "/openai/v1"
    must_deploy = True

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._server.key_header = "api-key"
        self.token = f"eyJ-scripted-{secrets.token_hex(16)}"
        self.tokens: list[str] = []
        self.control = Control(self)

    def _jobs_route(self, request: Request, place: list[str]) -> Answer | None:
        if request.method == "POST" and not place:
            body = request.body
            if "." in (body.get("suffix") or ""):
                raise Refused(
                    400, "The suffix contains characters that are not allowed.", code="invalidPayload", param="suffix"
                )
            if body.get("trainingType") not in (None, "standard", "globalstandard", "developertier"):
                raise Refused(400, "trainingType is not valid", code="invalidPayload")
            if not self._trainer.contents[body["training_file"]].startswith(b"\xef\xbb\xbf"):
                raise Refused(400, "The file must be UTF-8 with a byte-order mark.", code="invalidPayload")
            self.created.append(body)
        return super()._jobs_route(request, place)

    def _upload(self, form: Any) -> Answer:
        filename, content = form["file"]
        answer = super()._upload({**form, "file": (filename, content.removeprefix(b"\xef\xbb\xbf"))})
        assert isinstance(answer, dict)
        self._trainer.contents[answer["id"]] = content
        return answer

    def _model(self, name: str) -> dict[str, Any]:
        return {**super()._model(name), "capabilities": {"fine_tune": name != "not-tunable", "chat_completion": True}}


class Control(Dialect):
    """Azure's resource manager: deployments of one account, put with a bearer token of its own."""

    base = "/control"

    def __init__(self, resource: Azure) -> None:
        super().__init__()
        self.resource, self.api_key = resource, resource.token
        self.states: dict[str, int] = {}

    def _route(self, request: Request) -> Answer:
        found = re.fullmatch(
            r"/subscriptions/SUB/resourceGroups/GROUP/providers/Microsoft.CognitiveServices/accounts/RES/deployments/([\w-]+)",
            request.path,
        )
        if not found or request.query.get("api-version") != "2024-10-21":
            raise Refused(404, "The resource was not found.", code="ResourceNotFound")
        name = found[1]
        if request.method == "PUT":
            properties = request.body["properties"]["model"]
            assert request.body["sku"]["name"], request.body["sku"]["capacity"]
            if properties["name"] not in self.resource._trainer.tuned or properties["format"] != "OpenAI":
                raise Refused(400, "The model is not supported.", code="DeploymentModelNotSupported")
            self.states.setdefault(name, 0)
            self.pending = (name, properties["name"])
        elif request.method == "DELETE":
            self.resource.deployed.pop(name, None)
            return {}
        else:
            self.states[name] += 1
        done = self.states[name] > 1
        if done:
            self.resource.deployed[name] = self.pending[1]
        return {"name": name, "properties": {"provisioningState": "Succeeded" if done else "Creating"}}


class Nebius(Dialect):
    """Nebius Token Factory: the protocol; checkpoints become models by `POST /v0/models`."""

    must_deploy = True

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.custom: dict[str, dict[str, Any]] = {}

    def _route(self, request: Request) -> Answer:
        if not request.path.startswith("/../v0/models"):
            return super()._route(request)
        name = request.path.removeprefix("/../v0/models").strip("/")
        if request.method == "POST":
            body = request.body
            job, _, checkpoint = body["source"].partition(":")
            if checkpoint not in {c["id"] for c in self._trainer.checkpoints.get(job, [])}:
                raise Refused(400, f"unknown checkpoint {body['source']}")
            model = {**body, "status": "validating", "created_at": 0, "name": f"{body['base_model']}-LoRa:{body['name']}-abcd"}
            self.custom[body["name"]] = model
            return model
        short = name.removesuffix("-abcd")
        if short not in self.custom:
            raise Refused(404, f"Model {name} not found")
        if request.method == "DELETE":
            self.deployed.pop(self.custom.pop(short)["name"], None)
            return {}
        model = self.custom[short]
        model["status"] = "active"
        self.deployed[model["name"]] = self._trainer.jobs[model["source"].partition(":")[0]]["tuned"]
        return model

    def _jobs_route(self, request: Request, place: list[str]) -> Answer | None:
        self.training = replace(self.training, checkpoints=max(1, self.training.checkpoints))  # a job always leaves one
        if request.method == "POST" and not place:
            known = {"batch_size", "learning_rate", "n_epochs", "warmup_ratio", "weight_decay", "packing", "max_grad_norm"}
            known |= {"context_length", "lora", "lora_r", "lora_alpha", "lora_dropout"}
            given = request.body["method"]["supervised"]["hyperparameters"]
            if strange := set(given) - known or {"metadata"} & set(request.body):
                return Status(422, message=f"extra inputs are not permitted: {strange}")
            self.created.append(request.body)
        answer = super()._jobs_route(request, place)
        if isinstance(answer, dict) and answer.get("object") == "fine_tuning.job":
            stored = self._trainer.jobs[answer["id"]]
            stored["tuned"] = stored.get("tuned") or answer["fine_tuned_model"]
            answer = {k: v for k, v in answer.items() if k not in ("fine_tuned_model", "metadata", "tuned")}
            answer |= {"trained_steps": 2, "total_steps": 4}
        if isinstance(answer, dict) and place[1:] == ["checkpoints"]:
            answer = {**answer, "data": [{**c, "fine_tuned_model_checkpoint": ""} for c in answer["data"]]}
        return answer


class Wrapped(Dialect):
    """A provider with a jobs API of its own: routes by method and whole path."""

    routes: list[tuple[str, str, str]]

    def _route(self, request: Request) -> Answer:
        for method, pattern, name in self.routes:
            if request.method == method and (found := re.fullmatch(pattern, request.path)):
                handler: Callable[..., Answer] = getattr(self, name)
                return handler(request, *found.groups())
        return super()._route(request)

    def _begin(self, model: str, file: str, suffix: str, epochs: int) -> dict[str, Any]:
        asked = {"model": model, "training_file": file, "suffix": suffix, "hyperparameters": {"n_epochs": epochs}}
        return self._trainer.create(asked, self.training)


class DashScope(Wrapped):
    """DashScope: compatible files, wrapped jobs and deployments."""

    base = "/compatible-mode/v1"
    must_deploy = True
    routes = [
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
    ]
    words = {"validating_files": "PENDING", "queued": "QUEUING", "running": "RUNNING", "succeeded": "SUCCEEDED"}

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.names: dict[str, str] = {}
        self.services: dict[str, dict[str, Any]] = {}

    def _of(self, job: dict[str, Any]) -> dict[str, Any]:
        told = {
            "job_id": job["id"], "job_name": self.names.get(job["id"]), "model": job["model"], "base_model": job["model"],
            "status": {**self.words, "failed": "FAILED", "cancelled": "CANCELED"}[job["status"]],
            "training_file_ids": [job["training_file"]], "training_type": "sft", "create_time": moment(job["created_at"], "%Y-%m-%d %H:%M:%S"),
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


class Zhipu(Wrapped):
    """Zhipu: the protocol's older form, `request_id`, and steps in words of its own."""

    base = "/api/paas/v4"
    routes = [
        ("POST", r"/fine_tuning/jobs", "create"),
        ("GET", r"/fine_tuning/jobs", "listed"),
        ("GET", r"/fine_tuning/jobs/([\w-]+)", "job"),
        ("GET", r"/fine_tuning/jobs/([\w-]+)/events", "events"),
        ("GET", r"/models(?:/.*)?", "unknown"),
        ("GET", r"/files/[\w-]+", "unknown"),
    ]

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


class Together(Wrapped):
    """Together: `/fine-tunes`, `/files/upload`, an estimate of the price, words of its own for how a job stands."""

    routes = [
        ("POST", r"/files/upload", "uploaded"),
        ("GET", r"/fine-tunes/models/limits", "limits"),
        ("POST", r"/fine-tunes/estimate-price", "estimated"),
        ("POST", r"/fine-tunes", "create"),
        ("GET", r"/fine-tunes", "listed"),
        ("GET", r"/fine-tunes/([\w-]+)", "job"),
        ("GET", r"/fine-tunes/([\w-]+)/events", "events"),
        ("GET", r"/fine-tunes/([\w-]+)/checkpoints", "kept"),
        ("POST", r"/fine-tunes/([\w-]+)/cancel", "cancelled"),
    ]
    words = {"validating_files": "pending", "failed": "error", "succeeded": "completed"}
    limit = 100.0

    def _of(self, job: dict[str, Any]) -> dict[str, Any]:
        told = {
            "id": job["id"], "status": self.words.get(job["status"], job["status"]), "model": job["model"], "events": [],
            "training_file": job["training_file"], "created_at": moment(job["created_at"]), "updated_at": moment(time.time()),
            "progress": {"estimate_available": job["status"] == "running", "seconds_remaining": 30},
        }  # fmt: skip
        if job["status"] == "failed":
            told["events"] = [{"object": "fine-tune-event", "type": "job_error", "message": job["error"]["message"]}]
        if job["fine_tuned_model"]:
            told |= {"model_output_name": job["fine_tuned_model"], "token_count": job["trained_tokens"]}
        return told

    def _form(self, body: dict[str, Any]) -> None:
        assert body["training_method"]["method"] == "sft"
        assert "train_on_inputs" in body["training_method"]
        lora = body["training_type"]
        assert lora["type"] == "Full" or {"lora_r", "lora_alpha"} <= set(lora)

    def uploaded(self, request: Request) -> Answer:
        form = request.body
        if missing := [name for name in ("purpose", "file_name", "file") if name not in form]:
            return Status(400, message=f"missing {missing}")
        file = self._trainer.add_file(form["file"][1], form["file_name"], form["purpose"])
        return {**file, "FileType": form["file_type"], "Processed": True}

    def limits(self, request: Request) -> Answer:
        if request.query["model_name"] not in self._models:
            return Status(404, message="The model is not supported for fine-tuning")
        return {"model_name": request.query["model_name"], "max_num_epochs": 20, "supports_full_training": True}

    def estimated(self, request: Request) -> Answer:
        self._form(request.body)
        price = 4.2
        return {"allowed_to_proceed": price <= self.limit, "estimated_total_price": price, "user_limit": self.limit}

    def create(self, request: Request) -> Answer:
        body = request.body
        self._form(body)
        self.created.append(body)
        return self._of(self._begin(body["model"], body["training_file"], body.get("suffix", ""), body["n_epochs"]))

    def listed(self, request: Request) -> Answer:
        return {"data": [self._of(j) for j in self._trainer.jobs.values()]}

    def job(self, request: Request, id_: str) -> Answer:
        return self._of(self._trainer.advance(id_, self.training))

    def events(self, request: Request, id_: str) -> Answer:
        told = []
        for event in self._trainer.events[id_][::-1]:
            data = event["data"] or {}
            at = {"step": data.get("step", 0), "total_steps": data.get("total_steps", 0)}
            told.append(
                {
                    "object": "fine-tune-event",
                    "created_at": moment(event["created_at"]),
                    "message": event["message"],
                    "level": "info",
                    **at,
                }
            )
        return {"data": told}

    def kept(self, request: Request, id_: str) -> Answer:
        steps = [c["step_number"] for c in self._trainer.checkpoints.get(id_, [])]
        model = self._trainer.job(id_)["fine_tuned_model"]
        self.deployed |= {f"{model}:{step}": f"{model}:ckpt-step-{step}" for step in steps}
        kept = [{"step": s, "path": "s3://…", "created_at": moment(0), "checkpoint_type": "Intermediate"} for s in steps]
        return {"data": [*kept, {"step": 9, "path": "s3://…", "created_at": moment(0), "checkpoint_type": "Final"}]}

    def cancelled(self, request: Request, id_: str) -> Answer:
        return self._of(self._trainer.cancel(id_))


class Fireworks(Wrapped):
    """Fireworks: datasets that become ready, jobs whose id is chosen, LoRA models that are loaded."""

    base = "/inference/v1"
    must_deploy = True
    _account = r"/\.\./v1/accounts/acme"
    routes = [
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
    ]
    words = {
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


def rows_of(provider: Dialect) -> list[list[Any]]:
    """Return the rows of all training files that a provider was sent."""
    files = provider._trainer.contents.values()
    return [
        [json.loads(line) for line in content.decode("utf-8-sig").splitlines() if line]
        for content in files
        if b"messages" in content
    ]
