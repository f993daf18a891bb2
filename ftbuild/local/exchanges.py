"""From a checked request to its model and the exchange with it, for the routes and for batches alike."""

from __future__ import annotations

from ftbuild.local.answers import Answers
from ftbuild.local.asking import ChatRequest, CompletionRequest
from ftbuild.local.chatting import Chatting
from ftbuild.local.completing import Completing
from ftbuild.local.exchange import Exchange
from ftbuild.local.library import Loaded
from ftbuild.local.models import UnknownModel
from ftbuild.local.protocol import ProtocolError
from ftbuild.local.state import State

REQUESTS: dict[str, type[CompletionRequest | ChatRequest]] = {
    "/v1/completions": CompletionRequest,
    "/v1/chat/completions": ChatRequest,
}


async def prepare(state: State, answers: Answers, request: CompletionRequest | ChatRequest) -> Exchange:
    """Load a request's model and prepare the exchange; ProtocolError if either cannot be."""
    loaded = await _loaded(state, answers, request.model)
    if isinstance(request, ChatRequest):
        return await answers.apart(lambda: Chatting(request, loaded))
    return await answers.apart(lambda: Completing(request, loaded))


async def _loaded(state: State, answers: Answers, name: str) -> Loaded:
    try:
        return await answers.load(name, state.tuned_folder(name))
    except (UnknownModel, OSError, ValueError) as error:
        text = (str(error).splitlines() or [type(error).__name__])[0]
        message = f"The model {name!r} does not exist: {text}"
        raise ProtocolError(404, message, param="model", code="model_not_found") from error
