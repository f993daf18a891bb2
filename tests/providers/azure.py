"""Azure OpenAI and its resource manager."""

from __future__ import annotations

import re
import secrets
from typing import Any

from ftbuild.testing import Request
from ftbuild.testing.replies import Refused
from ftbuild.testing.server import Answer
from tests.providers.dialect import Dialect


class Azure(Dialect):
    """Azure OpenAI: `api-key` on the v1 endpoint; the control plane, with a token, on paths of its own."""

    base = "/openai/v1"
    must_deploy = True

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._server.key_header = "api-key"
        self.token = f"eyJ-scripted-{secrets.token_hex(16)}"
        self.tokens: list[str] = []
        self.control = Control(self)

    def _jobs_route(self, request: Request, place: list[str]) -> Answer | None:
        if request.method == "POST" and not place:
            body = request.body
            if "." in (body.get("suffix") or ""):
                raise Refused(
                    400, "The suffix contains characters that are not allowed.", code="invalidPayload", param="suffix"
                )
            if body.get("trainingType") not in (None, "standard", "globalstandard", "developertier"):
                raise Refused(400, "trainingType is not valid", code="invalidPayload")
            if not self._trainer.contents[body["training_file"]].startswith(b"\xef\xbb\xbf"):
                raise Refused(400, "The file must be UTF-8 with a byte-order mark.", code="invalidPayload")
            self.created.append(body)
        return super()._jobs_route(request, place)

    def _upload(self, form: Any) -> Answer:
        filename, content = form["file"]
        answer = super()._upload({**form, "file": (filename, content.removeprefix(b"\xef\xbb\xbf"))})
        assert isinstance(answer, dict)
        self._trainer.contents[answer["id"]] = content
        return answer

    def _model(self, name: str) -> dict[str, Any]:
        return {**super()._model(name), "capabilities": {"fine_tune": name != "not-tunable", "chat_completion": True}}


class Control(Dialect):
    """Azure's resource manager: deployments of one account, put with a bearer token of its own."""

    base = "/control"

    def __init__(self, resource: Azure) -> None:
        super().__init__()
        self.resource, self.api_key = resource, resource.token
        self.states: dict[str, int] = {}

    def _route(self, request: Request) -> Answer:
        found = re.fullmatch(
            r"/subscriptions/SUB/resourceGroups/GROUP/providers/Microsoft.CognitiveServices/accounts/RES/deployments/([\w-]+)",
            request.path,
        )
        if not found or request.query.get("api-version") != "2024-10-21":
            raise Refused(404, "The resource was not found.", code="ResourceNotFound")
        name = found[1]
        if request.method == "PUT":
            properties = request.body["properties"]["model"]
            assert request.body["sku"]["name"], request.body["sku"]["capacity"]
            if properties["name"] not in self.resource._trainer.tuned or properties["format"] != "OpenAI":
                raise Refused(400, "The model is not supported.", code="DeploymentModelNotSupported")
            self.states.setdefault(name, 0)
            self.pending = (name, properties["name"])
        elif request.method == "DELETE":
            self.resource.deployed.pop(name, None)
            return {}
        else:
            self.states[name] += 1
        done = self.states[name] > 1
        if done:
            self.resource.deployed[name] = self.pending[1]
        return {"name": name, "properties": {"provisioningState": "Succeeded" if done else "Creating"}}
