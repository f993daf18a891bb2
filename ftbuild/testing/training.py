"""The scripted trainer: files, fine-tuning jobs and their events, in memory.

In: uploads and job requests.  Out: the protocol's objects as plain dicts.  A job takes one step toward its end each time that
it is retrieved: validating_files → queued → running → succeeded, or whatever the script says; nothing depends on the clock.
Source: OpenAI's API reference, and for the messages and the result file what its platform sends.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ftbuild.testing.replies import Refused, Status

_ENDED = ("succeeded", "failed", "cancelled")
_FEWEST_ROWS = 10
_LONGEST_SUFFIX = 64
_SEEDS = 2**31


@dataclass(frozen=True)
class Training:
    """How jobs go: the statuses before the end, the end, and the result file.  `hold` keeps a job from ending.

    `refused` answers the creation of a job; `fails` is the reason with which jobs end, `blocked` the categories in which they
    did not pass the checks of safety.  `checkpoints` is how many of the last steps leave a model of their own.
    """

    statuses: tuple[str, ...] = ("validating_files", "queued", "running")
    fails: str = ""
    refused: Status | None = None
    hold: bool = False
    steps: int = 3
    base64_results: bool = False
    checkpoints: int = 0
    blocked: tuple[str, ...] = ()


class Trainer:
    """All files and jobs of one provider.  The caller holds a lock."""

    def __init__(self, base_models: tuple[str, ...], organisation: str) -> None:
        self.base_models, self.organisation = base_models, organisation
        self.files: dict[str, dict[str, Any]] = {}
        self.contents: dict[str, bytes] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.events: dict[str, list[dict[str, Any]]] = {}
        self.checkpoints: dict[str, list[dict[str, Any]]] = {}
        self.deleted: set[str] = set()

    @property
    def tuned(self) -> list[str]:
        """The models that jobs have made and nobody has deleted."""
        made = [j["fine_tuned_model"] for j in self.jobs.values() if j["fine_tuned_model"]]
        made += [c["fine_tuned_model_checkpoint"] for kept in self.checkpoints.values() for c in kept]
        return [m for m in made if m not in self.deleted]

    def add_file(self, content: bytes, filename: str, purpose: str) -> dict[str, Any]:
        """Keep an upload.  Training data must be JSON Lines."""
        if purpose == "fine-tune" and (wrong := _not_jsonl(content)):
            raise Refused(400, f"Invalid file format. {wrong}", param="file")
        file: dict[str, Any] = {
            "object": "file", "id": f"file-{secrets.token_hex(11)}", "purpose": purpose, "filename": filename,
            "bytes": len(content), "created_at": int(time.time()), "expires_at": None, "status": "processed",
            "status_details": None,
        }  # fmt: skip
        self.files[file["id"]], self.contents[file["id"]] = file, content
        return file

    def file(self, id_: str) -> dict[str, Any]:
        """Return a file's description."""
        if id_ not in self.files:
            raise Refused(404, f"No such File object: {id_}", param="id")
        return self.files[id_]

    def delete_file(self, id_: str) -> dict[str, Any]:
        """Forget a file."""
        self.file(id_)
        del self.files[id_], self.contents[id_]
        return {"id": id_, "object": "file", "deleted": True}

    def create(self, asked: Mapping[str, Any], script: Training) -> dict[str, Any]:
        """Create a job.  What is wrong with the rows is found later, while they are validated."""
        suffix, file, method = asked.get("suffix") or "", str(asked.get("training_file")), asked.get("method") or {}
        if file not in self.files:
            raise Refused(400, f"invalid training_file: {file}", code="file_not_found", param="training_file")
        if asked.get("model") not in (*self.base_models, *self.tuned):
            message = f"Model {asked.get('model')} is not available for fine-tuning or does not exist."
            raise Refused(400, message, code="model_not_available")
        if len(suffix) > _LONGEST_SUFFIX:
            raise Refused(400, f"suffix must be at most {_LONGEST_SUFFIX} characters", param="suffix")
        if not 0 <= (asked.get("seed") or 0) < _SEEDS:
            raise Refused(400, f"seed must be at least 0 and less than {_SEEDS}", param="seed")
        given = {**(asked.get("hyperparameters") or {}), **(method.get("supervised") or {}).get("hyperparameters", {})}
        hyperparameters = {k: given.get(k, "auto") for k in ("n_epochs", "batch_size", "learning_rate_multiplier")}
        seed = asked.get("seed")
        job = {
            "object": "fine_tuning.job", "id": f"ftjob-{secrets.token_hex(12)}", "model": asked["model"],
            "created_at": int(time.time()), "finished_at": None, "estimated_finish": None, "fine_tuned_model": None,
            "organization_id": f"org-{self.organisation}", "result_files": [], "status": script.statuses[0],
            "training_file": file, "validation_file": asked.get("validation_file"), "trained_tokens": None,
            "error": {"code": None, "message": None, "param": None}, "user_provided_suffix": suffix or None,
            "seed": seed if seed is not None else secrets.randbelow(_SEEDS), "hyperparameters": hyperparameters,
            "method": {"type": "supervised", "supervised": {"hyperparameters": hyperparameters}}, "integrations": [],
            "metadata": asked.get("metadata"),
        }  # fmt: skip
        self.jobs[job["id"]], self.events[job["id"]] = job, []
        self._tell(job, f"Created fine-tuning job: {job['id']}")
        self._tell(job, f"Validating training file: {file}")
        return job

    def job(self, id_: str) -> dict[str, Any]:
        """Return a job as it stands."""
        if id_ not in self.jobs:
            raise Refused(404, f"Could not find fine tune: {id_}", code="fine_tune_not_found", param="fine_tune_id")
        return self.jobs[id_]

    def advance(self, id_: str, script: Training) -> dict[str, Any]:
        """Take a job one step on and return it."""
        job = self.job(id_)
        if job["status"] in _ENDED:
            return job
        at = script.statuses.index(job["status"]) if job["status"] in script.statuses else len(script.statuses)
        if at == 0 and (wrong := _invalid(self.contents.get(job["training_file"], b""))):
            self._fail(job, *wrong)
        elif at + 1 < len(script.statuses):
            job["status"] = script.statuses[at + 1]
            told = {"queued": "Files validated, moving job to queued state", "running": "Fine-tuning job started"}
            self._tell(job, told.get(job["status"], f"The job is {job['status']}"))
        elif script.hold:
            pass
        elif script.blocked:
            results = [{"flagged": True, "category": category, "enforcement": "blocking"} for category in script.blocked]
            found: dict[str, Any] = {"blocked": True, "results": results}
            self._tell(job, "Moderation checks for snapshot failed", level="error", type_="moderation_checks", data=found)
            self._fail(job, "moderation_check_failed", "The fine-tuned model did not pass the safety checks", None)
        elif script.fails:
            self._fail(job, "user_error", script.fails, None)
        else:
            self._succeed(job, script)
        return job

    def cancel(self, id_: str) -> dict[str, Any]:
        """End a job before its end."""
        job = self.job(id_)
        if job["status"] in _ENDED:
            raise Refused(400, f"Job has already ended: {job['status']}", code="invalid_job_status")
        job |= {"status": "cancelled", "finished_at": int(time.time())}
        self._tell(job, "The job was cancelled")
        return job

    def _succeed(self, job: dict[str, Any], script: Training) -> None:
        losses = [(step, round(2 / (step + 1), 4)) for step in range(1, script.steps + 1)]
        for step, loss in losses:
            data = {"step": step, "train_loss": loss, "total_steps": script.steps}
            self._tell(job, f"Step {step}/{script.steps}: training loss={loss:.2f}", type_="metrics", data=data)
        csv = "step,train_loss,train_accuracy\n" + "".join(f"{step},{loss},{1 - loss / 2:.4f}\n" for step, loss in losses)
        content = base64.b64encode(csv.encode()) if script.base64_results else csv.encode()
        results = self.add_file(content, "step_metrics.csv", "fine-tune-results")
        model = f"ft:{job['model']}:{self.organisation}:{job['user_provided_suffix'] or ''}:{secrets.token_hex(4)}"
        epochs = job["hyperparameters"]["n_epochs"]
        words = len(self.contents.get(job["training_file"], b"").split())
        job |= {
            "status": "succeeded", "finished_at": int(time.time()), "fine_tuned_model": model,
            "result_files": [results["id"]], "trained_tokens": words * (3 if epochs == "auto" else epochs),
        }  # fmt: skip
        self.checkpoints[job["id"]] = [
            {
                "object": "fine_tuning.job.checkpoint", "id": f"ftckpt_{secrets.token_hex(8)}", "created_at": int(time.time()),
                "fine_tuned_model_checkpoint": f"{model}:ckpt-step-{step}", "fine_tuning_job_id": job["id"],
                "metrics": {"step": step, "train_loss": loss}, "step_number": step,
            }
            for step, loss in losses[::-1][: script.checkpoints]
        ]  # fmt: skip
        self._tell(job, f"New fine-tuned model created: {model}")
        self._tell(job, "The job has successfully completed")

    def _fail(self, job: dict[str, Any], code: str, message: str, param: str | None) -> None:
        job |= {
            "status": "failed",
            "error": {"code": code, "message": message, "param": param},
            "finished_at": int(time.time()),
        }
        self._tell(job, f"The job failed: {message}", level="error")

    def _tell(
        self, job: Mapping[str, Any], message: str, *, level: str = "info", type_: str = "message", data: Any = None
    ) -> None:
        event = {
            "object": "fine_tuning.job.event", "id": f"ftevent-{secrets.token_hex(12)}", "created_at": int(time.time()),
            "level": level, "message": message, "type": type_, "data": data,
        }  # fmt: skip
        self.events[job["id"]].insert(0, event)  # the newest first


def rows(content: bytes) -> list[Any]:
    """Return the rows of a training file.  ValueError if one is not JSON."""
    return [json.loads(line) for line in content.decode("utf-8-sig").split("\n") if line.strip()]


def _not_jsonl(content: bytes) -> str:
    try:
        return "" if all(isinstance(row, dict) for row in rows(content)) else "A line is not a JSON object."
    except ValueError as error:
        return f"A line is not JSON: {error}"


def _invalid(content: bytes) -> tuple[str, str, str] | None:
    """Return code, message and parameter of what is wrong with training data."""
    found = rows(content)
    if len(found) < _FEWEST_ROWS:
        message = f"Training file has {len(found)} example(s), but must have at least {_FEWEST_ROWS} examples"
        return "invalid_n_examples", message, "training_file"
    for number, row in enumerate(found, start=1):
        turns = row.get("messages")
        right = isinstance(turns, list) and any(t.get("role") == "assistant" and t.get("content") for t in turns)
        right = right or (isinstance(row.get("prompt"), str) and bool(row.get("completion")))
        if not right or ("messages" in row) != ("messages" in found[0]):
            return "invalid_training_file", f"Line {number} is not like a training example", "training_file"
    return None
