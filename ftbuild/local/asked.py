"""A request for a fine-tuning job, and what follows from it: the job that the client sees, the settings of its training.

Source: OpenAI's API reference.
"""

from __future__ import annotations

import re
import time
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ftbuild.local import hyperparameters
from ftbuild.local.protocol import ProtocolError
from ftbuild.local.state import new_id

_KEY, _VALUE = 64, 512  # characters of metadata
_SUFFIX = re.compile(r"[A-Za-z0-9._-]*")
_DEFAULT_SEED = 7


class MethodOptions(BaseModel):
    """The hyperparameters of one method."""

    hyperparameters: dict[str, Any] | None = None


class Method(BaseModel):
    """How to fine-tune."""

    type: Literal["supervised", "dpo", "reinforcement"] = "supervised"
    supervised: MethodOptions | None = None
    dpo: MethodOptions | None = None


class JobRequest(BaseModel):
    """`POST /v1/fine_tuning/jobs`.  What only this server knows may stand among the hyperparameters, or beside them."""

    model_config = ConfigDict(extra="allow")

    model: Annotated[str, Field(min_length=1, max_length=4096)]
    training_file: str
    validation_file: str | None = None
    suffix: Annotated[str, Field(max_length=64)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    metadata: dict[str, str] | None = None
    hyperparameters: dict[str, Any] | None = None
    method: Method | None = None
    integrations: list[dict[str, Any]] | None = None

    @model_validator(mode="before")
    @classmethod
    def _plain_method(cls, given: Any) -> Any:
        """Take `"method": "lora"` for the hyperparameter of that name, which it is where it stands among the others."""
        if isinstance(given, dict) and isinstance(method := given.get("method"), str):
            others = given.get("hyperparameters") or {}
            hyperparameters = {"method": method, **others} if isinstance(others, dict) else others
            return {**given, "method": None, "hyperparameters": hyperparameters}
        return given

    @property
    def kind(self) -> str:
        """The method: `supervised` or `dpo`."""
        return self.method.type if self.method else "supervised"

    def settings(self) -> dict[str, Any]:
        """Return the settings of training, checked but not yet complete.  ProtocolError names what cannot be."""
        if self.kind == "reinforcement":
            message = "the method 'reinforcement' is not supported; 'supervised' and 'dpo' are"
            raise ProtocolError(400, message, param="method.type", code="unsupported_method")
        if self.integrations:
            name = self.integrations[0].get("type", "")
            raise ProtocolError(
                400, f"integrations are not supported: {name!r}; metrics come as events and in the result file",
                param="integrations", code="unsupported_integration",
            )  # fmt: skip
        if not _SUFFIX.fullmatch(self.suffix or ""):
            raise ProtocolError(400, "suffix may hold letters, digits, dots, dashes and underscores", param="suffix")
        self._check_metadata()
        beside = {k: v for k, v in (self.model_extra or {}).items() if k in hyperparameters.OWN}
        settings = hyperparameters.checked(beside, "")
        settings |= hyperparameters.checked(self.hyperparameters or {})
        options = getattr(self.method, self.kind) if self.method else None
        if options and options.hyperparameters:
            settings |= hyperparameters.checked(options.hyperparameters, f"method.{self.kind}.hyperparameters")
        if self.kind != "dpo":
            settings.pop("beta", None)
        return settings

    def _check_metadata(self) -> None:
        metadata = self.metadata or {}
        if len(metadata) > 16:  # noqa: PLR2004
            raise ProtocolError(400, f"metadata has {len(metadata)} pairs; at most 16 are allowed", param="metadata")
        for key, value in metadata.items():
            if len(key) > _KEY or len(value) > _VALUE:
                message = f"metadata: keys may have {_KEY} characters and values {_VALUE}; {key[:_KEY]!r} is too long"
                raise ProtocolError(400, message, param="metadata")

    def job(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Return a new job with these settings, as the protocol describes it."""
        shown = hyperparameters.shown(settings, self.kind)
        return {
            "object": "fine_tuning.job",
            "id": new_id("ftjob"),
            "model": self.model,
            "created_at": int(time.time()),
            "finished_at": None,
            "fine_tuned_model": None,
            "organization_id": "local",
            "result_files": [],
            "status": "validating_files",
            "validation_file": self.validation_file,
            "training_file": self.training_file,
            "hyperparameters": shown,
            "method": {"type": self.kind, self.kind: {"hyperparameters": shown}},
            "trained_tokens": None,
            "error": None,
            "seed": _DEFAULT_SEED if self.seed is None else self.seed,
            "estimated_finish": None,
            "integrations": [],
            "metadata": self.metadata,
            "user_provided_suffix": self.suffix or None,
            "_restarts": 0,
        }


def tuned_name(job: dict[str, Any]) -> str:
    """Return what the model of a job is called: `ft:BASE:ORGANISATION:SUFFIX:ID`.

    A model that is tuned further keeps the name of the base model that it began with.
    """
    model = job["model"]
    base = model.split(":")[1] if model.startswith("ft:") else model.rstrip("/").rpartition("/")[2].replace(":", "-")
    return ":".join(("ft", base, "local", job.get("user_provided_suffix") or "", job["id"].removeprefix("ftjob-")[:8]))
