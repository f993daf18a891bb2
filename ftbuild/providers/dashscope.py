"""DashScope (Alibaba Cloud Model Studio): files on the compatible endpoint, jobs on `/api/v1/fine-tunes`, then a deployment.

Source: "Fine-tune with the API or CLI" and the deployment reference in Alibaba Cloud's documentation, and the types of Model
Studio's own command line.  Answers to jobs and deployments come wrapped: `{"request_id": …, "output": …}`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, ClassVar

from ftbuild.errors import FtbuildError
from ftbuild.providers.protocol import ProtocolTraining
from ftbuild.providers.training import Announced, Asked, Checkpoint, Event, Job, State, moment, plain
from ftbuild.registries import TRAINERS

_JOBS = "/api/v1/fine-tunes"
_DEPLOYMENTS = "/api/v1/deployments"
_STATES: dict[str, State] = {"SUCCEEDED": "succeeded", "FAILED": "failed", "CANCELED": "cancelled", "CANCELLED": "cancelled"}
_LOGS = 1000
_PAGE = 100
_WAITING = ("PENDING", "DEPLOYING", "CREATING", "UPDATING")


class DashScopeTraining(ProtocolTraining):
    """Training at DashScope, and deploying what came of it."""

    deploys: ClassVar[bool] = True

    def check(self, model: str) -> Announced:  # noqa: ARG002 - which models are trained is told when a job is created
        """Ask for one job, which proves the key."""
        self._get(_JOBS, page_no=1, page_size=1)
        return Announced()

    def create(self, asked: Asked) -> Job:
        """Create the job, whose name is its note."""
        train = asked.train
        given = {
            "n_epochs": train.epochs,
            "batch_size": train.batch_size,
            "learning_rate": f"{train.learning_rate:g}" if train.learning_rate is not None else None,
            "lora_rank": train.lora_rank if train.method == "lora" else None,
            **train.options,
        }
        body: dict[str, Any] = {
            "model": asked.model,
            "training_file_ids": [asked.file],
            "training_type": "efficient_sft" if train.method == "lora" else "sft",
            "hyper_parameters": {k: v for k, v in given.items() if v is not None},
            "job_name": asked.note,
        }
        if train.suffix:
            body["finetuned_output_suffix"] = plain(train.suffix, 8)
        return _job(self._output(self.post(self.host(_JOBS), body | dict(self.provider.training), once=True)))

    def retrieve(self, job: str) -> Job:
        """Ask for the job."""
        return _job(self._get(f"{_JOBS}/{job}"))

    def recent(self) -> Iterator[Job]:
        """Go through the newest page of jobs."""
        yield from map(_job, self._get(_JOBS, page_no=1, page_size=_PAGE).get("jobs") or ())

    def events(self, job: str) -> Iterator[Event]:
        """Go through the job's log, whose lines have neither ids nor times."""
        lines = self._get(f"{_JOBS}/{job}/logs", page_no=1, page_size=_LOGS).get("logs") or ()
        told = [Event(f"{job}-{n}", 0.0, line if isinstance(line, str) else str(line)) for n, line in enumerate(lines)]
        yield from reversed(told)

    def cancel(self, job: str) -> None:
        """Cancel the job."""
        self.post(self.host(f"{_JOBS}/{job}/cancel"))

    def checkpoints(self, job: Job) -> list[Checkpoint]:
        """Return the checkpoints that have been made into models."""
        found = self._get(f"{_JOBS}/{job.id}/checkpoints")
        listed = found if isinstance(found, list) else found.get("checkpoints") or ()
        kept = [
            Checkpoint(str(c["model_name"]), int(c.get("step") or _digits(c.get("checkpoint"))))
            for c in listed
            if c.get("status") == "SUCCEEDED" and c.get("model_name")
        ]
        return sorted(kept, key=lambda c: c.step)

    def result(self, job: Job) -> bytes:  # noqa: ARG002
        """Return nothing: a job has a log, and no file of results."""
        return b""

    def exists(self, model: str) -> bool:  # noqa: ARG002
        """Say yes: a model that is gone is told of when it is deployed."""
        return True

    def deploy(self, model: str) -> str:
        """Deploy the model, if it is not deployed, and wait until it runs."""
        service = self.provider.service
        there = self._get(_DEPLOYMENTS, page_no=1, page_size=_PAGE).get("deployments") or ()
        told = next((d for d in there if d.get("model_name") == model), None)
        if told is None:
            body = {"model_name": model, "name": plain(model), "plan": service.get("plan", "lora")}
            told = self._output(self.post(self.host(_DEPLOYMENTS), body | {"capacity": service.get("capacity", 1)}))
        name = str(told["deployed_model"])
        while told.get("status") in _WAITING:
            time.sleep(self.seconds)
            told = self._get(f"{_DEPLOYMENTS}/{name}")
        if told.get("status") != "RUNNING":
            raise FtbuildError(f"the deployment {name} of {model} is {told.get('status')}", hint="the console says why")
        return name

    def retire(self, name: str) -> None:
        """Delete the deployment."""
        self.delete(self.host(f"{_DEPLOYMENTS}/{name}"))

    def _get(self, path: str, **query: Any) -> Any:
        return self._output(self.get(self.host(path), **query))

    def _output(self, value: Any) -> Any:
        return value.get("output") if value.get("output") is not None else value.get("data") or {}


def _job(value: Any) -> Job:
    status = str(value.get("status"))
    files = value.get("training_file_ids") or [""]
    return Job(
        str(value["job_id"]),
        status,
        _STATES.get(status, "going"),
        base=str(value.get("model") or value.get("base_model") or ""),
        file=str(files[0]),
        created=moment(value.get("create_time")),
        model=str(value.get("finetuned_output") or ""),
        trained_tokens=value.get("usage"),
        error=str(value.get("message") or "") if _STATES.get(status) == "failed" else "",
        note=value.get("job_name"),
    )


def _digits(text: Any) -> int:
    return int("".join(c for c in str(text) if c.isdigit()) or 0)


TRAINERS("dashscope")(DashScopeTraining)
