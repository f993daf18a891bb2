"""Where a provider answers and with which key: what asking and training have in common.

In: a provider as the recipe has it.  Out: a `Connection`; its key comes from the environment, and stays out of all that is
printed or kept.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ftbuild.errors import ConfigError
from ftbuild.registries import PROVIDERS

if TYPE_CHECKING:
    from ftbuild.console import Console
    from ftbuild.recipe import Provider


@dataclass(frozen=True)
class Connection:
    """Where to send requests, the key that goes with them, and headers of the provider's own.  Never printed, never stored."""

    base_url: str | None
    api_key: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Connection({self.base_url!r}, api_key=…)"


def secret(name: str, key: str, hint: str) -> str:
    """Return what an environment variable holds.  ConfigError, which names `key` of the recipe, if it cannot be a key."""
    if not name.isidentifier():
        raise ConfigError(
            f"{key}: this is not the name of an environment variable",
            hint=f"a key does not belong here: export MY_KEY=…, and write {key.rpartition('.')[2]}: MY_KEY",
        )
    value = os.environ.get(name, "").strip()
    if not value:
        raise ConfigError(f"{key}: the environment variable {name} is not set", hint=hint.format(name=name))
    if not (value.isascii() and value.isprintable()):
        raise ConfigError(f"{key}: the environment variable {name} holds what cannot be a key")
    return value


def key_of(provider: Provider) -> str:
    """Return a provider's key; `none` where it wants none."""
    hint = "export {name}=…, or choose another provider, such as provider=local"
    return secret(provider.api_key_env, "provider.api_key_env", hint) if provider.api_key_env else "none"


@PROVIDERS("openai")
@contextlib.contextmanager
def openai(provider: Provider, state: Path, console: Console) -> Iterator[Connection]:  # noqa: ARG001 - one signature for all
    """Connect to OpenAI itself, or to any server that speaks its protocol at `base_url`."""
    yield Connection(provider.base_url, key_of(provider))


for _name in (
    "nebius",
    "dashscope",
    "zhipu",
    "together",
    "fireworks",
):  # they differ in how they train, not in how they are asked
    PROVIDERS(_name)(openai)
