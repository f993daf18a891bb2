"""What the stages of one build share: connections to providers, opened when first used, and the replies already paid for."""

from __future__ import annotations

import contextlib
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

from ftbuild import __version__
from ftbuild.budget import Spending
from ftbuild.digest import digest
from ftbuild.errors import SourceError
from ftbuild.options import Options
from ftbuild.pace import Pace
from ftbuild.registries import PROVIDERS, TRAINERS
from ftbuild.replies import Replies
from ftbuild.store import Store
from ftbuild.teacher import Teacher
from ftbuild.wire import Address

if TYPE_CHECKING:
    import httpx2
    import openai

    from ftbuild.console import Console
    from ftbuild.exchange import Asks, Meter
    from ftbuild.providers import Connection
    from ftbuild.providers.training import Training
    from ftbuild.recipe import Provider, Trainer


class Services:
    """Opens connections on demand and closes them all at the end of the build, however it ends."""

    def __init__(
        self, store: Store, console: Console, options: Options | None = None, spending: Spending | None = None
    ) -> None:
        self.store = store
        self.spending = spending or Spending()
        self.options = options or Options()
        self._console = console
        self._stack = contextlib.ExitStack()
        self._open: dict[str, Connection] = {}
        self._paces: dict[str, Pace] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def teacher(self, provider: Provider, *, mode: str = "live", meter: Meter | None = None) -> Asks:
        """Return somebody to ask many things; what was answered before, in any build, is not asked again.

        `mode` is `live`, or `batch` for the provider's Batch API; `meter` stands in for the build's own.  Who is asked is not
        found out before something has to be sent.
        """
        live = self._live(provider, meter or self.spending.meter(provider))
        if mode != "batch" and not (self.store.root / "batches").is_dir():
            return live
        from ftbuild.batches import Batches, recorded

        if mode != "batch" and not any(recorded(self.store, provider)):
            return live
        from ftbuild.batching import BatchTeacher

        half = meter or self.spending.meter(provider, batch=True)
        open_ = lambda: Batches(self.client(provider), provider, self.store, self._console)  # noqa: E731
        return BatchTeacher(open_, live, provider, half, cancel=mode != "batch")

    def _live(self, provider: Provider, meter: Meter) -> Teacher:
        name = digest([_name(provider), provider.concurrency, provider.limits])
        if name not in self._paces:
            limits = provider.limits
            self._paces[name] = Pace(
                provider.concurrency,
                requests_per_minute=limits.requests_per_minute,
                tokens_per_minute=limits.tokens_per_minute,
            )
        return Teacher(
            lambda: self.address(provider),
            provider,
            Replies(self.store),
            self._paces[name],
            patience=self.options.lock_timeout,
            meter=meter,
            note=self._console.warn,
        )

    def address(self, provider: Provider) -> Address:
        """Return where a provider is asked, with the headers of the `openai` client but for those that name it."""
        import openai

        with openai.OpenAI(**_options(provider, self._connection(provider))) as client:
            headers = {k: v for k, v in {**client.default_headers, **client.auth_headers}.items() if isinstance(v, str)}
            headers = {k: v for k, v in headers.items() if not k.lower().startswith("x-stainless")}
            query = {k: str(v) for k, v in client.default_query.items()}
            return Address(str(client.base_url), {**headers, "User-Agent": f"ftbuild/{__version__}"}, query, provider.timeout)

    def client(self, provider: Provider) -> openai.OpenAI:
        """Return a client for a provider.  It retries what is worth retrying by itself."""
        import openai

        options = _options(provider, self._connection(provider))
        http = openai.DefaultHttpxClient(event_hooks={"response": [_no_credit]})
        return self._stack.enter_context(openai.OpenAI(**options, http_client=http))

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
        name = _name(provider)
        if name not in self._open:
            opening = PROVIDERS[provider.kind](provider, self.store.root / "local", self._console)
            self._open[name] = self._stack.enter_context(opening)
        return self._open[name]


def _name(provider: Provider) -> str:
    return digest([provider.kind, provider.base_url, provider.api_key_env])


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


def _give_up(response: httpx2.Response) -> None:
    if b"insufficient_quota" in response.content:
        response.headers["x-should-retry"] = "false"
