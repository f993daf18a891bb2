"""The application: who may ask, how errors look, and the routes of the protocol (`ftbuild.local.routes`)."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from pathlib import Path

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from ftbuild import __version__
from ftbuild.local.answers import Answers
from ftbuild.local.batches import Batches
from ftbuild.local.hub import Hub
from ftbuild.local.jobs import Queue
from ftbuild.local.library import Library, memory_bound
from ftbuild.local.protocol import ProtocolError, invalid
from ftbuild.local.routes import ROUTERS
from ftbuild.local.state import State


def create_app(folder: Path, api_key: str, threads: int | None = None) -> FastAPI:
    """Return the application, whose state lies in `folder`, for clients that know `api_key`."""
    state = State(folder)
    answers = Answers(Library(folder / "models", memory_bound()))
    queue = Queue(state, threads)
    batches = Batches(state, answers)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await answers.start()
        await queue.start()
        await batches.start()
        yield
        await queue.close()
        await batches.close()
        await answers.close()
        state.close()

    async def authorised(request: Request) -> None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not secrets.compare_digest(given.strip().encode(), api_key.encode()):
            raise ProtocolError(401, "Incorrect API key provided.", code="invalid_api_key")

    app = FastAPI(title="ftbuild local", version=__version__, lifespan=lifespan)
    _errors(app)

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Say that the server is up."""
        return {"status": "ok", "version": __version__}

    hub = Hub(state, queue, answers, batches)
    for routes in ROUTERS:
        app.include_router(routes(hub), dependencies=[Depends(authorised)])
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

    @app.exception_handler(Exception)
    async def unexpected(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse(ProtocolError(500, f"{type(error).__name__}: {error}").envelope, 500)

    @app.middleware("http")
    async def identified(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        start = time.perf_counter()
        response = await call_next(request)
        response.headers["x-request-id"] = f"req_{secrets.token_hex(12)}"
        response.headers["openai-processing-ms"] = str(round((time.perf_counter() - start) * 1000))
        return response
