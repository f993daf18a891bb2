"""The embedded provider: its connection, its server, and the models that it has tuned.

The rest of the package reaches `ftbuild.local` through this module alone.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from ftbuild.errors import ConfigError
from ftbuild.local.identity import depends, origin
from ftbuild.providers.connecting import Connection, openai
from ftbuild.registries import PROVIDERS

if TYPE_CHECKING:
    from ftbuild.console import Console
    from ftbuild.local.tokenizing import Light
    from ftbuild.recipe import Provider


def tokenizer(provider: Provider, model: str, state: Path | None = None) -> Light | None:
    """Return the tokenizer of a model that the embedded provider runs, without loading the model; None if it is not at hand.

    `state` is the folder of the embedded provider's state.
    """
    if provider.kind != "local":
        return None
    from ftbuild.local.tokenizing import light

    return light(model, state)


def weights_of(provider: Provider, model: str) -> str:
    """Return where anybody finds the weights of a model: a folder, or an id of the Hugging Face hub; nothing if nobody does."""
    if provider.kind == "local":
        return origin(model)
    return model if model.count("/") == 1 and not model.startswith(("/", "ft:")) else ""


def chosen_hyperparameters(given: Mapping[str, Any], *, rows: int) -> dict[str, Any]:
    """Return hyperparameters as the embedded trainer would take them: real numbers for what is left to it.

    `given` are by the names of the protocol, the result by those of training.  ConfigError for a wrong value.
    """
    from ftbuild.local.hyperparameters import checked, resolved
    from ftbuild.local.protocol import ProtocolError

    try:
        return resolved(checked(given, "train"), "supervised", max(1, rows))
    except ProtocolError as error:
        raise ConfigError(str(error)) from error


def tuned_models(state: Path) -> list[tuple[str, Path]]:
    """Return the models that the embedded provider has tuned, with the folders that their jobs left."""
    from ftbuild.local.housekeeping import tuned_models

    return tuned_models(state)


def forget_model(state: Path, model: str) -> None:
    """Remove a model that the embedded provider has tuned, with its job's folder."""
    from ftbuild.local.housekeeping import forget_model

    forget_model(state, model)


def serve(
    state: Path, listening: socket.socket, key: str, welcome: Callable[[str], None], *, threads: int, memory: int, log: str
) -> NoReturn:
    """Become the embedded provider's server, on a socket that listens.  `welcome` is told the bundled model, and says hello."""
    from ftbuild.local.launch import become

    become(state, listening, key, welcome, threads=threads, memory=memory, log=log)


@PROVIDERS("local", depends=depends)
@contextlib.contextmanager
def local(provider: Provider, state: Path, console: Console) -> Iterator[Connection]:
    """Connect to the embedded server, which is started when it is first needed and stopped with the build."""
    from ftbuild.local.launch import running

    if provider.base_url:  # somebody keeps one running with `ftbuild serve`
        with openai(provider, state, console) as connection:
            yield connection
        return
    with contextlib.ExitStack() as stack:
        with console.step("starting the embedded model server"):
            server = stack.enter_context(running(state))
        yield Connection(server.base_url, server.api_key)
