"""What training at a provider is, in words that all providers share, and the interface that their adapters have.

In: rows, and what the recipe says of training.  Out: `Job`, `Event`, `Checkpoint`.  An adapter sends its requests through the
`openai` client, whatever the provider's API looks like, and so raises its errors: whoever calls it turns them into ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, cast

if TYPE_CHECKING:
    import openai

    from ftbuild.recipe import Provider, Train

State = Literal["going", "succeeded", "failed", "cancelled"]


@dataclass(frozen=True)
class Job:
    """A fine-tuning job as it stands.  `status` is the provider's own word for it.

    `note` is what it was created with, so that it can be found again; None where the provider keeps no such thing.
    `progress` is how much of how much is done, `left` the seconds that the provider expects it to take still.
    """

    id: str
    status: str
    state: State
    base: str = ""
    file: str = ""
    created: float = 0.0
    model: str = ""
    trained_tokens: int | None = None
    results: tuple[str, ...] = ()
    error: str = ""
    seed: int | None = None
    note: str | None = None
    progress: tuple[float, float] | None = None
    left: float | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state != "going"


@dataclass(frozen=True)
class Event:
    """Something that a provider said of a job.  `data` has `step`, `total_steps` and `train_loss` where it counts steps."""

    id: str
    at: float
    message: str
    level: str = "info"
    data: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "message"


@dataclass(frozen=True)
class Checkpoint:
    """A model as it was after a step of its training."""

    model: str
    step: int
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Announced:
    """What a provider says of a model before it is trained: the day on which it shuts down (an ISO date), if that is known."""

    shutdown: str = ""


@dataclass(frozen=True)
class Asked:
    """What a job is asked for: the base model, the uploaded rows, hyperparameters, and the note to find it again by."""

    model: str
    file: str
    note: str
    train: Train


class NotTrainable(Exception):
    """The provider does not train a model.  The message says so in one line."""


class Training(Protocol):
    """What every adapter can do.  Whatever the provider refuses is an `openai.APIError`."""

    deploys: ClassVar[bool]
    """Whether a tuned model has to be put to work before it can be asked."""

    def check(self, model: str) -> Announced:
        """Say what the provider says of a base model; nothing is changed there.  NotTrainable if it does not train it."""

    def upload(self, rows: Path) -> str:
        """Send training rows and return their id there, once they can be used."""

    def has(self, file: str) -> bool:
        """Say whether an uploaded file is there and can be used."""

    def remove(self, file: str) -> None:
        """Remove an uploaded file."""

    def estimate(self, asked: Asked) -> float | None:
        """Return what a job would cost in US dollars by the provider's own reckoning; None if it reckons nothing."""

    def create(self, asked: Asked) -> Job:
        """Create a job.  A request whose fate is not known is not repeated here."""

    def retrieve(self, job: str) -> Job:
        """Return a job as it stands."""

    def recent(self) -> Iterator[Job]:
        """Yield jobs, the newest first."""

    def events(self, job: str) -> Iterator[Event]:
        """Yield what was said of a job, the newest first."""

    def cancel(self, job: str) -> None:
        """End a job before its end."""

    def checkpoints(self, job: Job) -> list[Checkpoint]:
        """Return the checkpoints that a job left and that can be asked, the earliest first."""

    def result(self, job: Job) -> bytes:
        """Return a job's result file as it was sent; nothing if there is none."""

    def exists(self, model: str) -> bool:
        """Say whether a tuned model is still there."""

    def deploy(self, model: str) -> str:
        """Put a tuned model to work, wait until it answers, and return the name to ask it by.  Doing it again does nothing."""

    def retire(self, name: str) -> None:
        """Take a deployed model off again."""


class Calls:
    """Requests to a provider's API through the `openai` client: its key, its retries, its errors, anybody's paths."""

    def __init__(self, client: openai.OpenAI, provider: Provider, seconds: float) -> None:
        self.client, self.provider, self.seconds = client, provider, seconds

    def get(self, path: str, **query: Any) -> Any:
        """GET a path below the base URL, or an address of its own, and return the JSON value of the reply."""
        return self.client.get(path, cast_to=_anything(), options={"params": query} if query else {})

    def post(self, path: str, body: Mapping[str, Any] | None = None, *, once: bool = False, **query: Any) -> Any:
        """POST JSON and return the JSON value of the reply; with `once`, a request whose fate is not known is not repeated."""
        client = self.client.with_options(max_retries=0) if once else self.client
        return client.post(path, cast_to=_anything(), body=body, options={"params": query} if query else {})

    def send(self, path: str, rows: Path, fields: Mapping[str, str]) -> Any:
        """POST a file as a form with these fields beside it, and return the JSON value of the reply."""
        return self.client.post(
            path,
            cast_to=_anything(),
            body=dict(fields),
            files={"file": ("rows.jsonl", rows.read_bytes())},
            options={"headers": {"Content-Type": "multipart/form-data"}},
        )

    def delete(self, path: str) -> Any:
        """DELETE a path and return the JSON value of the reply."""
        return self.client.delete(path, cast_to=_anything())

    def host(self, path: str) -> str:
        """Return the address of a path at the provider's host, outside of the base URL."""
        base = str(self.client.base_url)
        return f"{base.split('://', 1)[0]}://{base.split('://', 1)[1].split('/', 1)[0]}{path}"

    def service(self, name: str) -> str:
        """Return one of the settings of `provider.service`.  ConfigError if it is not set."""
        from ftbuild.errors import ConfigError

        value = self.provider.service.get(name)
        if value in (None, "", "???"):
            raise ConfigError(
                f"provider.service.{name}: missing; the provider {self.provider.kind} needs it to train",
                hint=f"conf/provider/{self.provider.kind}.yaml says what it is; set trainer.provider.service.{name}=…",
            )
        return str(value)


def _anything() -> Any:
    return cast("Any", object)


def plain(name: str, most: int = 64, *, dots: bool = False) -> str:
    """Return a name with nothing in it but letters, digits and dashes, and dots where they are allowed."""
    return re.sub(r"-{2,}", "-", re.sub(r"[^A-Za-z0-9.-]" if dots else r"[^A-Za-z0-9-]", "-", name)).strip("-.")[:most]


def moment(text: Any) -> float:
    """Return a time as seconds since 1970: a number as it is, ISO 8601 (in UTC, unless it has a zone) as what it says, or 0."""
    from datetime import UTC, datetime

    if isinstance(text, int | float):
        return float(text)
    try:
        time = datetime.fromisoformat(str(text))
    except ValueError:
        return 0.0
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
