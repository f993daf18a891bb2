"""`/v1/batches`: files of requests, answered in the background."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from ftbuild.local.batchbook import FINAL
from ftbuild.local.batches import new_batch
from ftbuild.local.exchanges import REQUESTS
from ftbuild.local.hub import Hub, page
from ftbuild.local.protocol import ProtocolError


class BatchRequest(BaseModel):
    """`POST /v1/batches`."""

    input_file_id: str
    endpoint: str
    completion_window: Literal["24h"]
    metadata: Annotated[dict[str, str], Field(max_length=16)] | None = None


def routes(hub: Hub) -> APIRouter:
    """Return the routes of this module."""
    router, state, batches = APIRouter(), hub.state, hub.batches

    def known(id_: str) -> dict[str, Any]:
        batch = batches.book.get(id_)
        if batch is None:
            raise ProtocolError(404, f"No batch found with id {id_!r}.", param="batch_id")
        return batch

    @router.post("/v1/batches")
    async def create(request: BatchRequest) -> dict[str, Any]:
        """Create a batch from an uploaded file and put it in the queue."""
        if request.endpoint not in REQUESTS:
            message = f"Invalid 'endpoint': {request.endpoint!r} is none of {', '.join(REQUESTS)}."
            raise ProtocolError(400, message, param="endpoint", code="invalid_value")
        file = state.file(request.input_file_id)
        if file is None:
            message = f"No such File object: {request.input_file_id}"
            raise ProtocolError(400, message, param="input_file_id", code="invalid_input_file_id")
        if file["purpose"] != "batch":
            message = f"The purpose of the file {file['id']} is {file['purpose']!r}; expected 'batch'."
            raise ProtocolError(400, message, param="input_file_id", code="invalid_file_purpose")
        batch = new_batch(request.endpoint, request.input_file_id, request.metadata)
        batches.add(batch)
        return batch

    @router.get("/v1/batches")
    async def list_(after: str | None = None, limit: Annotated[int, Query(ge=1, le=100)] = 20) -> dict[str, Any]:
        """List batches, the newest first."""
        return page(batches.book.all(), after, limit)

    @router.get("/v1/batches/{id_}")
    async def retrieve(id_: str) -> dict[str, Any]:
        """Describe a batch."""
        batches.wake()
        return known(id_)

    @router.post("/v1/batches/{id_}/cancel")
    async def cancel(id_: str) -> dict[str, Any]:
        """Cancel a batch; what was answered is kept."""
        batch = known(id_)
        if batch["status"] in FINAL:
            raise ProtocolError(409, f"Cannot cancel a batch with status {batch['status']!r}.", code="invalid_status")
        batches.wake()
        return batches.cancel(id_)

    return router
