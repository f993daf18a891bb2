"""Zhipu (bigmodel.cn): the OpenAI protocol on `/api/paas/v4/`, where a job carries `request_id` instead of metadata.

Source: the types and requests of Zhipu's own client, and "模型微调" in its documentation.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from ftbuild.providers.protocol import ProtocolTraining
from ftbuild.providers.training import Announced, Asked, Checkpoint, Event, Job, State, moment, plain
from ftbuild.registries import TRAINERS


class ZhipuTraining(ProtocolTraining):
    """Training at Zhipu."""

    def check(self, model: str) -> Announced:  # noqa: ARG002 - models cannot be looked up
        """Ask for one job, which proves the key; which models are trained is told when a job is created."""
        self.get("/fine_tuning/jobs", limit=1)
        return Announced()

    def has(self, file: str) -> bool:
        """Look the file up in the list: single files are not described."""
        import openai

        try:
            return any(f["id"] == file for f in self.get("/files", purpose="fine-tune", limit=100).get("data") or ())
        except openai.APIStatusError:
            return False

    def body(self, asked: Asked) -> dict[str, Any]:
        """Return the request that creates a job, in the older form of the protocol."""
        made: dict[str, Any] = {
            "model": asked.model,
            "training_file": asked.file,
            "hyperparameters": self.hyperparameters(asked),
            "request_id": asked.note,
        }
        if asked.train.suffix:
            made["suffix"] = plain(asked.train.suffix)
        return made | dict(self.provider.training)

    def create(self, asked: Asked) -> Job:
        """Create the job."""
        return _job(self.post("/fine_tuning/jobs", self.body(asked), once=True))

    def retrieve(self, job: str) -> Job:
        """Ask for the job."""
        return _job(self.get(f"/fine_tuning/jobs/{job}"))

    def recent(self) -> Iterator[Job]:
        """Go through the list of jobs."""
        yield from map(_job, self.get("/fine_tuning/jobs", limit=100).get("data") or ())

    def events(self, job: str) -> Iterator[Event]:
        """Go through the newest events; Zhipu counts steps in words of its own."""
        for event in self.get(f"/fine_tuning/jobs/{job}/events", limit=100).get("data") or ():
            told = event.get("data") or {}
            data = {"step": told.get("current_steps"), "total_steps": told.get("total_steps"), "train_loss": told.get("loss")}
            kept = {k: number for k, v in data.items() if (number := _number(v)) is not None}
            yield Event(
                str(event.get("id")), moment(event.get("created_at")), str(event.get("message") or ""),
                str(event.get("level") or "info"), kept, str(event.get("type") or "message"),
            )  # fmt: skip

    def cancel(self, job: str) -> None:
        """Cancel the job."""
        self.post(f"/fine_tuning/jobs/{job}/cancel")

    def checkpoints(self, job: Job) -> list[Checkpoint]:  # noqa: ARG002
        """Return none: Zhipu's interface has no checkpoints."""
        return []

    def exists(self, model: str) -> bool:  # noqa: ARG002
        """Say yes: models cannot be looked up."""
        return True


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _job(value: Any) -> Job:
    status = str(value.get("status"))
    error = value.get("error") or {}
    return Job(
        str(value["id"]),
        status,
        cast("State", status) if status in ("succeeded", "failed", "cancelled") else "going",
        base=str(value.get("model") or ""),
        file=str(value.get("training_file") or ""),
        created=moment(value.get("created_at")),
        model=str(value.get("fine_tuned_model") or ""),
        trained_tokens=value.get("trained_tokens"),
        results=tuple(value.get("result_files") or ()),
        error=str(error.get("message") or ""),
        note=value.get("request_id"),
    )


TRAINERS("zhipu")(ZhipuTraining)
