"""What the stages of one build share: connections to providers, opened when first used, and the replies already paid for."""

from __future__ import annotations

import contextlib
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

from ftbuild.digest import digest
from ftbuild.errors import SourceError
from ftbuild.options import Options
from ftbuild.registries import PROVIDERS, TRAINERS
from ftbuild.replies import Replies
from ftbuild.store import Store
from ftbuild.teacher import Teacher

if TYPE_CHECKING:
    import httpx2
    import openai

    from ftbuild.console import Console
    from ftbuild.providers import Connection
    from ftbuild.providers.training import Training
    from ftbuild.recipe import Provider, Trainer


class Services:
    """Opens connections on demand and closes them all at the end of the build, however it ends."""

    def __init__(self, store: Store, console: Console, options: Options | None = None) -> None:
        self.store = store
        self.options = options or Options()
        self._console = console
        self._stack = contextlib.ExitStack()
        self._open: dict[str, Connection] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def teacher(self, provider: Provider, *, attempts: int) -> Teacher:
        """Return somebody to ask many things at once; what was answered before, in any build, is not asked again."""
        patience = self.options.lock_timeout
        return Teacher(lambda: self.async_client(provider), provider, Replies(self.store), attempts=attempts, patience=patience)

    def client(self, provider: Provider) -> openai.OpenAI:
        """Return a client for a provider.  It retries what is worth retrying by itself."""
        import openai

        options = _options(provider, self._connection(provider))
        http = openai.DefaultHttpxClient(event_hooks={"response": [_no_credit]})
        return self._stack.enter_context(openai.OpenAI(**options, http_client=http))

    def async_client(self, provider: Provider) -> openai.AsyncOpenAI:
        """Return an asynchronous client for a provider; the caller closes it."""
        import openai

        options = _options(provider, self._connection(provider))
        http = openai.DefaultAsyncHttpxClient(event_hooks={"response": [_no_credit_async]})
        return openai.AsyncOpenAI(**options, http_client=http)

    def training(self, trainer: Trainer) -> Training:
        """Return how to train at a provider."""
        return cast(
            "Training", TRAINERS[trainer.provider.kind](self.client(trainer.provider), trainer.provider, trainer.poll_seconds)
        )

    def _connection(self, provider: Provider) -> Connection:
        if self.options.offline:
            raise SourceError(
                f"offline=true: this build would have to ask {provider.base_url or provider.kind}",
                hint="ftbuild plan … says what for; without offline=true it is asked",
            )
        name = digest([provider.kind, provider.base_url, provider.api_key_env])
        if name not in self._open:
            opening = PROVIDERS[provider.kind](provider, self.store.root / "local", self._console)
            self._open[name] = self._stack.enter_context(opening)
        return self._open[name]


def _options(provider: Provider, connection: Connection) -> dict[str, Any]:
    return {
        "base_url": connection.base_url,
        "api_key": connection.api_key,
        "timeout": provider.timeout,
        "max_retries": provider.retries,
        "default_headers": dict(connection.headers),
    }


def _no_credit(response: httpx2.Response) -> None:
    """Keep the client from trying again where no credit is left; it takes such a 429 for one that passes."""
    if response.status_code == 429:  # noqa: PLR2004
        response.read()
        _give_up(response)


async def _no_credit_async(response: httpx2.Response) -> None:
    if response.status_code == 429:  # noqa: PLR2004
        await response.aread()
        _give_up(response)


def _give_up(response: httpx2.Response) -> None:
    if b"insufficient_quota" in response.content:
        response.headers["x-should-retry"] = "false"
