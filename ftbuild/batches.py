"""Batches of requests at a provider, each submitted once, whatever happens to the process that submits them.

In: requests.  Out: batches that are under way or have ended, and what became of each of their lines.  What is about to be
submitted is written down first (`batches/NOTE.json`: the hashes of its requests), then the uploaded file, then the batch; a
batch whose answer was lost is found again by its input file, or by the note in its metadata.  When its results are kept, the
record goes, and so do its files at the provider.

Source: OpenAI's guide to the Batch API and its API reference.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ftbuild.console import seconds
from ftbuild.digest import digest
from ftbuild.errors import ConfigError, FtbuildError, SourceError
from ftbuild.store import Store, read_json, write_json

if TYPE_CHECKING:
    import openai
    from openai.types import Batch

    from ftbuild.console import Console
    from ftbuild.recipe import Provider
    from ftbuild.teacher import Request

ENDPOINTS = {"chat": "/v1/chat/completions", "completion": "/v1/completions"}
FINAL = frozenset({"completed", "failed", "expired", "cancelled"})
CROWDED = "token_limit_exceeded"
"""How a batch fails that does not fit beside those that are under way."""

_FOLDER = "batches"
_NOTE = "ftbuild"
_LOOKED_THROUGH = 500  # batches, the newest first, among which one is looked for whose answer was lost
_PAUSES = (1.0, 2.0, 4.0, 8.0)  # seconds between attempts at creating a batch
_LOST = 600.0  # seconds without an answer after which a provider counts as gone; the batches go on there
_MEGABYTE = 1_000_000
_MOST_TOLD = 3

T = TypeVar("T")


@dataclass(frozen=True)
class Submitted:
    """A batch as it is written down: its note, the hashes of its requests, and what is known of it at the provider."""

    note: str
    who: str
    endpoint: str
    model: str
    requests: tuple[str, ...]
    since: int
    file: str = ""
    batch: str = ""


@dataclass(frozen=True)
class Line:
    """What became of one request: the body of the reply, or its status and error."""

    id: str
    body: Mapping[str, Any] = field(default_factory=dict)
    status: int = 0
    error: str = ""
    code: str = ""


class Batches:
    """The batches at one provider, under one account."""

    def __init__(self, client: openai.OpenAI, provider: Provider, store: Store, console: Console) -> None:
        self._client, self._provider, self._store, self._console = client, provider, store, console
        self.who = _who(provider)
        self._folder = store.root / _FOLDER

    def note(self, text: str) -> None:
        """Say what the user may want to know."""
        self._console.note(text)

    # ---- those that there are ----

    def recorded(self) -> Iterator[Submitted]:
        """Yield the batches that are written down, the oldest first."""
        return recorded(self._store, self._provider)

    def attached(self, wanted: Iterable[str]) -> list[Submitted]:
        """Return the batches that hold some of these requests, looking for those whose answer was lost."""
        wanted, found = set(wanted), []
        for one in self.recorded():
            if wanted.isdisjoint(one.requests):
                continue
            whole = one if one.batch else self._lost(one)
            if whole is None:
                self._console.note(f"batch {one.note} was never begun; its requests go into another one")
                self.forget(one)
                continue
            if whole != one:
                self._write(whole)
            self._console.note(f"going on with batch {whole.batch} ({len(whole.requests):,} requests)")
            found.append(whole)
        return found

    def _lost(self, one: Submitted) -> Submitted | None:
        """Look for a batch that was asked for, but whose id never arrived."""
        if not one.file:
            self._drop_upload(one.note)
            return None
        listed = self._patiently(lambda: list(islice(self._client.batches.list(limit=100), _LOOKED_THROUGH)))
        for batch in listed:
            noted = (getattr(batch, "metadata", None) or {}).get(_NOTE)
            if noted == one.note or batch.input_file_id == one.file:
                return replace(one, batch=batch.id)
        return None

    def _drop_upload(self, note: str) -> None:
        """Remove a file that was uploaded, but whose id never arrived."""
        import openai

        with contextlib.suppress(openai.APIError):
            for file in islice(self._client.files.list(purpose="batch"), _LOOKED_THROUGH):
                if file.filename == _filename(note):
                    self._client.files.delete(file.id)

    # ---- another one ----

    def split(self, requests: Iterable[Request]) -> Iterator[list[Request]]:
        """Yield requests in portions that make a batch each: of one model and endpoint, not too many, not too large.

        ConfigError for a request that is larger than a batch may be.
        """
        limits = self._provider.batch
        portions: dict[tuple[str, str], list[Request]] = {}
        sizes: dict[tuple[str, str], int] = {}
        for request in requests:
            kind, size = (request.endpoint, str(request.body["model"])), len(_line(request))
            if size > limits.megabytes * _MEGABYTE:
                raise ConfigError(
                    f"a request of {size / _MEGABYTE:.1f} MB is larger than a batch may be (provider.batch.megabytes)",
                    hint="let the template see a smaller unit of text, or ask with teacher.mode=live",
                )
            portion = portions.setdefault(kind, [])
            if portion and (len(portion) >= limits.requests or sizes[kind] + size > limits.megabytes * _MEGABYTE):
                yield portion
                portion = portions[kind] = []
            sizes[kind] = size + (sizes.get(kind, 0) if portion else 0)
            portion.append(request)
        yield from (portion for portion in portions.values() if portion)

    def submit(self, portion: Sequence[Request]) -> Submitted:
        """Submit requests as a batch, once.  What the provider refuses is a FtbuildError, and is not written down."""
        import openai

        kind, model = portion[0].endpoint, str(portion[0].body["model"])
        one = Submitted(secrets.token_hex(12), self.who, kind, model, tuple(r.id for r in portion), int(time.time()))
        content = b"".join(map(_line, portion))
        self._write(one)
        try:
            uploaded = self._patiently(lambda: self._client.files.create(file=(_filename(one.note), content), purpose="batch"))
            one = replace(one, file=uploaded.id)
            self._write(one)
            one = self._created(one)
        except openai.APIStatusError as error:
            if not isinstance(error, openai.InternalServerError):
                self.forget(one)  # it was refused, so there is none to look for
            raise self._refused(error) from error
        self._write(one)
        told = f"{len(portion):,} requests, {len(content) / _MEGABYTE:.1f} MB"
        self._console.note(f"batch {one.batch}: {told}; Ctrl-C leaves it to the provider, the same command comes back to it")
        return one

    def _created(self, one: Submitted) -> Submitted:
        """Create a batch.  After a request whose fate is not known, look whether there is one before there is another."""
        import openai

        client: Any = self._client.with_options(max_retries=0)
        asked = {"input_file_id": one.file, "endpoint": ENDPOINTS[one.endpoint], "completion_window": "24h"}
        for pause in (*_PAUSES[: self._provider.retries], None):
            try:
                try:
                    batch = client.batches.create(**asked, metadata={_NOTE: one.note})
                except openai.BadRequestError as error:
                    if "metadata" not in str(error):
                        raise
                    batch = client.batches.create(**asked)  # not everybody knows metadata
                return replace(one, batch=batch.id)
            except (openai.APIConnectionError, openai.InternalServerError, openai.RateLimitError) as error:
                if pause is None or getattr(error, "code", None) == "insufficient_quota":
                    if isinstance(error, openai.APIStatusError):
                        raise
                    raise self._unreachable(error) from error
                time.sleep(pause)
                with contextlib.suppress(FtbuildError):
                    if found := self._lost(one):
                        return found
        raise AssertionError

    # ---- how they go on, and what they bring ----

    def look(self, one: Submitted) -> Batch | None:
        """Return a batch as it stands, or None if the provider does not know it any more."""
        import openai

        try:
            return self._patiently(lambda: self._client.batches.retrieve(one.batch))
        except openai.NotFoundError:
            return None
        except openai.APIStatusError as error:
            raise self._refused(error) from error

    def cancel(self, one: Submitted) -> None:
        """Have a batch end with what was answered so far."""
        import openai

        with contextlib.suppress(openai.APIError):
            self._client.batches.cancel(one.batch)

    def results(self, batch: Batch) -> Iterator[Line]:
        """Yield what became of the lines of a batch that has ended, good ones first; expired ones have some, too."""
        import openai

        for file in (batch.output_file_id, batch.error_file_id):
            if file:
                try:
                    content = self._patiently(lambda id_=file: self._client.files.content(id_).read())  # type: ignore[misc]
                except openai.APIStatusError as error:
                    self._console.warn(f"the results of batch {batch.id} cannot be read: {str(error).splitlines()[0]}")
                    continue
                yield from _lines(content)

    def clean_up(self, one: Submitted, batch: Batch | None) -> None:
        """Forget a batch whose results are kept, and remove its files at the provider, if that lets itself be told."""
        files = (batch.output_file_id, batch.error_file_id) if batch else ()
        self.forget(one, *(file for file in files if file))

    def forget(self, one: Submitted, *files: str) -> None:
        """Remove the record of a batch, its input file, and other files of it at the provider."""
        import openai

        self._path(one).unlink(missing_ok=True)
        for file in filter(None, (one.file, *files)):
            with contextlib.suppress(openai.APIError):
                self._client.files.delete(file)

    def known(self, one: Submitted) -> bool:
        """Say whether a batch is still written down: whoever took its results has forgotten it."""
        return self._path(one).is_file()

    def _write(self, one: Submitted) -> None:
        try:
            write_json(self._path(one), one.__dict__)
        except OSError as error:
            raise FtbuildError(f"cannot write to the store {self._store.root}: {error.strerror}") from error

    def _path(self, one: Submitted) -> Path:
        return self._folder / f"{one.note}.json"

    def _patiently(self, call: Callable[[], T]) -> T:
        """Make a call that changes nothing if it is made twice, through minutes without a connection."""
        import openai

        since = time.monotonic()
        while True:
            try:
                return call()
            except (openai.APIConnectionError, openai.InternalServerError, openai.RateLimitError) as error:
                gone = time.monotonic() - since > _LOST or self._provider.kind == "local" or not self._provider.retries
                if gone or getattr(error, "code", None) == "insufficient_quota":
                    if isinstance(error, openai.APIStatusError):
                        raise self._refused(error) from error
                    raise self._unreachable(error) from error
                self._console.note(f"lost the connection {seconds(time.monotonic() - since)} ago; trying again")
                time.sleep(5)

    def _unreachable(self, error: openai.APIConnectionError) -> SourceError:
        cause = error.__cause__ or error
        return SourceError(
            f"{self._client.base_url}: cannot be reached: {cause}", hint="the same command goes on where this one stopped"
        )

    def _refused(self, error: openai.APIStatusError) -> FtbuildError:
        body = error.body if isinstance(error.body, dict) else {}
        message = str(body.get("message") or error.message).splitlines()[0]
        text = f"{self._client.base_url}: the batch was refused: HTTP {error.status_code}: {message}"
        if error.status_code in (401, 403):
            return ConfigError(text, hint="may this key use the Batch API? teacher.mode=live asks without it")
        if error.status_code in (404, 405):
            return ConfigError(text, hint="does this provider have a Batch API? teacher.mode=live asks without it")
        if error.code == "insufficient_quota":
            return SourceError(text, hint="the account has no credit left; what was answered so far is kept")
        return SourceError(text)


def recorded(store: Store, provider: Provider) -> Iterator[Submitted]:
    """Yield the batches at a provider that are written down, the oldest first."""
    told = (read_json(file) for file in (store.root / _FOLDER).glob("*.json"))
    own = [t for t in told if isinstance(t, dict) and t.get("who") == _who(provider)]
    yield from (Submitted(**{**t, "requests": tuple(t["requests"])}) for t in sorted(own, key=lambda t: t["since"]))


def _who(provider: Provider) -> str:
    return digest(["batches", provider.kind, provider.base_url, provider.api_key_env])[:16]


def failure(batch: Batch) -> str:
    """Return why a batch failed its validation, in a line."""
    told = (batch.errors.data if batch.errors else None) or []
    shown = [
        (f"line {e.line}: " if getattr(e, "line", None) else "") + f"{e.message or e.code or 'no reason was given'}"
        for e in told[:_MOST_TOLD]
    ]
    more = f"; and {len(told) - _MOST_TOLD} more" if len(told) > _MOST_TOLD else ""
    return "; ".join(shown) + more if shown else "the provider gives no reason"


def crowded(batch: Batch) -> bool:
    """Say whether a batch failed only because too much is under way already."""
    told = (batch.errors.data if batch.errors else None) or []
    return batch.status == "failed" and any(e.code == CROWDED for e in told)


def _filename(note: str) -> str:
    return f"ftbuild-{note}.jsonl"


def _line(request: Request) -> bytes:
    told = {"custom_id": request.id, "method": "POST", "url": ENDPOINTS[request.endpoint], "body": request.body}
    return json.dumps(told, ensure_ascii=False).encode() + b"\n"


def _lines(content: bytes) -> Iterator[Line]:
    for raw in content.split(b"\n"):
        if not raw.strip():
            continue
        try:
            told = json.loads(raw)
            response, error = told.get("response") or {}, told.get("error") or {}
            body, status = response.get("body") or {}, int(response.get("status_code") or 0)
            id_ = str(told["custom_id"])
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # a line that cannot be read is one that was not answered
        inner = body.get("error") if isinstance(body, dict) else None
        error = error or (inner if isinstance(inner, dict) else {})
        if status == 200 and not error:  # noqa: PLR2004 - what HTTP calls good
            yield Line(id_, body, status)
        else:
            message = str(error.get("message") or error.get("code") or "no reason was given").splitlines()[0]
            yield Line(id_, {}, status, f"HTTP {status}: {message}" if status else message, str(error.get("code") or ""))
