"""The embedded provider: its connection, its server, and the models that it has tuned.

The rest of the package reaches `ftbuild.local` through this module alone.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from ftbuild.local.identity import depends
from ftbuild.providers.connecting import Connection, openai
from ftbuild.registries import PROVIDERS

if TYPE_CHECKING:
    from ftbuild.console import Console
    from ftbuild.recipe import Provider


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
