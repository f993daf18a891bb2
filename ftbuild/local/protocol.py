"""The shapes of the protocol: what requests may hold, and how errors look.

Source: OpenAI's API reference.  Unknown fields are ignored, wrong values are named.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, Field


class ProtocolError(Exception):
    """An error as the protocol reports it: a status, and an envelope with message, type, param and code."""

    def __init__(self, status: int, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        kinds = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
        kind = kinds.get(status, "server_error" if status >= 500 else "invalid_request_error")  # noqa: PLR2004
        self.envelope = {"error": {"message": message, "type": kind, "param": param, "code": code}}


def invalid(errors: Sequence[Any], lead: int = 0) -> ProtocolError:
    """Return the error of a request whose values pydantic refuses, named without the first `lead` parts of its place."""
    first = errors[0]
    param = ".".join(str(p) for p in first["loc"][lead:] if p not in ("str", "list[str]", "int"))
    return ProtocolError(400, f"Invalid value for {param or 'the request'}: {first['msg']}", param=param or None)


class JobRequest(BaseModel):
    """`POST /v1/fine_tuning/jobs`.  What only this server knows (`learning_rate`, `lora_rank`) stands beside the others."""

    model: str
    training_file: str
    suffix: Annotated[str, Field(max_length=64)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    metadata: Annotated[dict[str, str], Field(max_length=16)] | None = None
    hyperparameters: dict[str, Any] | None = None
    method: dict[str, Any] | None = None

    def settings(self) -> dict[str, Any]:
        """Return the hyperparameters by the names that the training process knows, checked."""
        method = self.method or {}
        kind = method.get("type", "supervised")
        if kind != "supervised":
            raise ProtocolError(400, f"the method {kind!r} is not supported; only 'supervised' is", param="method.type")
        given = {**(self.hyperparameters or {}), **(method.get("supervised") or {}).get("hyperparameters", {})}
        known = {
            "n_epochs": ("epochs", int, 1, 1000),
            "batch_size": ("batch_size", int, 1, 4096),
            "learning_rate": ("learning_rate", float, 1e-8, 1.0),
            "learning_rate_multiplier": ("learning_rate_multiplier", float, 1e-6, 1e3),
            "lora_rank": ("lora_rank", int, 1, 1024),
            "weight_decay": ("weight_decay", float, 0, 10),
            "noise": ("noise", float, 0, 1000),
            "method": ("method", str, None, None),
        }
        settings: dict[str, Any] = {}
        for name, value in given.items():
            if name not in known or value in (None, "auto"):
                continue
            key, kind_, least, most = known[name]
            right = isinstance(value, str) if kind_ is str else isinstance(value, int | float) and not isinstance(value, bool)
            if right and kind_ is int:
                right = float(value).is_integer()
            if not right or (least is not None and not least <= value <= (most or value)):
                raise ProtocolError(400, f"{value!r} is no value for {name}", param=f"hyperparameters.{name}")
            settings[key] = kind_(value)
        if settings.get("method", "full") not in ("full", "lora"):
            raise ProtocolError(400, "method is 'full' or 'lora'", param="hyperparameters.method")
        multiplier = settings.pop("learning_rate_multiplier", None)
        if multiplier and "learning_rate" not in settings:
            settings["learning_rate"] = 4e-4 * multiplier
        return settings
