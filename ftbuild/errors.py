"""Every error that ftbuild raises on purpose, and the exit code each one ends a run with.

    FtbuildError            1   a stage failed
    ├── ConfigError         2   the recipe, an override or the command line is wrong; nothing was started
    ├── SourceError         3   a document or a provider could not be reached or read
    ├── BudgetError         4   going on would cost more than the recipe allows
    │   └── Reserved        4   it may fit when what is under way has been settled
    ├── LockTimeout         5   another process held the same work for too long
    └── Interrupted       130   Ctrl-C; the same command goes on where this one stopped

A message says what is wrong in one line; the hint says what to do about it.  No message ever holds a key or a token.
"""

from __future__ import annotations

from typing import ClassVar


class FtbuildError(Exception):
    """A stage failed in a way that ftbuild understands."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ConfigError(FtbuildError):
    """The recipe or the command line is wrong.  `problems` holds one line for each thing to mend."""

    exit_code = 2

    def __init__(self, *problems: str, hint: str = "") -> None:
        super().__init__("\n".join(problems), hint=hint)
        self.problems = problems


class SourceError(FtbuildError):
    """A document or a provider could not be reached, or what came back could not be read."""

    exit_code = 3


class BudgetError(FtbuildError):
    """The next step would pass a limit that the recipe sets."""

    exit_code = 4


class Reserved(BudgetError):
    """The next step may fit once it is known what the requests under way have cost: they are reckoned at their worst."""


class LockTimeout(FtbuildError):
    """Another process held the lock on the same work for longer than this one may wait."""

    exit_code = 5


class Interrupted(FtbuildError):
    """The user pressed Ctrl-C; what was finished is kept."""

    exit_code = 130


class Unwanted(Exception):
    """Raised by a cleaning rule for a document that the recipe does not want; the message says why.  It ends nothing."""
