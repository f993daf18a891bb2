"""`/v1/completions` and `/v1/chat/completions`, whole or as a stream of server-sent events; who hangs up stops the work."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from ftbuild.local.asking import ChatRequest, CompletionRequest
from ftbuild.local.exchange import Exchange
from ftbuild.local.exchanges import prepare
from ftbuild.local.hub import Hub
from ftbuild.local.protocol import ProtocolError

_GONE = 499  # nobody reads it


def routes(hub: Hub) -> APIRouter:
    """Return the routes of this module."""
    router, answers = APIRouter(), hub.answers

    async def answer(http: Request, request: CompletionRequest | ChatRequest) -> Response:
        exchange = await prepare(hub.state, answers, request)
        if request.stream:
            return StreamingResponse(
                _events(hub, exchange), media_type="text/event-stream", headers={"cache-control": "no-cache"}
            )
        work = asyncio.ensure_future(answers.complete(exchange.loaded, exchange.wanted))
        gone = asyncio.ensure_future(_hung_up(http))
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                return Response(status_code=_GONE)
            return JSONResponse(exchange.whole(work.result()))
        finally:
            for task in (work, gone):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await task

    @router.post("/v1/completions")
    async def completions(http: Request, request: CompletionRequest) -> Response:
        """Continue one prompt or several."""
        return await answer(http, request)

    @router.post("/v1/chat/completions")
    async def chat(http: Request, request: ChatRequest) -> Response:
        """Answer a conversation."""
        return await answer(http, request)

    @router.post("/v1/embeddings")
    async def embeddings() -> Response:
        """Say that there are none."""
        message = "Embeddings are not available here: the models of this server write text."
        raise ProtocolError(404, message, code="unsupported_endpoint")

    return router


async def _events(hub: Hub, exchange: Exchange) -> AsyncIterator[str]:
    """Yield a response's chunks as server-sent events; an error that comes too late for a status is one of them."""
    pieces = hub.answers.ask(exchange.loaded, exchange.wanted)
    async with contextlib.aclosing(pieces):
        try:
            async for chunk in exchange.chunks(pieces):
                yield _event(chunk)
        except Exception as error:  # noqa: BLE001 - whatever it is, who reads must hear of it
            yield _event(ProtocolError(500, f"{type(error).__name__}: {error}").envelope)
            return
        yield "data: [DONE]\n\n"


def _event(data: dict[str, Any]) -> str:
    return f"data: {json.dumps(data, separators=(',', ':'))}\n\n"


async def _hung_up(http: Request) -> None:
    """Return when the client is gone."""
    while (await http.receive())["type"] != "http.disconnect":
        pass
