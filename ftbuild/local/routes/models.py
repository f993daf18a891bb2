"""`/v1/models`: the bundled model and the fine-tuned ones."""

from __future__ import annotations

import shutil
from typing import Any

from fastapi import APIRouter

from ftbuild.local import models
from ftbuild.local.hub import Hub
from ftbuild.local.protocol import ProtocolError


def routes(hub: Hub) -> APIRouter:
    """Return the routes of this module."""
    router, state, answers = APIRouter(), hub.state, hub.answers

    def described() -> list[dict[str, Any]]:
        tuned = [j for j in state.jobs() if j["fine_tuned_model"] and state.tuned_folder(j["fine_tuned_model"])]
        base = [(models.BUNDLED, 0, "system")] if models.bundled_file() else []
        all_ = [*base, *((j["fine_tuned_model"], j["finished_at"], "local") for j in tuned)]
        return [{"id": i, "object": "model", "created": c, "owned_by": o} for i, c, o in all_]

    @router.get("/v1/models")
    async def list_() -> dict[str, Any]:
        """List the bundled and the fine-tuned models."""
        return {"object": "list", "data": described()}

    @router.get("/v1/models/{id_:path}")
    async def retrieve(id_: str) -> dict[str, Any]:
        """Describe a model."""
        found = next((m for m in described() if m["id"] == id_), None)
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
