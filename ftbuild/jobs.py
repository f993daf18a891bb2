"""Fine-tuning jobs, each created once: for one key there is one job, whatever happens to the process that asks for it.

In: training rows, and the key of the stage that wants them trained.  Out: the provider's job.  What is about to be created is
written down first (`jobs/KEY.json`), and the job carries that note's number in its metadata: a build that was killed between
the request and its answer finds the job by it.  An uploaded file is recorded too (`uploads/…`), and used again while the
provider still has it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftbuild.digest import digest, digest_file
from ftbuild.following import ending, refused, unreachable
from ftbuild.providers import answering
from ftbuild.store import Store, read_json, write_json

if TYPE_CHECKING:
    import openai
    from openai.types.fine_tuning import FineTuningJob

    from ftbuild.console import Console
    from ftbuild.recipe import Recipe

_NOTE = "ftbuild"
_PAUSES = (1, 2, 4, 8, 16, 32)  # times the seconds between two polls, between two attempts at creating a job
_LOOKED_THROUGH = 500  # jobs, the newest first, among which one is looked for whose answer was lost
_CLOCKS_APART = 300  # seconds


class Jobs:
    """Creates the fine-tuning job of one build, or finds the one that there is."""

    def __init__(self, client: openai.OpenAI, recipe: Recipe, store: Store, console: Console) -> None:
        self._client, self._store, self._console = client, store, console
        self._train, self._trainer = recipe.train, recipe.trainer

    def job(self, key: str, rows: Path, *, anew: bool = False, affordable: Callable[[], None] = lambda: None) -> FineTuningJob:
        """Return the job that belongs to a key: the recorded one if it can still succeed, or else a new one.

        `anew` creates another one in any case.  `affordable` is asked before anything is uploaded, and may raise BudgetError.
        SourceError if the provider cannot be reached, ConfigError or FtbuildError if it refuses.
        """
        import secrets

        import openai

        record = self._store.root / "jobs" / f"{key}.json"
        known = None if anew else read_json(record)
        try:
            if isinstance(known, dict) and (job := self._known(known)):
                if job.id != known.get("job"):
                    write_json(record, {**known, "job": job.id})
                return job
        except openai.APIConnectionError as error:
            raise unreachable(self._client, error) from error
        except openai.APIStatusError as error:
            raise refused(error, "cannot be followed") from error
        affordable()
        try:
            intent = {"file": self._upload(rows), "note": f"{key[:16]}-{secrets.token_hex(8)}", "since": int(time.time())}
            write_json(record, intent)
            try:
                job = self._created(intent)
            except openai.APIStatusError as error:
                if not isinstance(error, openai.InternalServerError):
                    record.unlink(missing_ok=True)  # it was refused, so there is none to look for
                raise
        except openai.APIConnectionError as error:
            raise unreachable(self._client, error) from error
        except openai.APIStatusError as error:
            raise refused(error, "was refused") from error
        write_json(record, {**intent, "job": job.id})
        return job

    # ---- the job that there is ----

    def _known(self, known: Mapping[str, Any]) -> FineTuningJob | None:
        import openai

        id_ = known.get("job")
        if id_ is None:
            job = self._lost(known)
        else:
            try:
                job = self._client.fine_tuning.jobs.retrieve(id_)
            except openai.NotFoundError:
                self._console.note(f"the provider does not know job {id_} any more; creating another")
                return None
        if job is None:
            return None
        if job.status in ("failed", "cancelled") or (job.status == "succeeded" and not self._usable(job)):
            self._console.note(f"job {job.id} is {ending(job)}; creating another")
            return None
        self._console.note(f"going on with job {job.id} ({job.status})")
        return job

    def _lost(self, known: Mapping[str, Any]) -> FineTuningJob | None:
        """Look for a job that was asked for, but whose id never arrived; it is none of those that belong to another key."""
        records = (read_json(file) for file in (self._store.root / "jobs").glob("*.json"))
        taken = {record.get("job") for record in records if isinstance(record, dict)}
        for job in islice(self._client.fine_tuning.jobs.list(limit=100), _LOOKED_THROUGH):
            metadata = getattr(job, "metadata", None)
            alike = (job.training_file, job.model) == (known.get("file"), self._trainer.base_model)
            alike = alike and job.id not in taken and getattr(job, "seed", None) in (None, self._train.seed)
            recent = job.created_at >= known.get("since", 0) - _CLOCKS_APART
            if metadata.get(_NOTE) == known.get("note") if metadata else alike and recent:
                return job
        return None

    def _usable(self, job: FineTuningJob) -> bool:
        import openai

        try:
            self._client.models.retrieve(job.fine_tuned_model or "")
        except (openai.NotFoundError, ValueError):
            return False
        except openai.APIError:  # not everybody describes models
            return True
        return True

    # ---- another one ----

    def _upload(self, rows: Path) -> str:
        """Return the id of the rows at the provider, which may have them already."""
        import openai

        who = answering(self._trainer.provider, "")
        record = self._store.root / "uploads" / f"{digest([who, digest_file(rows)])}.json"
        known = read_json(record)
        if isinstance(known, dict) and known.get("file"):
            try:
                file = self._client.files.retrieve(known["file"])
            except openai.APIStatusError:
                pass  # it was deleted, or belongs to another account
            else:
                if file.status != "error":
                    self._console.note(f"the rows are there already: {file.id}")
                    return file.id
        uploaded = self._client.files.create(file=("rows.jsonl", rows.read_bytes()), purpose="fine-tune")
        write_json(record, {"file": uploaded.id})
        return uploaded.id

    def _created(self, intent: Mapping[str, Any]) -> FineTuningJob:
        """Create a job.  After a request whose fate is not known, look whether there is one before there is another."""
        import openai

        for pause in (*_PAUSES[: self._trainer.provider.retries], None):
            try:
                return self._create(intent)
            except (openai.APIConnectionError, openai.InternalServerError, openai.RateLimitError) as error:
                if pause is None or getattr(error, "code", None) == "insufficient_quota":
                    raise
                time.sleep(pause * self._trainer.poll_seconds)
                with contextlib.suppress(openai.APIError):
                    if job := self._lost(intent):
                        return job
        raise AssertionError

    def _create(self, intent: Mapping[str, Any]) -> FineTuningJob:
        import openai

        client = self._client.with_options(max_retries=0)
        train = self._train
        given: dict[str, Any] = {
            "n_epochs": train.epochs,
            "batch_size": train.batch_size,
            "learning_rate_multiplier": train.learning_rate_multiplier,
        }
        if self._trainer.provider.extras:
            given |= {"learning_rate": train.learning_rate, "method": train.method, "lora_rank": train.lora_rank}
            given |= {"checkpoints": 1}  # nobody asks for the epochs before the last one
            given |= train.options
        hyperparameters = {k: v for k, v in given.items() if v is not None}
        method: Any = {"type": "supervised", "supervised": {"hyperparameters": hyperparameters}}
        asked: dict[str, Any] = {
            "model": self._trainer.base_model,
            "training_file": intent["file"],
            "suffix": train.suffix or openai.omit,
            "seed": train.seed,
            "method": method,
        }
        try:
            return client.fine_tuning.jobs.create(**asked, metadata={_NOTE: intent["note"]})
        except openai.BadRequestError as error:
            if "metadata" not in str(error):
                raise
            return client.fine_tuning.jobs.create(**asked)  # not everybody knows metadata
