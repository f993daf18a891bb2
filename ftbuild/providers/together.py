"""Together: jobs on `/fine-tunes`, files on `/files/upload`, and an estimate of the price before a job is created.

Source: Together's API reference and the types of its own client.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ftbuild.providers.protocol import ProtocolTraining
from ftbuild.providers.training import Announced, Asked, Checkpoint, Event, Job, NotTrainable, State, moment, plain
from ftbuild.registries import TRAINERS

_STATES: dict[str, State] = {"completed": "succeeded", "error": "failed", "user_error": "failed", "cancelled": "cancelled"}
_NO_STEP = -1


class TogetherTraining(ProtocolTraining):
    """Training at Together."""

    def check(self, model: str) -> Announced:
        """Ask for the model's limits of training, which a model that is not trained does not have."""
        import openai

        try:
            self.get("/fine-tunes/models/limits", model_name=model)
        except (openai.NotFoundError, openai.BadRequestError) as error:
            raise NotTrainable(f"the model {model!r} is not trained here: {_told(error)}") from error
        return Announced()

    def upload(self, rows: Path) -> str:
        """Send the rows as a form."""
        return str(
            self.send("/files/upload", rows, {"purpose": "fine-tune", "file_name": "rows.jsonl", "file_type": "jsonl"})["id"]
        )

    def estimate(self, asked: Asked) -> float | None:
        """Ask for the price.  NotTrainable if the account's limit does not allow it."""
        kept = ("training_file", "model", "n_epochs", "training_method", "training_type")
        told = self.post("/fine-tunes/estimate-price", {k: v for k, v in self.body(asked).items() if k in kept})
        price = told.get("estimated_total_price")
        if told.get("allowed_to_proceed") is False:
            limit = told.get("user_limit")
            raise NotTrainable(f"the job would cost ${price}, and the account's limit is ${limit}")
        return None if price is None else float(price)

    def body(self, asked: Asked) -> dict[str, Any]:
        """Return the request that creates a job."""
        train = asked.train
        lora = {"type": "Lora", "lora_r": train.lora_rank, "lora_alpha": 2 * train.lora_rank}
        given: dict[str, Any] = {
            "model": asked.model,
            "training_file": asked.file,
            "n_epochs": train.epochs,
            "batch_size": train.batch_size or "max",
            "learning_rate": train.learning_rate,
            "suffix": plain(train.suffix) or None,
            "training_method": {"method": "sft", "train_on_inputs": False},
            "training_type": lora if train.method == "lora" else {"type": "Full"},
            **train.options,
        }
        return {k: v for k, v in given.items() if v is not None} | dict(self.provider.training)

    def create(self, asked: Asked) -> Job:
        """Create the job."""
        return _job(self.post("/fine-tunes", self.body(asked), once=True))

    def retrieve(self, job: str) -> Job:
        """Ask for the job."""
        return _job(self.get(f"/fine-tunes/{job}"))

    def recent(self) -> Iterator[Job]:
        """Go through the list of jobs."""
        yield from sorted(map(_job, self.get("/fine-tunes").get("data") or ()), key=lambda j: -j.created)

    def events(self, job: str) -> Iterator[Event]:
        """Go through the list of events, which is the oldest first."""
        listed = self.get(f"/fine-tunes/{job}/events").get("data") or ()
        for number, event in reversed(list(enumerate(listed))):
            step, total = event.get("step") or 0, event.get("total_steps") or 0
            data = {"step": step, "total_steps": total} if step > 0 and total > 0 else {}
            level = str(event.get("level") or "info").casefold()
            yield Event(f"{job}-{number}", moment(event.get("created_at")), str(event.get("message") or ""), level, data)

    def cancel(self, job: str) -> None:
        """Cancel the job."""
        self.post(f"/fine-tunes/{job}/cancel")

    def checkpoints(self, job: Job) -> list[Checkpoint]:
        """Return the intermediate checkpoints, which are asked as `MODEL:STEP`."""
        listed = self.get(f"/fine-tunes/{job.id}/checkpoints").get("data") or ()
        steps = sorted(
            {int(c["step"]) for c in listed if c.get("checkpoint_type") == "Intermediate" and c.get("step", _NO_STEP) > 0}
        )
        return [Checkpoint(f"{job.model}:{step}", step) for step in steps]

    def result(self, job: Job) -> bytes:  # noqa: ARG002
        """Return nothing: Together has no file of results."""
        return b""

    def exists(self, model: str) -> bool:  # noqa: ARG002
        """Say yes: a model is not listed before it is served."""
        return True


def _job(value: Any) -> Job:
    status = str(value.get("status"))
    told = value.get("progress") or {}
    errors = [str(e.get("message")) for e in value.get("events") or () if str(e.get("type")).casefold() == "job_error"]
    return Job(
        str(value["id"]),
        status,
        _STATES.get(status, "going"),
        base=str(value.get("model") or ""),
        file=str(value.get("training_file") or ""),
        created=moment(value.get("created_at")),
        model=str(value.get("model_output_name") or value.get("output_name") or "") if status == "completed" else "",
        trained_tokens=value.get("token_count"),
        error=errors[-1] if errors else "",
        left=float(told["seconds_remaining"]) if told.get("estimate_available") else None,
    )


def _told(error: Any) -> str:
    body = error.body if isinstance(error.body, dict) else {}
    return str(body.get("message") or error.message).splitlines()[0]


TRAINERS("together")(TogetherTraining)
