"""Regular expressions that a user wrote, each with a limit to the time that it may take.

An expression such as `(a+)+b` takes longer than anybody lives on a line of forty letters.  The package `regex` reads the same
expressions as Python's `re`, and stops where it is told to.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from ftbuild.errors import ConfigError, FtbuildError

SECONDS = 2.0
"""How long, in seconds of processor time, an expression may take for one text of up to a million characters."""

_FLAGS = "imsx"


class TooSlow(FtbuildError):
    """An expression took too long for a text."""


class Pattern:
    """An expression that a recipe gives.  `flags` are letters of `imsx`; ConfigError for one that cannot be read."""

    def __init__(self, pattern: str, flags: str = "", seconds: float = SECONDS) -> None:
        self.pattern, self.seconds = pattern, seconds
        self._compiled = _compiled(pattern, "".join(sorted(set(flags))))

    def sub(self, replace: str, text: str) -> str:
        """Return a text in which every match is replaced.  TooSlow if that takes too long."""
        try:
            return str(self._compiled.sub(replace, text, timeout=self._patience(text)))
        except TimeoutError:
            raise self._slow() from None
        except (ValueError, IndexError, _error()) as error:
            raise ConfigError(f"the expression {self.pattern!r} does not work: {error}") from error

    def fullmatch(self, text: str) -> Any:
        """Return the match of a whole text, or None.  TooSlow if that takes too long."""
        try:
            return self._compiled.fullmatch(text, timeout=self._patience(text))
        except TimeoutError:
            raise self._slow() from None

    def _patience(self, text: str) -> float:
        return self.seconds * max(1.0, len(text) / 1_000_000)

    def _slow(self) -> TooSlow:
        return TooSlow(
            f"the expression {self.pattern!r} takes more than {self.seconds:g} s",
            hint="it tries too many ways to match: no repetition of what is repeated itself, such as (a+)+",
        )


def _error() -> type[Exception]:
    import regex

    return regex.error  # type: ignore[no-any-return]


@cache
def _compiled(pattern: str, flags: str) -> Any:
    import regex

    known = {"i": regex.IGNORECASE, "m": regex.MULTILINE, "s": regex.DOTALL, "x": regex.VERBOSE}
    if strange := set(flags) - set(_FLAGS):
        raise ConfigError(f"the expression {pattern!r} does not work: there is no flag {min(strange)!r}; flags are of imsx")
    try:
        return regex.compile(pattern, sum((known[f] for f in flags), regex.VERSION0))
    except regex.error as error:
        raise ConfigError(f"the expression {pattern!r} does not work: {error}") from error
