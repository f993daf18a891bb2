"""The application: the routes of the protocol (`ftbuild.local.routes`) behind their door, and how errors look."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException

from ftbuild import __version__
from ftbuild.local.answers import Answers
from ftbuild.local.batches import Batches
from ftbuild.local.docs import with_docs
from ftbuild.local.door import Door, Log
from ftbuild.local.hub import Hub
from ftbuild.local.jobs import Queue
from ftbuild.local.library import Library, memory_bound
from ftbuild.local.protocol import ProtocolError, invalid
from ftbuild.local.routes import ROUTERS
from ftbuild.local.routes.files import LARGEST_FILE
from ftbuild.local.state import State


def create_app(folder: Path, api_key: str, *, recover: bool = False, memory: int = 0, log: Log = "none") -> FastAPI:
    """Return the application, whose state lies in `folder`, for clients that know `api_key`.

    `memory` is how many gigabytes models may take; 0 leaves that to the library.  With `recover`, the server goes on at once
    with the jobs that servers before it left unfinished, instead of when they are asked for.
    """
    state = State(folder)
    if recover:
        state.tidy()
    answers = Answers(Library(folder / "models", memory * 2**30 or memory_bound()))
    queue = Queue(state)
    batches = Batches(state, answers)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await answers.start()
        await queue.start()
        if recover:
            queue.recover()
        await batches.start()
        yield
        await queue.close()
        await batches.close()
        await answers.close()
        state.close()

    app = FastAPI(title="ftbuild", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.add_middleware(Door, key=api_key, largest={"/v1/files": LARGEST_FILE + 2**20}, log=log)
    _errors(app)
    with_docs(app)

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Say that the server is up."""
        return {"status": "ok", "version": __version__}

    hub = Hub(state, queue, answers, batches)
    for routes in ROUTERS:
        app.include_router(routes(hub), dependencies=[Depends(HTTPBearer(auto_error=False))])  # said here, checked at the door
    return app


def _errors(app: FastAPI) -> None:
    @app.exception_handler(ProtocolError)
    async def protocol(_: Request, error: ProtocolError) -> JSONResponse:
        return JSONResponse(error.envelope, error.status)

    @app.exception_handler(RequestValidationError)
    async def wrong(_: Request, error: RequestValidationError) -> JSONResponse:
        return JSONResponse(invalid(error.errors(), 1).envelope, 400)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        message = (
            f"Unknown request URL: {request.method} {request.url.path}"
            if error.status_code == HTTPStatus.NOT_FOUND
            else str(error.detail)
        )
        return JSONResponse(ProtocolError(error.status_code, message).envelope, error.status_code)
