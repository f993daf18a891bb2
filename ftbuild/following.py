"""Following a fine-tuning job to its end, and fetching its results.

In: a job that was created (`ftbuild.jobs`).  Out: the finished job of the provider, what it said on the way, its result file.
"""

from __future__ import annotations

import base64
import binascii
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ftbuild.console import Bar, seconds
from ftbuild.errors import ConfigError, FtbuildError, Interrupted, SourceError

if TYPE_CHECKING:
    import openai

    from ftbuild.console import Console
    from ftbuild.providers.training import Checkpoint, Event, Job, Training
    from ftbuild.recipe import Provider, Trainer

_LOST = 600.0  # seconds without an answer after which a provider counts as gone; the job itself goes on there
_SEEN = 100  # events among which one that was seen before is looked for
_SLOWER, _SLOWEST = 1.3, 15.0  # while nothing happens the pauses grow, to so many times the seconds between two polls
_WAITS = ("paused", "pausing")
_USUAL = ("validating_files", "queued", "running")  # which events tell better, where there are events


class Follower:
    """Follows the fine-tuning job of one build."""

    def __init__(self, training: Training, trainer: Trainer, console: Console) -> None:
        self._training, self._trainer, self._console = training, trainer, console
        self.events: list[dict[str, Any]] = []
        self._status = ""

    def follow(self, job: Job) -> Job:
        """Wait for a job's end, showing how far it is.  FtbuildError with the provider's reason if it does not succeed."""
        pause = self._trainer.poll_seconds
        try:
            with self._console.step("training") as bar:
                while not job.ended:
                    heard = self._tell(job, bar)
                    pause = self._trainer.poll_seconds if heard or self._embedded else min(pause * _SLOWER, self._slowest)
                    time.sleep(pause)
                    job = self._poll(job)
                self._tell(job, bar)
        except KeyboardInterrupt:
            raise Interrupted(f"stopped following job {job.id}", hint="the same command goes on with it") from None
        if job.state != "succeeded":
            categories = _blocked(self.events)
            why = f"; the provider's safety checks blocked: {', '.join(categories)}" if categories else ""
            hint = "look at the rows of these kinds" if categories else "the same command creates another job"
            raise FtbuildError(f"fine-tuning job {job.id} {ending(job)}{why}", hint=hint)
        if not job.model:
            raise FtbuildError(
                f"fine-tuning job {job.id} succeeded, but left no model", hint="the provider's console may know why"
            )
        return job

    @property
    def _embedded(self) -> bool:
        return self._trainer.provider.kind == "local"

    @property
    def _slowest(self) -> float:
        return self._trainer.poll_seconds * _SLOWEST

    def _poll(self, job: Job) -> Job:
        import openai

        since = time.monotonic()
        while True:
            try:
                return self._training.retrieve(job.id)
            except (openai.APIConnectionError, openai.InternalServerError, openai.RateLimitError) as error:
                if self._embedded or time.monotonic() - since > _LOST:
                    if isinstance(error, openai.APIConnectionError):
                        raise unreachable(self._trainer.provider, error) from error
                    raise refused(error, "cannot be followed") from error
                self._console.note(f"lost the connection {seconds(time.monotonic() - since)} ago; trying again")
                time.sleep(5 * self._trainer.poll_seconds)
            except openai.APIStatusError as error:
                raise refused(error, "cannot be followed") from error

    def _tell(self, job: Job, bar: Bar) -> bool:
        """Fetch the events since the last time, and show the newest step; say whether there was something new.

        A job does well without events.
        """
        import openai

        changed = job.status != self._status
        if changed and not job.ended and self._status and not (job.status in _USUAL and self.events):
            waits = "; it goes on when it is resumed at the provider" if job.status in _WAITS else ""
            self._console.note(f"job {job.id} is {job.status}{waits}")
        self._status = job.status
        if job.progress:
            done, total = job.progress
            bar(done, total, **_left(job))
        seen = {e["id"] for e in self.events[-_SEEN:]}
        new: list[Event] = []
        try:
            for event in self._training.events(job.id):  # the newest first
                if event.id in seen:
                    break
                new.append(event)
        except openai.APIError:
            return changed
        for event in reversed(new):
            self._heard(event, job, bar)
        return changed or bool(new)

    def _heard(self, event: Event, job: Job, bar: Bar) -> None:
        kept = asdict(event)
        kind = kept.pop("kind")
        kept["at"] = int(kept["at"])
        if kind == "moderation_checks":
            kept["kind"] = kind
        self.events.append(kept)
        if "step" in event.data and "total_steps" in event.data:
            loss = event.data.get("train_loss")
            bar(
                event.data["step"],
                event.data["total_steps"],
                **({"loss": f"{loss:.3f}"} if loss is not None else {}),
                **_left(job),
            )
        elif event.level != "info" or kind in ("message", "moderation_checks"):
            self._console.note(event.message)

    def result(self, job: Job) -> str:
        """Return a job's result file as CSV text; some providers send it in base64, and some do not have it."""
        import openai

        try:
            content = self._training.result(job)
        except openai.APIError as error:
            self._console.warn(f"the result file of job {job.id} cannot be read: {str(error).splitlines()[0]}")
            return ""
        if content and b"," not in content[:200]:
            try:
                content = base64.b64decode(content, validate=True)
            except binascii.Error:
                return ""
        return content.decode("utf-8", errors="replace")

    def checkpoints(self, job: Job) -> list[Checkpoint]:
        """Return a job's checkpoints; some providers have none, and some do not tell of them."""
        import openai

        try:
            return self._training.checkpoints(job)
        except openai.APIError:
            return []


def _blocked(events: list[dict[str, Any]]) -> list[str]:
    """Return the categories that a provider's safety checks found, as its events name them."""
    found: dict[str, None] = {}
    for event in events:
        if event.get("kind") != "moderation_checks" or not event["data"]:
            continue
        results = event["data"].get("results") or ()
        named = [r for r in results if isinstance(r, dict) and r.get("flagged", r.get("blocked", True))]
        found |= dict.fromkeys(str(r.get("category")) for r in named if r.get("category"))
    return list(found)


def _left(job: Job) -> dict[str, str]:
    return {"left": seconds(job.left)} if job.left else {}


def ending(job: Job) -> str:
    """Return how a job ended, with the provider's reason."""
    return f"{job.state}: {job.error}" if job.error else job.state


def unreachable(provider: Provider, error: openai.APIConnectionError) -> SourceError:
    """Return what to raise when nobody answers at a provider's address."""
    url = getattr(error.request, "url", "") if error.request is not None else ""
    where = f"{provider.base_url.rstrip('/')}/" if provider.base_url else str(url)
    cause = error.__cause__ or error
    return SourceError(f"{where}: cannot be reached: {cause}", hint="the same command goes on where this one stopped")


def refused(error: openai.APIStatusError, what: str) -> FtbuildError:
    """Return what to raise when a provider answers with an error.  Should it repeat the key, that is left out."""
    body = error.body if isinstance(error.body, dict) else {}
    message = str(body.get("message") or error.message).splitlines()[0]
    for header in ("authorization", "api-key"):
        if sent := error.request.headers.get(header, "").partition(" ")[2] or error.request.headers.get(header, ""):
            message = message.replace(sent, "…")
    text = f"the fine-tuning job {what}: HTTP {error.status_code}: {message}"
    if error.status_code in (401, 403):
        return ConfigError(text, hint="does this key's account have access to fine-tuning? trainer=… chooses another provider")
    return FtbuildError(text)
