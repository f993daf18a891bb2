"""Fine-tuning jobs: create one, once; follow it to its end; fetch its results.

In: a client, the recipe's `train` and `trainer`, training rows.  Out: the finished job of the provider.
"""

from __future__ import annotations

import base64
import binascii
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ftbuild.console import Bar, seconds
from ftbuild.errors import ConfigError, FtbuildError, Interrupted, SourceError
from ftbuild.store import Store, read_json, write_json

if TYPE_CHECKING:
    import openai
    from openai.types.fine_tuning import FineTuningJob

    from ftbuild.console import Console
    from ftbuild.recipe import Recipe

_LOST = 600.0  # seconds without an answer after which a provider counts as gone; the job itself goes on there
_EVENTS = 50


class Follower:
    """Creates and follows the fine-tuning job of one build."""

    def __init__(self, client: openai.OpenAI, recipe: Recipe, store: Store, console: Console) -> None:
        self._client = client
        self._train, self._trainer = recipe.train, recipe.trainer
        self._store, self._console = store, console
        self.events: list[dict[str, Any]] = []

    def job(self, key: str, rows: Path) -> FineTuningJob:
        """Return the job that belongs to a stage's key: the recorded one if it can still succeed, or else a new one."""
        record = self._store.root / "jobs" / f"{key}.json"
        known = read_json(record)
        if known and (job := self._recorded(known["job"])):
            return job
        job = self._create(rows)
        write_json(record, {"job": job.id, "file": job.training_file})
        return job

    def _recorded(self, id_: str) -> FineTuningJob | None:
        import openai

        try:
            job = self._client.fine_tuning.jobs.retrieve(id_)
        except openai.NotFoundError:
            self._console.note(f"the provider does not know job {id_} any more; creating another")
            return None
        except openai.APIConnectionError as error:
            raise _unreachable(self._client, error) from error
        except openai.APIStatusError as error:
            raise _refused(error, "cannot be followed") from error
        if job.status in ("failed", "cancelled") or (job.status == "succeeded" and not self._usable(job)):
            self._console.note(f"job {id_} is {_ending(job)}; creating another")
            return None
        self._console.note(f"going on with job {id_} ({job.status})")
        return job

    def _usable(self, job: FineTuningJob) -> bool:
        import openai

        try:
            self._client.models.retrieve(job.fine_tuned_model or "")
        except (openai.NotFoundError, ValueError):
            return False
        except openai.APIError:  # not everybody describes models
            return True
        return True

    def _create(self, rows: Path) -> FineTuningJob:
        import openai

        train = self._train
        given: dict[str, Any] = {
            "n_epochs": train.epochs,
            "batch_size": train.batch_size,
            "learning_rate_multiplier": train.learning_rate_multiplier,
        }
        if self._trainer.provider.extras:
            given |= {"learning_rate": train.learning_rate, "method": train.method, "lora_rank": train.lora_rank}
            given |= train.options
        hyperparameters = {k: v for k, v in given.items() if v is not None}
        method: Any = {"type": "supervised", "supervised": {"hyperparameters": hyperparameters}}
        try:
            file = self._client.files.create(file=("rows.jsonl", rows.read_bytes()), purpose="fine-tune")
            return self._client.fine_tuning.jobs.create(
                model=self._trainer.base_model,
                training_file=file.id,
                suffix=train.suffix or openai.omit,
                seed=train.seed,
                method=method,
            )
        except openai.APIConnectionError as error:
            raise _unreachable(self._client, error) from error
        except openai.APIStatusError as error:
            raise _refused(error, "was refused") from error

    def follow(self, job: FineTuningJob) -> FineTuningJob:
        """Wait for a job's end, showing how far it is.  FtbuildError with the provider's reason if it does not succeed."""
        try:
            with self._console.step("training") as bar:
                while job.status not in ("succeeded", "failed", "cancelled"):
                    self._tell(job, bar)
                    time.sleep(self._trainer.poll_seconds)
                    job = self._poll(job)
                self._tell(job, bar)
        except KeyboardInterrupt:
            raise Interrupted(f"stopped following job {job.id}", hint="the same command goes on with it") from None
        if job.status != "succeeded":
            raise FtbuildError(f"fine-tuning job {job.id} {_ending(job)}", hint="the same command creates another job")
        return job

    def _poll(self, job: FineTuningJob) -> FineTuningJob:
        import openai

        since = time.monotonic()
        while True:
            try:
                return self._client.fine_tuning.jobs.retrieve(job.id)
            except (openai.APIConnectionError, openai.InternalServerError, openai.RateLimitError) as error:
                if self._trainer.provider.kind == "local" or time.monotonic() - since > _LOST:
                    if isinstance(error, openai.APIConnectionError):
                        raise _unreachable(self._client, error) from error
                    raise _refused(error, "cannot be followed") from error
                self._console.note(f"lost the connection {seconds(time.monotonic() - since)} ago; trying again")
                time.sleep(5 * self._trainer.poll_seconds)
            except openai.APIStatusError as error:
                raise _refused(error, "cannot be followed") from error

    def _tell(self, job: FineTuningJob, bar: Bar) -> None:
        """Fetch the events since the last time, and show the newest step.  A job does well without them."""
        import openai

        seen = {e["id"] for e in self.events[-2 * _EVENTS :]}
        new = []
        try:
            for event in self._client.fine_tuning.jobs.list_events(job.id, limit=_EVENTS):  # the newest first, page by page
                if event.id in seen:
                    break
                new.append(event)
        except openai.APIError:
            return
        for event in reversed(new):
            data = cast("dict[str, Any]", event.data or {})
            kept = {
                "id": event.id,
                "at": event.created_at,
                "level": event.level,
                "message": event.message,
                "data": data,
            }
            self.events.append(kept)
            if "step" in data and "total_steps" in data:
                loss = data.get("train_loss")
                bar(data["step"], data["total_steps"], **({"loss": f"{loss:.3f}"} if loss is not None else {}))
            elif event.level != "info" or getattr(event, "type", "message") == "message":
                self._console.note(event.message)

    def result(self, job: FineTuningJob) -> str:
        """Return a job's result file as CSV text; some providers send it in base64, and some do not have it."""
        import openai

        if not job.result_files:
            return ""
        try:
            content = self._client.files.content(job.result_files[0]).read()
        except openai.APIError as error:
            self._console.warn(f"the result file of job {job.id} cannot be read: {str(error).splitlines()[0]}")
            return ""
        if b"," not in content[:200]:
            try:
                content = base64.b64decode(content, validate=True)
            except binascii.Error:
                return ""
        return content.decode("utf-8", errors="replace")


def _ending(job: FineTuningJob) -> str:
    reason = getattr(job.error, "message", None)
    return f"{job.status}: {reason}" if reason else str(job.status)


def _unreachable(client: openai.OpenAI, error: openai.APIConnectionError) -> SourceError:
    cause = error.__cause__ or error
    return SourceError(f"{client.base_url}: cannot be reached: {cause}", hint="the same command goes on where this one stopped")


def _refused(error: openai.APIStatusError, what: str) -> FtbuildError:
    body = error.body if isinstance(error.body, dict) else {}
    message = str(body.get("message") or error.message).splitlines()[0]
    text = f"the fine-tuning job {what}: HTTP {error.status_code}: {message}"
    if error.status_code in (401, 403):
        return ConfigError(text, hint="does this key's account have access to fine-tuning? trainer=… chooses another provider")
    return FtbuildError(text)
