"""Nebius Token Factory."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ftbuild.testing import Request, Status
from ftbuild.testing.replies import Refused
from ftbuild.testing.server import Answer
from tests.providers.dialect import Dialect


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
