"""Fireworks: datasets, supervised fine-tuning jobs, and LoRA models that are loaded before they are asked.

Asking goes to `https://api.fireworks.ai/inference/v1`, all else to `/v1/accounts/ACCOUNT/…` of the same host.  A job's id is
chosen by whoever creates it, so that none is created twice.
Source: Fireworks' guide to fine-tuning by REST, and its API reference.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from ftbuild.digest import digest_file
from ftbuild.errors import FtbuildError
from ftbuild.providers.protocol import ProtocolTraining
from ftbuild.providers.training import Announced, Asked, Checkpoint, Event, Job, NotTrainable, State, moment, plain
from ftbuild.registries import TRAINERS

_STATES: dict[str, State] = {
    "COMPLETED": "succeeded",
    "EARLY_STOPPED": "succeeded",
    "FAILED": "failed",
    "EXPIRED": "failed",
    "CANCELLED": "cancelled",
    "DELETING": "cancelled",
    "ARCHIVED": "cancelled",
}


class FireworksTraining(ProtocolTraining):
    """Training at Fireworks, and loading what came of it."""

    deploys: ClassVar[bool] = True

    def check(self, model: str) -> Announced:
        """Ask for the model, which says whether it can be tuned and when it is deprecated."""
        import openai

        self.service("account")
        try:
            told = self.get(self.host(f"/v1/{_model(model)}"))
        except openai.NotFoundError as error:
            raise NotTrainable(f"there is no model {_model(model)!r}") from error
        if (told.get("baseModelDetails") or told).get("tunable", told.get("tunable")) is False:
            raise NotTrainable(f"the model {_model(model)!r} cannot be tuned")
        day = told.get("deprecationDate") or {}
        return Announced(f"{day['year']:04}-{day['month']:02}-{day['day']:02}" if day.get("year") else "")

    def upload(self, rows: Path) -> str:
        """Create a dataset, send the rows, and wait until it is ready."""
        name = f"ftbuild-{digest_file(rows)[:16]}-{int(time.time()):x}"
        self.post(self._path("datasets"), {"datasetId": name, "dataset": {"userUploaded": {}}})
        self.send(self._path(f"datasets/{name}:upload"), rows, {})
        while (state := str(self.get(self._path(f"datasets/{name}")).get("state"))) == "UPLOADING":
            time.sleep(self.seconds)
        if state != "READY":
            raise FtbuildError(f"the dataset {name} is {state}")
        return name

    def has(self, file: str) -> bool:
        """Ask for the dataset."""
        import openai

        try:
            return bool(self.get(self._path(f"datasets/{file}")).get("state") == "READY")
        except openai.APIStatusError:
            return False

    def remove(self, file: str) -> None:
        """Delete the dataset."""
        self.delete(self._path(f"datasets/{file}"))

    def create(self, asked: Asked) -> Job:
        """Create the job under an id that is its note."""
        train = asked.train
        name = plain(f"ft-{asked.note}").casefold()
        given: dict[str, Any] = {
            "displayName": name,
            "dataset": f"accounts/{self.service('account')}/datasets/{asked.file}",
            "baseModel": _model(asked.model),
            "outputModel": f"accounts/{self.service('account')}/models/{_output(train.suffix, name)}",
            "epochs": train.epochs,
            "learningRate": train.learning_rate,
            "loraRank": train.lora_rank,
            "batchSizeSamples": train.batch_size,
            **train.options,
        }
        body = {k: v for k, v in given.items() if v is not None} | dict(self.provider.training)
        return _job(self.post(self._path("supervisedFineTuningJobs"), body, once=True, supervisedFineTuningJobId=name))

    def retrieve(self, job: str) -> Job:
        """Ask for the job."""
        return _job(self.get(self._path(f"supervisedFineTuningJobs/{job}")))

    def recent(self) -> Iterator[Job]:
        """Go through the list of jobs."""
        listed = self.get(self._path("supervisedFineTuningJobs"), pageSize=200).get("supervisedFineTuningJobs") or ()
        yield from sorted(map(_job, listed), key=lambda j: -j.created)

    def events(self, job: str) -> Iterator[Event]:  # noqa: ARG002
        """Yield nothing: a job tells its progress itself."""
        yield from ()

    def cancel(self, job: str) -> None:
        """Cancel the job."""
        self.post(self._path(f"supervisedFineTuningJobs/{job}:cancel"), {})

    def checkpoints(self, job: Job) -> list[Checkpoint]:  # noqa: ARG002
        """Return none: the guide to fine-tuning by REST knows no checkpoints."""
        return []

    def result(self, job: Job) -> bytes:  # noqa: ARG002
        """Return nothing: a job has no file of results."""
        return b""

    def exists(self, model: str) -> bool:
        """Ask for the model."""
        import openai

        try:
            self.get(self.host(f"/v1/{model}"))
        except openai.NotFoundError:
            return False
        return True

    def deploy(self, model: str) -> str:
        """Load the model, if it is not loaded, onto a deployment of one's own or onto serverless, and wait."""
        found = [
            m for m in self.get(self._path("deployedModels"), pageSize=200).get("deployedModels") or () if m["model"] == model
        ]
        where = self.provider.service.get("deployment")
        body = {"model": model, **({"deployment": where} if where else {"serverless": True})}
        told = found[0] if found else self.post(self._path("deployedModels"), body)
        while told.get("state") in ("DEPLOYING", "UPDATING"):
            time.sleep(self.seconds)
            told = self.get(self.host(f"/v1/{told['name']}"))
        if told.get("state") != "DEPLOYED":
            message = (told.get("status") or {}).get("message") or told.get("state")
            raise FtbuildError(
                f"the model {model} could not be loaded: {message}", hint="provider.service.deployment names one"
            )
        return f"{model}#{told['deployment']}" if where and told.get("deployment") else model

    def retire(self, name: str) -> None:
        """Unload the model."""
        for loaded in self.get(self._path("deployedModels"), pageSize=200).get("deployedModels") or ():
            if loaded["model"] == name.partition("#")[0]:
                self.delete(self.host(f"/v1/{loaded['name']}"))

    def _path(self, path: str) -> str:
        return self.host(f"/v1/accounts/{self.service('account')}/{path}")


def _model(model: str) -> str:
    return model if model.startswith("accounts/") else f"accounts/fireworks/models/{model}"


def _output(suffix: str, name: str) -> str:
    return plain(f"{suffix}-{name.rpartition('-')[2]}" if suffix else name, 60).casefold()


def _job(value: Any) -> Job:
    status = str(value.get("state")).removeprefix("JOB_STATE_")
    told = value.get("jobProgress") or {}
    state = _STATES.get(status, "going")
    return Job(
        str(value["name"]).rpartition("/")[2],
        status.casefold(),
        state,
        base=str(value.get("baseModel") or ""),
        file=str(value.get("dataset") or "").rpartition("/")[2],
        created=moment(value.get("createTime")),
        model=str(value.get("outputModel") or "") if state == "succeeded" else "",
        trained_tokens=int(told["inputTokens"]) if told.get("inputTokens") else None,
        error=str((value.get("status") or {}).get("message") or "") if state == "failed" else "",
        note=str(value.get("displayName") or "").removeprefix("ft-"),
        progress=(float(told["percent"]), 100.0) if told.get("percent") else None,
    )


TRAINERS("fireworks")(FireworksTraining)
