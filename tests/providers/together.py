"""Together."""

from __future__ import annotations

import time
from typing import Any, ClassVar

from ftbuild.testing import Request, Status
from ftbuild.testing.server import Answer
from tests.providers.dialect import Wrapped, moment


class Together(Wrapped):
    """Together: `/fine-tunes`, `/files/upload`, an estimate of the price, words of its own for how a job stands."""

    routes = (
        ("POST", r"/files/upload", "uploaded"),
        ("GET", r"/fine-tunes/models/limits", "limits"),
        ("POST", r"/fine-tunes/estimate-price", "estimated"),
        ("POST", r"/fine-tunes", "create"),
        ("GET", r"/fine-tunes", "listed"),
        ("GET", r"/fine-tunes/([\w-]+)", "job"),
        ("GET", r"/fine-tunes/([\w-]+)/events", "events"),
        ("GET", r"/fine-tunes/([\w-]+)/checkpoints", "kept"),
        ("POST", r"/fine-tunes/([\w-]+)/cancel", "cancelled"),
    )
    words: ClassVar = {"validating_files": "pending", "failed": "error", "succeeded": "completed"}
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
