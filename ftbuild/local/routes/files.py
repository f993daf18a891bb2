"""`/v1/files`: uploads, checked at once, and result files.  Contents go from socket to disk; memory holds pieces of them."""

from __future__ import annotations

import shutil
import time
from pathlib import PurePosixPath, PureWindowsPath
from typing import Annotated, Any, BinaryIO, Literal

from fastapi import APIRouter, Form, Query, UploadFile
from fastapi.responses import FileResponse
from starlette.concurrency import run_in_threadpool

from ftbuild.local.hub import Hub, listed, no_cursor
from ftbuild.local.protocol import ProtocolError
from ftbuild.local.rows import checked
from ftbuild.local.state import State, UnknownCursor

LARGEST_FILE = 512 * 2**20
_PURPOSES = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")
_DAY = 86400
_LONGEST_NAME = 255


def routes(hub: Hub) -> APIRouter:
    """Return the routes of this module."""
    router, state = APIRouter(tags=["Files"]), hub.state

    def known(id_: str) -> dict[str, Any]:
        file = state.file(id_)
        if file is None:
            raise ProtocolError(404, f"No such File object: {id_}", param="id")
        return file

    @router.post("/v1/files")
    async def create(
        file: UploadFile,
        purpose: Annotated[str, Form()],
        anchor: Annotated[str | None, Form(alias="expires_after[anchor]")] = None,
        seconds: Annotated[int | None, Form(alias="expires_after[seconds]")] = None,
    ) -> dict[str, Any]:
        """Upload a file; training rows are checked at once."""
        if purpose not in _PURPOSES:
            raise ProtocolError(
                400, f"{purpose!r} is not one of {list(_PURPOSES)} - 'purpose'", param="purpose", code="invalid_value"
            )
        expires_at = _expires(anchor, seconds, purpose)
        return await run_in_threadpool(_keep, state, file.file, _name(file.filename), purpose, expires_at)

    @router.get("/v1/files")
    def list_(
        purpose: str | None = None,
        after: str | None = None,
        limit: Annotated[int, Query(ge=1, le=10_000)] = 10_000,
        order: Literal["asc", "desc"] = "desc",
    ) -> dict[str, Any]:
        """List files, the newest first unless `order` is `asc`."""
        state.forget_expired()
        try:
            return listed(state.files(purpose, after=after or None, limit=limit + 1, order=order), limit)
        except UnknownCursor:
            raise no_cursor(after or "") from None

    @router.get("/v1/files/{id_}")
    def retrieve(id_: str) -> dict[str, Any]:
        """Describe a file."""
        return known(id_)

    @router.get("/v1/files/{id_}/content", response_class=FileResponse)
    def content(id_: str) -> FileResponse:
        """Return a file's content."""
        path = state.file_path(known(id_)["id"])
        if not path.is_file():
            raise ProtocolError(404, f"The content of file {id_} is gone", param="id")
        return FileResponse(path, media_type="application/octet-stream")

    @router.delete("/v1/files/{id_}")
    def delete(id_: str) -> dict[str, Any]:
        """Delete a file."""
        state.delete_file(known(id_)["id"])
        return {"id": id_, "object": "file", "deleted": True}

    return router


def _keep(state: State, content: BinaryIO, name: str, purpose: str, expires_at: int | None) -> dict[str, Any]:
    """Write an upload to the disk, check it if it is to be trained on, and keep it."""
    aside = state.upload_path()
    try:
        with aside.open("wb") as file:
            shutil.copyfileobj(content, file, 2**20)
        if aside.stat().st_size > LARGEST_FILE:
            raise ProtocolError(413, f"The file is larger than {LARGEST_FILE} bytes.", param="file", code="file_too_large")
        if purpose != "fine-tune":
            return state.add_file(aside, name, purpose, expires_at=expires_at)
        rows = checked(aside)
        if rows.problems:
            raise ProtocolError(400, f"Invalid file format: {rows.message}", param="file", code="invalid_file_format")
        return state.add_file(aside, name, purpose, expires_at=expires_at, kind=rows.kind, rows=rows.rows)
    finally:
        aside.unlink(missing_ok=True)


def _expires(anchor: str | None, seconds: int | None, purpose: str) -> int | None:
    """Return when a file expires; what is for a batch does so after 30 days unless the request says otherwise."""
    if anchor is None and seconds is None:
        return int(time.time()) + 30 * _DAY if purpose == "batch" else None
    if anchor != "created_at":
        message = f"{anchor!r} is not one of ['created_at'] - 'expires_after.anchor'"
        raise ProtocolError(400, message, param="expires_after.anchor", code="invalid_value")
    if seconds is None or not _DAY // 24 <= seconds <= 30 * _DAY:
        message = f"expires_after.seconds must be between 3600 and 2592000, not {seconds}"
        raise ProtocolError(400, message, param="expires_after.seconds", code="invalid_value")
    return int(time.time()) + seconds


def _name(given: str | None) -> str:
    """Return the last part of a name that a client gave.  It is only ever shown; contents lie under ids of our own."""
    last = PureWindowsPath(PurePosixPath(given or "").name).name
    return "".join(c for c in last if c.isprintable())[:_LONGEST_NAME] or "file"


__all__ = ["LARGEST_FILE", "routes"]
