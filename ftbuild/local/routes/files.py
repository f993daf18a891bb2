"""`/v1/files`: uploads, checked at once, and result files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Form, Response, UploadFile

from ftbuild.local.hub import Hub, page
from ftbuild.local.protocol import ProtocolError
from ftbuild.local.rows import problems

_LARGEST_FILE = 512 * 2**20


def routes(hub: Hub) -> APIRouter:
    """Return the routes of this module."""
    router, state = APIRouter(), hub.state

    def known(id_: str) -> dict[str, Any]:
        file = state.file(id_)
        if file is None:
            raise ProtocolError(404, f"No such File object: {id_}", param="id")
        return file

    @router.post("/v1/files")
    async def create(file: UploadFile, purpose: Annotated[str, Form()]) -> dict[str, Any]:
        """Upload a file; training rows are checked at once."""
        content = await file.read(_LARGEST_FILE + 1)
        if len(content) > _LARGEST_FILE:
            raise ProtocolError(413, f"The file is larger than {_LARGEST_FILE} bytes.", param="file")
        if purpose == "fine-tune" and (found := list(problems(content))):
            more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
            raise ProtocolError(400, f"Invalid file format: {found[0]}{more}", param="file", code="invalid_file_format")
        return state.add_file(content, Path(file.filename or "file").name, purpose)

    @router.get("/v1/files")
    async def list_(purpose: str | None = None, after: str | None = None, limit: int = 10000) -> dict[str, Any]:
        """List files, the newest first."""
        return page(state.files(purpose), after, limit)

    @router.get("/v1/files/{id_}")
    async def retrieve(id_: str) -> dict[str, Any]:
        """Describe a file."""
        return known(id_)

    @router.get("/v1/files/{id_}/content")
    async def content(id_: str) -> Response:
        """Return a file's content."""
        return Response(state.file_path(known(id_)["id"]).read_bytes(), media_type="application/octet-stream")

    @router.delete("/v1/files/{id_}")
    async def delete(id_: str) -> dict[str, Any]:
        """Delete a file."""
        state.delete_file(known(id_)["id"])
        return {"id": id_, "object": "file", "deleted": True}

    return router
