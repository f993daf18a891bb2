"""Hosted providers on loopback, each as its documentation describes it, around one scripted trainer.

A dialect answers its own paths in its own words, refuses what the documentation refuses, and lets a tuned model answer only
when it has been deployed, where that is so.  What the documentation does not say is not here either.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from ftbuild.testing import Request, ScriptedProvider
from ftbuild.testing.replies import Refused
from ftbuild.testing.server import Answer


class Dialect(ScriptedProvider):
    """A provider whose paths lie elsewhere: `base` is what clients are given, relative paths below it are the protocol's."""

    base = "/v1"
    deployed: dict[str, str]

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.deployed = {}
        self.polls: dict[str, int] = {}
        self.created: list[dict[str, Any]] = []

    @property
    def base_url(self) -> str:
        """The address to give to clients."""
        return self.host + self.base

    @property
    def host(self) -> str:
        """The address of the server without a path."""
        return self._server.base_url.removesuffix("/v1")

    def answer(self, request: Request, key: str) -> Answer:
        """Answer a request under the base by its relative path, and any other by its whole path."""
        whole = request.path.removeprefix("/..") if request.path.startswith("/../") else f"/v1{request.path}"
        base = self.base.rstrip("/")
        inside = whole.removeprefix(base) if whole.startswith(f"{base}/") else f"/..{whole}"
        return super().answer(replace(request, path=inside), key)

    def _model(self, name: str) -> dict[str, Any]:
        if name in self.deployed:
            return super()._model(self.deployed[name])
        if name in self._trainer.tuned and self.must_deploy:
            raise Refused(404, f"The model `{name}` is not deployed.", code="DeploymentNotFound")
        return super()._model(name)

    must_deploy = False

    def working(self, name: str) -> bool:
        """Say whether something that was begun still takes its time: whoever asks first finds it so."""
        self.polls[name] = self.polls.get(name, 0) + 1
        return self.polls[name] == 1


def moment(at: float, pattern: str = "%Y-%m-%dT%H:%M:%S.000Z") -> str:
    return datetime.fromtimestamp(at, UTC).strftime(pattern)


class Wrapped(Dialect):
    """A provider with a jobs API of its own: routes by method and whole path."""

    routes: tuple[tuple[str, str, str], ...]

    def _route(self, request: Request) -> Answer:
        for method, pattern, name in self.routes:
            if request.method == method and (found := re.fullmatch(pattern, request.path)):
                handler: Callable[..., Answer] = getattr(self, name)
                return handler(request, *found.groups())
        return super()._route(request)

    def _begin(self, model: str, file: str, suffix: str, epochs: int) -> dict[str, Any]:
        asked = {"model": model, "training_file": file, "suffix": suffix, "hyperparameters": {"n_epochs": epochs}}
        return self._trainer.create(asked, self.training)


def rows_of(provider: Dialect) -> list[list[Any]]:
    """Return the rows of all training files that a provider was sent."""
    files = provider._trainer.contents.values()
    return [
        [json.loads(line) for line in content.decode("utf-8-sig").splitlines() if line]
        for content in files
        if b"messages" in content
    ]
