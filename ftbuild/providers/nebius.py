"""Nebius Token Factory: the OpenAI protocol, with hyperparameters of its own; a checkpoint becomes a model when it is added.

Source: Nebius' documentation of fine-tuning and of `POST /v0/models` (custom models from `JOB:CHECKPOINT`).
"""

from __future__ import annotations

import time
from typing import Any, ClassVar

from ftbuild.digest import digest
from ftbuild.errors import FtbuildError
from ftbuild.providers.protocol import ProtocolTraining
from ftbuild.providers.training import Announced, Asked, Checkpoint, Job, plain
from ftbuild.registries import TRAINERS


class NebiusTraining(ProtocolTraining):
    """Training at Nebius, and adding a checkpoint as a model that can be asked."""

    deploys: ClassVar[bool] = True

    def check(self, model: str) -> Announced:  # noqa: ARG002 - its list of models is of those that are served
        """Ask for one job, which proves the key; which models are trained is told when a job is created."""
        self.get("/fine_tuning/jobs", limit=1)
        return Announced()

    def hyperparameters(self, asked: Asked) -> dict[str, Any]:
        """Return what the recipe says of training, by Nebius' names."""
        train = asked.train
        given: dict[str, Any] = {
            "n_epochs": train.epochs,
            "batch_size": train.batch_size,
            "learning_rate": train.learning_rate,
            "lora": train.method == "lora",
            "lora_r": train.lora_rank if train.method == "lora" else None,
            **train.options,
        }
        return {k: v for k, v in given.items() if v is not None}

    def body(self, asked: Asked) -> dict[str, Any]:
        """Leave out the metadata, which Nebius does not know."""
        return {k: v for k, v in super().body(asked).items() if k != "metadata"}

    def retrieve(self, job: str) -> Job:
        """Return the job with the model that its last checkpoint can be made into."""
        from dataclasses import replace

        value = self.get(f"/fine_tuning/jobs/{job}")
        found = self._job(value)
        done, total = value.get("trained_steps"), value.get("total_steps")
        if found.state == "going" and isinstance(done, int) and isinstance(total, int) and total:
            return replace(found, progress=(done, total))
        if found.state != "succeeded" or found.model:
            return found
        kept = self.checkpoints(found)
        return replace(found, model=kept[-1].model) if kept else found

    def checkpoints(self, job: Job) -> list[Checkpoint]:
        """Return the checkpoints by the names that `POST /v0/models` takes: `JOB:CHECKPOINT`."""
        found = self.client.fine_tuning.jobs.checkpoints.list(job.id, limit=100)
        return sorted((Checkpoint(f"{job.id}:{c.id}", c.step_number or 0) for c in found), key=lambda c: c.step)

    def exists(self, model: str) -> bool:
        """Say whether the job that a checkpoint belongs to is still there."""
        import openai

        try:
            self.client.fine_tuning.jobs.retrieve(model.partition(":")[0])
        except openai.NotFoundError:
            return False
        return True

    def deploy(self, model: str) -> str:
        """Add the checkpoint as a custom model, if it was not added before, and wait until it is active."""
        import openai

        name = f"ftbuild-{digest(model)[:12]}"
        try:
            told = self.get(self.host(f"/v0/models/{name}"))
        except openai.NotFoundError:
            base = self.client.fine_tuning.jobs.retrieve(model.partition(":")[0]).model
            body = {"name": plain(name), "base_model": self.provider.deployments.get(base, base), "source": model}
            told = self.post(self.host("/v0/models"), body)
        while told.get("status") == "validating":
            time.sleep(self.seconds)
            told = self.get(self.host(f"/v0/models/{name}"))
        if told.get("status") != "active":
            raise FtbuildError(f"the model {name} from {model} is {told.get('status')}: {told.get('status_reason') or '?'}")
        return str(told.get("name") or name)

    def retire(self, name: str) -> None:
        """Delete the custom model."""
        self.delete(self.host(f"/v0/models/{name.rpartition(':')[2]}"))


TRAINERS("nebius")(NebiusTraining)
