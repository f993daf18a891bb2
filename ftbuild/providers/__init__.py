"""Providers: who answers and who trains, one module a provider.

Each kind that a recipe may name is registered twice: in `PROVIDERS` as `(provider, state, console) -> context manager of
Connection`, which is all that asking needs, and in `TRAINERS` as an adapter with the methods of `training.Training`.
`protocol` is the OpenAI protocol itself; the other adapters say only where theirs differs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ftbuild.providers import protocol
from ftbuild.providers.connecting import Connection
from ftbuild.providers.embedded import (
    chosen_hyperparameters,
    forget_model,
    serve,
    tokenizer,
    tuned_models,
    weights_of,
)
from ftbuild.registries import PROVIDERS

if TYPE_CHECKING:
    from ftbuild.recipe import Provider


def answering(provider: Provider, model: str) -> dict[str, str]:
    """Return who answers when a model is asked: its answers depend on this, and so do models that are tuned from it.

    At an address of one's own, a model's name says nothing without the address, and a deployment's nothing without both.
    """
    who = {"provider": provider.kind if provider.base_url is None else f"{provider.kind} at {provider.base_url}"}
    if model in provider.deployments:
        who["deployment"] = provider.deployments[model]
    return {**who, **PROVIDERS.depends(provider.kind, model)}


__all__ = [
    "Connection",
    "answering",
    "chosen_hyperparameters",
    "forget_model",
    "protocol",
    "serve",
    "tokenizer",
    "tuned_models",
    "weights_of",
]
