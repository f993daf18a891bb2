"""`/v1/completions` and `/v1/chat/completions`."""

from __future__ import annotations

import time
from typing import Any

from fastapi import APIRouter

from ftbuild.local import models
from ftbuild.local.engine import Made, Wanted
from ftbuild.local.hub import Hub
from ftbuild.local.protocol import ChatRequest, CompletionRequest, ProtocolError, Sampling
from ftbuild.local.state import new_id


def routes(hub: Hub) -> APIRouter:
    """Return the routes of this module."""
    router, state, answers = APIRouter(), hub.state, hub.answers

    async def loaded(name: str) -> models.Loaded:
        folder = state.tuned_folder(name)
        try:
            return await answers.load(name, folder)
        except (models.UnknownModel, OSError) as error:
            text = str(error).splitlines()[0]
            raise ProtocolError(
                404, f"The model {name!r} does not exist: {text}", param="model", code="model_not_found"
            ) from error

    def wanted(request: Sampling, tokens: list[int], most: int, model: models.Loaded) -> list[Wanted]:
        if request.stream:
            raise ProtocolError(400, "stream is not supported by this server", param="stream", code="unsupported_parameter")
        room = model.model.config.max_position_embeddings - len(tokens)
        if room < 1 or not tokens:
            message = f"The prompt has {len(tokens)} tokens; this model takes 1 to {model.model.config.max_position_embeddings}"
            raise ProtocolError(400, message, param="prompt", code="context_length_exceeded")
        temperature = 1.0 if request.temperature is None else request.temperature
        return [
            Wanted(
                tuple(tokens), min(most, room), temperature, request.top_p or 1.0, request.stops(),
                None if request.seed is None else request.seed + n,
            )
            for n in range(request.n or 1)
        ]  # fmt: skip

    def usage(prompts: list[list[int]], made: list[Made]) -> dict[str, int]:
        given, told = sum(map(len, prompts)), sum(len(m.tokens) for m in made)
        return {"prompt_tokens": given, "completion_tokens": told, "total_tokens": given + told}

    @router.post("/v1/completions")
    async def completions(request: CompletionRequest) -> dict[str, Any]:
        """Continue one prompt or several."""
        model = await loaded(request.model)
        given = request.prompt if isinstance(request.prompt, list) else [request.prompt]
        if given and isinstance(given[0], int):
            given = [given]
        prompts = [p if isinstance(p, list) else model.tokenizer(p, add_special_tokens=False)["input_ids"] for p in given]
        most = request.max_tokens or 16
        asked = [w for tokens in prompts for w in wanted(request, tokens, most, model)]
        made = await answers.complete(request.model, asked)
        choices = [{"index": n, "text": m.text, "finish_reason": m.finish, "logprobs": None} for n, m in enumerate(made)]
        return {
            "id": new_id("cmpl"),
            "object": "text_completion",
            "created": int(time.time()),
            "model": request.model,
            "choices": choices,
            "usage": usage(prompts, made),
        }

    @router.post("/v1/chat/completions")
    async def chat(request: ChatRequest) -> dict[str, Any]:
        """Answer a conversation."""
        model = await loaded(request.model)
        turns = [{"role": m.role, "content": m.text()} for m in request.messages]
        text = model.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        tokens = model.tokenizer(text, add_special_tokens=False)["input_ids"]
        most = request.max_completion_tokens or request.max_tokens or 1024
        made = await answers.complete(request.model, wanted(request, tokens, most, model))
        choices = [
            {
                "index": n,
                "message": {"role": "assistant", "content": m.text, "refusal": None},
                "finish_reason": m.finish,
                "logprobs": None,
            }
            for n, m in enumerate(made)
        ]
        return {
            "id": new_id("chatcmpl"),
            "object": "chat.completion",
            "created": int(time.time()),
            "model": request.model,
            "choices": choices,
            "usage": usage([tokens], made),
        }

    return router
