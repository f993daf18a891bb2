"""Talking to a tuned model, in the words of its own training rows."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from ftbuild.asking import Asker
from ftbuild.deploying import ready
from ftbuild.errors import ConfigError, FtbuildError, SourceError
from ftbuild.services import Services

if TYPE_CHECKING:
    import openai

    from ftbuild.console import Console
    from ftbuild.recipe import Recipe
    from ftbuild.store import Store


class Talk:
    """A conversation with one model; every question stands by itself."""

    def __init__(self, recipe: Recipe, store: Store, model: str, console: Console) -> None:
        self._recipe, self._console = recipe, console
        self._services = Services(store, console)
        self._asker = Asker(recipe, ready(self._services, recipe.trainer, model, console))

    def __enter__(self) -> Self:
        self._client = self._services.client(self._recipe.trainer.provider)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._services.__exit__(kind, error, trace)

    def ask(self, question: str) -> str:
        """Return the model's answer to one question.  FtbuildError if there is none to be had."""
        asked = self._asker.request(question)
        with self._console.step("thinking"), in_our_words(self._client):
            if asked.endpoint == "completion":
                done = self._client.completions.create(**asked.body)
                return str(done.choices[0].text).strip()
            chat = self._client.chat.completions.create(**asked.body)
            return str(chat.choices[0].message.content or "").strip()

    def converse(self, lines: TextIO) -> None:
        """Answer questions line by line, until an empty line or the end of the input."""
        if lines.isatty():
            self._console.note("ask away; an empty line ends the conversation")
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                if lines.isatty():
                    sys.stderr.write("> ")
                    sys.stderr.flush()
                question = lines.readline().strip()
                if not question:
                    return
                self._console.result(self.ask(question))


@contextlib.contextmanager
def in_our_words(client: openai.OpenAI) -> Iterator[None]:
    """Turn whatever goes wrong when a model is asked into a FtbuildError that says who was asked."""
    import openai

    try:
        yield
    except openai.APIConnectionError as error:
        raise SourceError(
            f"{client.base_url}: cannot be reached: {error.__cause__ or error}",
            hint="is the server running, and the address right?",
        ) from error
    except openai.APIStatusError as error:
        raise _status_error(client, error) from error
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise SourceError(
            f"{client.base_url}: what came back is no answer of a model",
            hint="is this the address of an API? most end in /v1",
        ) from error


def _status_error(client: openai.OpenAI, error: openai.APIStatusError) -> FtbuildError:
    where = f"{client.base_url}: HTTP {error.status_code}: {_message(error)}"
    if error.status_code in (401, 403):
        return ConfigError(where, hint="is the key in the environment variable the right one for this provider?")
    if error.status_code == 404:  # noqa: PLR2004
        return ConfigError(where, hint="does the provider have this model? set teacher.model")
    if error.code == "insufficient_quota":
        return SourceError(where, hint="the account has no credit left")
    return SourceError(where)


def _message(error: openai.APIStatusError) -> str:
    body = error.body
    message = body.get("message") if isinstance(body, dict) else None
    return str(message or error.message).splitlines()[0]
