"""Following a fine-tuning job to its end, and fetching its results.

In: a job that was created (`ftbuild.jobs`).  Out: the finished job of the provider, what it said on the way, its result file.
"""

from __future__ import annotations

import base64
import binascii
import time
from typing import TYPE_CHECKING, Any, cast

from ftbuild.console import Bar, seconds
from ftbuild.errors import ConfigError, FtbuildError, Interrupted, SourceError

if TYPE_CHECKING:
    import openai
    from openai.types.fine_tuning import FineTuningJob

    from ftbuild.console import Console
    from ftbuild.recipe import Trainer

_LOST = 600.0  # seconds without an answer after which a provider counts as gone; the job itself goes on there
_EVENTS = 50


class Follower:
    """Follows the fine-tuning job of one build."""

    def __init__(self, client: openai.OpenAI, trainer: Trainer, console: Console) -> None:
        self._client, self._trainer, self._console = client, trainer, console
        self.events: list[dict[str, Any]] = []

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
            raise FtbuildError(f"fine-tuning job {job.id} {ending(job)}", hint="the same command creates another job")
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
                        raise unreachable(self._client, error) from error
                    raise refused(error, "cannot be followed") from error
                self._console.note(f"lost the connection {seconds(time.monotonic() - since)} ago; trying again")
                time.sleep(5 * self._trainer.poll_seconds)
            except openai.APIStatusError as error:
                raise refused(error, "cannot be followed") from error

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


def ending(job: FineTuningJob) -> str:
    """Return how a job ended, with the provider's reason."""
    reason = getattr(job.error, "message", None)
    return f"{job.status}: {reason}" if reason else str(job.status)


def unreachable(client: openai.OpenAI, error: openai.APIConnectionError) -> SourceError:
    """Return what to raise when nobody answers at a provider's address."""
    cause = error.__cause__ or error
    return SourceError(f"{client.base_url}: cannot be reached: {cause}", hint="the same command goes on where this one stopped")


def refused(error: openai.APIStatusError, what: str) -> FtbuildError:
    """Return what to raise when a provider answers with an error."""
    body = error.body if isinstance(error.body, dict) else {}
    message = str(body.get("message") or error.message).splitlines()[0]
    text = f"the fine-tuning job {what}: HTTP {error.status_code}: {message}"
    if error.status_code in (401, 403):
        return ConfigError(text, hint="does this key's account have access to fine-tuning? trainer=… chooses another provider")
    return FtbuildError(text)
