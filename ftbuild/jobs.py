"""Fine-tuning jobs, each created once: for one key there is one job, whatever happens to the process that asks for it.

In: training rows, and the key of the stage that wants them trained.  Out: the provider's job.  What is about to be created is
written down first (`jobs/KEY.json`), and the job carries that note's number: a build that was killed between the request and
its answer finds the job by it.  An uploaded file is recorded too (`uploads/…`), and used again while the provider still has it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftbuild.digest import digest, digest_file
from ftbuild.errors import BudgetError, ConfigError, SourceError
from ftbuild.following import ending, refused, unreachable
from ftbuild.providers import answering
from ftbuild.providers.training import Asked, Job, NotTrainable
from ftbuild.store import Store, read_json, write_json

if TYPE_CHECKING:
    from ftbuild.console import Console
    from ftbuild.providers.training import Training
    from ftbuild.recipe import Provider, Recipe

_PAUSES = (1, 2, 4, 8, 16, 32)  # times the seconds between two polls, between two attempts at creating a job
_LOOKED_THROUGH = 500  # jobs, the newest first, among which one is looked for whose answer was lost
_CLOCKS_APART = 300  # seconds
_SOON = 60  # days before a model ends in which that is worth a warning


class Jobs:
    """Creates the fine-tuning job of one build, or finds the one that there is."""

    def __init__(self, training: Training, recipe: Recipe, store: Store, console: Console) -> None:
        self._training, self._store, self._console = training, store, console
        self._train, self._trainer = recipe.train, recipe.trainer
        self._rows_are = recipe.format.kind
        self.estimate: float | None = None

    def job(self, key: str, rows: Path, *, anew: bool = False, affordable: Callable[[], None] = lambda: None) -> Job:
        """Return the job that belongs to a key: the recorded one if it can still succeed, or else a new one.

        `anew` creates another one in any case.  `affordable` is asked before anything is uploaded, and may raise BudgetError.
        SourceError if the provider cannot be reached, ConfigError or FtbuildError if it refuses.
        """
        import openai

        record = self._store.root / "jobs" / f"{key}.json"
        known = None if anew else read_json(record)
        try:
            if isinstance(known, dict) and (job := self._known(known)):
                if job.id != known.get("job"):
                    write_json(record, {**known, "job": job.id})
                return job
        except openai.APIError as error:
            raise self._in_our_words(error, "cannot be followed") from error
        check(self._training, self._trainer.provider, self._trainer.base_model, self._rows_are, self._console)
        affordable()
        try:
            return self._another(key, record, rows)
        except openai.APIError as error:
            raise self._in_our_words(error, "was refused") from error

    def _another(self, key: str, record: Path, rows: Path) -> Job:
        import secrets

        import openai

        file, upload = self._upload(rows)
        note = f"{key[:16]}-{secrets.token_hex(8)}"
        intent = {"file": file, "note": note, "since": int(time.time()), "at": _at(self._trainer.provider)}
        try:
            self._estimate(Asked(self._trainer.base_model, file, note, self._train))
            write_json(record, intent)
            job = self._created(intent)
        except openai.APIStatusError as error:
            if not isinstance(error, openai.InternalServerError):
                record.unlink(missing_ok=True)  # it was refused, so there is none to look for
            if not_available(error):
                removed = self._take_back(file, upload)
                raise elsewhere(self._trainer.provider, self._rows_are, error, removed=removed) from error
            raise
        except BudgetError:
            self._take_back(file, upload)
            raise
        write_json(record, {**intent, "job": job.id})
        return job

    # ---- the job that there is ----

    def _known(self, known: Mapping[str, Any]) -> Job | None:
        import openai

        id_ = known.get("job")
        if id_ is None:
            job = self._lost(known)
        else:
            try:
                job = self._training.retrieve(str(id_))
            except openai.NotFoundError:
                self._console.note(f"the provider does not know job {id_} any more; creating another")
                return None
        if job is None:
            return None
        if job.state in ("failed", "cancelled") or (job.state == "succeeded" and not self._training.exists(job.model)):
            self._console.note(f"job {job.id} is {ending(job)}; creating another")
            return None
        self._console.note(f"going on with job {job.id} ({job.status})")
        return job

    def _lost(self, known: Mapping[str, Any]) -> Job | None:
        """Look for a job that was asked for, but whose id never arrived; it is none of those that belong to another key."""
        records = (read_json(file) for file in (self._store.root / "jobs").glob("*.json"))
        taken = {record.get("job") for record in records if isinstance(record, dict)}
        for job in islice(self._training.recent(), _LOOKED_THROUGH):
            alike = (job.file, job.base) == (known.get("file"), self._trainer.base_model)
            alike = alike and job.id not in taken and job.seed in (None, self._train.seed)
            recent = job.created >= known.get("since", 0) - _CLOCKS_APART
            if job.note == known.get("note") if job.note is not None else alike and recent:
                return job
        return None

    # ---- another one ----

    def _upload(self, rows: Path) -> tuple[str, Path]:
        """Return the id of the rows at the provider, which may have them already, and where that is recorded."""
        who = answering(self._trainer.provider, "")
        record = self._store.root / "uploads" / f"{digest([who, digest_file(rows)])}.json"
        known = read_json(record)
        if isinstance(known, dict) and known.get("file") and self._training.has(str(known["file"])):
            self._console.note(f"the rows are there already: {known['file']}")
            return str(known["file"]), record
        with self._console.step("sending the rows"):
            file = self._training.upload(rows)
        sent = {"file": file, "bytes": rows.stat().st_size, "sent": datetime.now(UTC).isoformat(timespec="seconds")}
        write_json(record, {**sent, "at": _at(self._trainer.provider)})
        return file, record

    def _take_back(self, file: str, record: Path) -> bool:
        """Remove an uploaded file and its record; say whether it is gone."""
        import openai

        try:
            self._training.remove(file)
        except openai.NotFoundError:
            pass
        except openai.APIError:
            return False
        record.unlink(missing_ok=True)
        return True

    def _estimate(self, asked: Asked) -> None:
        try:
            self.estimate = self._training.estimate(asked)
        except NotTrainable as error:
            raise BudgetError(
                f"{_name(self._trainer.provider)}: {error}", hint="the uploaded file was removed again"
            ) from error
        if self.estimate is not None:
            self._console.note(f"the provider reckons that the job costs ${self.estimate:.4f}")

    def _created(self, intent: Mapping[str, Any]) -> Job:
        """Create a job.  After a request whose fate is not known, look whether there is one before there is another."""
        import openai

        asked = Asked(self._trainer.base_model, intent["file"], intent["note"], self._train)
        for pause in (*_PAUSES[: self._trainer.provider.retries], None):
            try:
                return self._training.create(asked)
            except (openai.APIConnectionError, openai.InternalServerError, openai.RateLimitError) as error:
                if pause is None or getattr(error, "code", None) == "insufficient_quota":
                    raise
                time.sleep(pause * self._trainer.poll_seconds)
                with contextlib.suppress(openai.APIError):
                    if job := self._lost(intent):
                        return job
        raise AssertionError

    def _in_our_words(self, error: Exception, what: str) -> Exception:
        import openai

        if isinstance(error, openai.APIConnectionError):
            return unreachable(self._trainer.provider, error)
        return refused(error, what) if isinstance(error, openai.APIStatusError) else SourceError(str(error))


def check(training: Training, provider: Provider, model: str, rows: str, console: Console) -> None:
    """Find out what can be found out before anything is sent: the key, the model, the days on which things end.

    ConfigError for whatever would make a job fail in any case.
    """
    import openai

    who, today = _name(provider), datetime.now(UTC).date().isoformat()
    if not provider.trains:
        raise ConfigError(f"{who} does not train models", hint=others(provider, rows))
    if provider.trains_until and today > provider.trains_until:
        raise ConfigError(f"{who} takes no new fine-tuning jobs since {provider.trains_until}", hint=others(provider, rows))
    if rows not in provider.rows:
        raise ConfigError(f"{who} takes no {rows} rows", hint=f"format={provider.rows[0]} makes them {provider.rows[0]} rows")
    try:
        announced = training.check(model)
    except NotTrainable as error:
        raise ConfigError(f"{who}: {error}", hint="set trainer.base_model; " + others(provider, rows)) from error
    except openai.APIConnectionError as error:
        raise unreachable(provider, error) from error
    except openai.APIStatusError as error:
        raise refused(error, "would be refused") from error
    day = announced.shutdown or provider.shutdown.get(model, "")
    if not day:
        return
    if today >= day:
        raise ConfigError(
            f"{who}: the model {model} was shut down on {day}",
            hint="set trainer.base_model to one that is not; nothing was sent",
        )
    left = (datetime.fromisoformat(day).date() - datetime.now(UTC).date()).days
    told = f"{who} shuts the model {model} down on {day}, and with it what is tuned from it"
    console.warn(told) if left <= _SOON else console.note(told)


def not_available(error: Exception) -> bool:
    """Say whether an account may train nothing at all, whatever is asked for."""
    code = getattr(error, "code", None)
    told = f"{code} {getattr(error, 'type', '')} {getattr(error, 'body', '')}"
    return getattr(error, "status_code", 0) == 403 and "training_not_available" in told  # noqa: PLR2004


def elsewhere(provider: Provider, rows: str, error: Any, *, removed: bool) -> ConfigError:
    """Return what to raise when a provider says, after all, that it does not train for this account."""
    told = refused(error, "was refused").message
    why = f"{_name(provider)} does not train for this account, whatever is asked for: no other model or rows would do"
    file = "the uploaded file was removed again" if removed else "the uploaded file could not be removed again"
    return ConfigError(told, f"{why}; {file}", hint=others(provider, rows))


def others(provider: Provider, rows: str) -> str:
    """Name the providers that train, each with what to add to the command."""
    from ftbuild.offers import trainers

    today = datetime.now(UTC).date().isoformat()
    open_ = [offer for offer in trainers() if offer.kind != provider.kind and not (offer.until and today > offer.until)]
    found = [offer.words(rows) for offer in open_]
    return "\n    ".join(["what was made so far is kept; add one of these to the same command:", *found])


def _at(provider: Provider) -> dict[str, Any]:
    """Return what a later process needs to speak with a provider again; no key is among it."""
    known = {"kind": provider.kind, "base_url": provider.base_url, "api_key_env": provider.api_key_env}
    return {**known, **({"service": dict(provider.service)} if provider.service else {})}


def _name(provider: Provider) -> str:
    return provider.base_url or provider.kind
