"""What a source may use while its documents are fetched: where pages are kept, the revisions that it is held to, whom to tell.

The stage `fetch` says so for one source after the other; a source that is called by itself has none of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path


def _nothing(_: str) -> None:
    pass


def _no_bar(done: float, total: float, **facts: str) -> None:
    pass


@dataclass
class Fetching:
    """The surroundings of one source.

    `folder` is where it may keep what it fetched; `locked` maps titles to the revisions that the lock file names, and is None
    unless the build is held to it; `skipped` counts what was left out, by reason.
    """

    folder: Path | None = None
    locked: Mapping[str, str] | None = None
    bar: Callable[..., None] = _no_bar
    note: Callable[[str], None] = _nothing
    warn: Callable[[str], None] = _nothing
    skipped: Counter[str] = field(default_factory=Counter)


_NOW: ContextVar[Fetching | None] = ContextVar("fetching", default=None)


def surroundings() -> Fetching:
    """Return what the source that is being read just now may use."""
    return _NOW.get() or Fetching()


@contextmanager
def fetching(now: Fetching) -> Iterator[Fetching]:
    """Let a source find its surroundings while this lasts."""
    token = _NOW.set(now)
    try:
        yield now
    finally:
        _NOW.reset(token)
