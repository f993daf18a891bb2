"""`/v1/models`: the bundled model, those in memory, and the fine-tuned ones with their checkpoints."""

from __future__ import annotations

import shutil
import time
from typing import Any

from fastapi import APIRouter

from ftbuild.local import models
from ftbuild.local.hub import Hub
from ftbuild.local.protocol import ProtocolError

_STARTED = int(time.time())


def routes(hub: Hub) -> APIRouter:
    """Return the routes of this module."""
    router, state, answers = APIRouter(), hub.state, hub.answers

    def described() -> list[dict[str, Any]]:
        tuned = [j for j in state.jobs() if j["fine_tuned_model"] and state.tuned_folder(j["fine_tuned_model"])]
        bundled = models.bundled_file()
        base = [_model(models.BUNDLED, int(bundled.stat().st_mtime), "system")] if bundled else []
        mine = [_model(j["fine_tuned_model"], j["finished_at"] or j["created_at"], j["organization_id"]) for j in tuned]
        known = {m["id"] for m in (*base, *mine)}
        others = [n for n in answers.library.names if n not in known and not n.startswith("ft:")]
        return [*base, *(_model(name, _STARTED, "system") for name in others), *mine]

    def one(id_: str) -> dict[str, Any] | None:
        listed = next((m for m in described() if m["id"] == id_), None)
        if listed:
            return listed
        folder = state.tuned_folder(id_)  # a checkpoint
        if folder:
            return _model(id_, int(folder.stat().st_mtime), "local")
        try:
            found = models.local(id_)
        except models.UnknownModel:
            return None
        return _model(id_, int(found.stat().st_mtime), "system")

    @router.get("/v1/models")
    def list_() -> dict[str, Any]:
        """List the bundled model, those in memory, and the fine-tuned ones."""
        return {"object": "list", "data": described()}

    @router.get("/v1/models/{id_:path}")
    def retrieve(id_: str) -> dict[str, Any]:
        """Describe a model."""
        found = one(id_)
        if found is None:
            raise ProtocolError(404, f"The model {id_!r} does not exist", param="model", code="model_not_found")
        return found

    @router.delete("/v1/models/{id_:path}")
    def delete(id_: str) -> dict[str, Any]:
        """Delete a fine-tuned model's weights."""
        folder = state.tuned_folder(id_)
        if folder is None:
            raise ProtocolError(404, f"The model {id_!r} is not a fine-tuned model here", param="model", code="model_not_found")
        shutil.rmtree(folder)
        answers.library.forget(id_)
        return {"id": id_, "object": "model", "deleted": True}

    return router


def _model(id_: str, created: int, owner: str) -> dict[str, Any]:
    return {"id": id_, "object": "model", "created": created, "owned_by": owner}
