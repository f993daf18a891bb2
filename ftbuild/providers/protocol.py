"""Training in the OpenAI protocol: files, fine_tuning/jobs with events and checkpoints, models.

Other adapters begin with this one and say where theirs differs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from ftbuild.providers.training import Announced, Asked, Calls, Checkpoint, Event, Job, NotTrainable, State
from ftbuild.registries import TRAINERS

if TYPE_CHECKING:
    from openai.types.fine_tuning import FineTuningJob

NOTE = "ftbuild"
"""The key of a job's metadata under which it carries its note."""

_EVENTS = 50


class ProtocolTraining(Calls):
    """Training at OpenAI, or at any server that speaks its protocol."""

    deploys: ClassVar[bool] = False

    def check(self, model: str) -> Announced:
        """Ask for the model; where nobody describes single models, look it up in the list of them, if there is one."""
        import openai

        try:
            found = self.client.models.retrieve(model)
        except openai.NotFoundError:
            names = self._names()
            if names and model not in names:
                from ftbuild.schema import nearest

                raise NotTrainable(f"there is no model {model!r}; {nearest(model, names)}") from None
            return Announced()
        except (openai.AuthenticationError, openai.PermissionDeniedError):
            raise
        except openai.APIStatusError:  # not everybody describes models
            return Announced()
        self.inspect(model, found.to_dict())
        return Announced(str(getattr(found, "shutdown_date", None) or ""))

    def inspect(self, model: str, described: Mapping[str, Any]) -> None:
        """NotTrainable if the description of a model says that it cannot be trained."""

    def _names(self) -> list[str]:
        import openai

        try:
            return [model.id for model in self.client.models.list()]
        except openai.APIStatusError:
            return []

    def upload(self, rows: Path) -> str:
        """Send the rows for the purpose `fine-tune`."""
        return self.client.files.create(file=("rows.jsonl", self.content(rows)), purpose="fine-tune").id

    def content(self, rows: Path) -> bytes:
        """Return the rows as this provider wants them."""
        return rows.read_bytes()

    def has(self, file: str) -> bool:
        """Ask for the file."""
        import openai

        try:
            return self.client.files.retrieve(file).status != "error"
        except openai.APIStatusError:  # it was deleted, or belongs to another account
            return False

    def remove(self, file: str) -> None:
        """Delete the file."""
        self.client.files.delete(file)

    def estimate(self, asked: Asked) -> float | None:  # noqa: ARG002 - others can
        """Return nothing: the protocol has no estimate."""
        return None

    def create(self, asked: Asked) -> Job:
        """Create the job; the request carries its note unless the server refuses to know metadata."""
        import openai

        body = self.body(asked)
        try:
            return self._job(self.post("/fine_tuning/jobs", body, once=True))
        except openai.BadRequestError as error:
            if "metadata" not in body or "metadata" not in str(error):
                raise
            return self._job(self.post("/fine_tuning/jobs", {k: v for k, v in body.items() if k != "metadata"}, once=True))

    def body(self, asked: Asked) -> dict[str, Any]:
        """Return the request that creates a job."""
        made: dict[str, Any] = {
            "model": asked.model,
            "training_file": asked.file,
            "seed": asked.train.seed,
            "method": {"type": "supervised", "supervised": {"hyperparameters": self.hyperparameters(asked)}},
            "metadata": {NOTE: asked.note},
        }
        if asked.train.suffix:
            made["suffix"] = self.suffix(asked.train.suffix)
        return made | dict(self.provider.training)

    def suffix(self, suffix: str) -> str:
        """Return the suffix of the tuned model's name as this provider allows it."""
        return suffix

    def hyperparameters(self, asked: Asked) -> dict[str, Any]:
        """Return what the recipe says of training, by the names of the protocol; what it leaves open stays out."""
        train = asked.train
        given: dict[str, Any] = {
            "n_epochs": train.epochs,
            "batch_size": train.batch_size,
            "learning_rate_multiplier": train.learning_rate_multiplier,
        }
        if self.provider.extras:
            given |= {"learning_rate": train.learning_rate, "method": train.method, "lora_rank": train.lora_rank}
            given |= {"checkpoints": 1 if train.checkpoint is None else 1000}  # else nobody asks for the epochs before the last
            given |= train.options
        return {k: v for k, v in given.items() if v is not None}

    def retrieve(self, job: str) -> Job:
        """Ask for the job."""
        return self._of(self.client.fine_tuning.jobs.retrieve(job))

    def recent(self) -> Iterator[Job]:
        """Go through the list of jobs."""
        for job in self.client.fine_tuning.jobs.list(limit=100):
            yield self._of(job)

    def _job(self, value: Any) -> Job:
        from openai.types.fine_tuning import FineTuningJob

        return self._of(FineTuningJob.construct(**value))

    def _of(self, job: FineTuningJob) -> Job:
        metadata = getattr(job, "metadata", None)
        left = getattr(job, "estimated_finish", None)
        return Job(
            job.id,
            str(job.status),
            cast("State", job.status) if job.status in ("succeeded", "failed", "cancelled") else "going",
            base=job.model or "",
            file=job.training_file or "",
            created=float(job.created_at or 0),
            model=job.fine_tuned_model or "",
            trained_tokens=job.trained_tokens,
            results=tuple(job.result_files or ()),
            error=str(getattr(job.error, "message", None) or ""),
            seed=getattr(job, "seed", None),
            note=str(metadata.get(NOTE, "")) if metadata else None,
            left=_until(left) if left else None,
        )

    def events(self, job: str) -> Iterator[Event]:
        """Go through the list of events, page by page."""
        for event in self.client.fine_tuning.jobs.list_events(job, limit=_EVENTS):
            data = cast("dict[str, Any]", event.data or {})
            yield Event(
                event.id,
                float(event.created_at or 0),
                event.message,
                event.level,
                data,
                getattr(event, "type", None) or "message",
            )

    def cancel(self, job: str) -> None:
        """Cancel the job."""
        self.client.fine_tuning.jobs.cancel(job)

    def checkpoints(self, job: Job) -> list[Checkpoint]:
        """Go through the list of checkpoints."""
        found = [
            Checkpoint(c.fine_tuned_model_checkpoint, c.step_number, _numbers(c.metrics.to_dict() if c.metrics else {}))
            for c in self.client.fine_tuning.jobs.checkpoints.list(job.id, limit=100)
        ]
        return sorted(found, key=lambda c: c.step)

    def result(self, job: Job) -> bytes:
        """Fetch the first result file."""
        return self.client.files.content(job.results[0]).read() if job.results else b""

    def exists(self, model: str) -> bool:
        """Ask for the model."""
        import openai

        try:
            self.client.models.retrieve(model)
        except (openai.NotFoundError, ValueError):
            return False
        except openai.APIError:  # not everybody describes models
            return True
        return True

    def deploy(self, model: str) -> str:
        """Do nothing: a tuned model answers by its own name."""
        return model

    def retire(self, name: str) -> None:
        """Do nothing."""


def _until(moment: float) -> float:
    import time

    return max(0.0, moment - time.time())


def _numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    return {k: float(v) for k, v in metrics.items() if isinstance(v, int | float) and k != "step"}


TRAINERS("openai")(ProtocolTraining)
TRAINERS("local")(ProtocolTraining)
