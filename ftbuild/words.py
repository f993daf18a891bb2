"""Words of the command line that are neither a verb nor an override, for the verbs that take some and those that take none."""

from __future__ import annotations

from collections.abc import Sequence

from ftbuild.errors import ConfigError


def none(words: Sequence[str]) -> None:
    """Refuse words where there should be none."""
    if words:
        raise ConfigError(
            f"{words[0]!r} is neither an override nor a verb", hint="overrides look like key=value, a verb stands first"
        )


def exactly(words: Sequence[str], count: int, usage: str) -> Sequence[str]:
    """Return the words if there are as many as there should be."""
    if len(words) != count:
        raise ConfigError(f"{count} {'name is' if count == 1 else 'names are'} wanted here, not {len(words)}", hint=usage)
    return words
