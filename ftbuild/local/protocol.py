"""The shapes of the protocol: what requests may hold, and how errors look.

Source: OpenAI's API reference.  Unknown fields are ignored, wrong values are named.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


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
