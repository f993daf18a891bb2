"""The training row, and the question as the model is asked it later: one place for both.

In: a pair, or a question with what is known of its place.  Out: a row in the provider's format, or a request body.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ftbuild.errors import ConfigError
from ftbuild.prompts import Prompts

if TYPE_CHECKING:
    from ftbuild.recipe import Format


class Formatter:
    """Lays out rows and questions as a recipe's `format` says."""

    def __init__(self, format: Format, values: Mapping[str, Any]) -> None:
        self.format = format
        self._values = values
        self._prompts = Prompts()

    def row(self, question: str, answer: str, path: tuple[str, ...] = (), title: str = "") -> dict[str, Any]:
        """Return a training row.  ConfigError if the separator or the stop token occurs inside the text."""
        told = self._told(question, path, title)
        self._check(question, answer, told)
        if self.format.kind == "completion":
            return {"prompt": told + self.format.separator, "completion": answer + self.format.stop}
        return {
            "messages": [
                *self._system(path, title),
                {"role": "user", "content": told},
                {"role": "assistant", "content": answer},
            ]
        }

    def body(self, question: str, path: tuple[str, ...] = (), title: str = "") -> dict[str, Any]:
        """Return the part of a request that asks the question, for `/completions` or `/chat/completions`."""
        told = self._told(question, path, title)
        if self.format.kind == "completion":
            return {"prompt": told + self.format.separator, "stop": [self.format.stop]}
        return {"messages": [*self._system(path, title), {"role": "user", "content": told}]}

    def _told(self, question: str, path: tuple[str, ...], title: str) -> str:
        return self._prompts.inline("format.prompt", self.format.prompt, {**self._place(path, title), "question": question})

    def _system(self, path: tuple[str, ...], title: str) -> list[dict[str, str]]:
        if not self.format.system:
            return []
        text = self._prompts.inline("format.system", self.format.system, self._place(path, title))
        return [{"role": "system", "content": text}]

    def _place(self, path: tuple[str, ...], title: str) -> dict[str, Any]:
        """Return the values that say where a question belongs; `format.asked` fills in for one that does not say."""
        place = {"section": path[0], "subsection": path[-1]} if path else dict(self.format.asked)
        values = {"title": "", **self._values, **({"title": title} if title else {})}
        return {**values, "path": " / ".join(path), "section": "", "subsection": "", **place}

    def _check(self, question: str, answer: str, told: str) -> None:
        if self.format.kind != "completion":
            return
        separator, stop = self.format.separator.strip(), self.format.stop.strip()
        if separator and separator in told:
            raise ConfigError(
                f"format.separator: {separator!r} occurs inside a prompt: {question[:80]!r}",
                hint="choose a separator that the text does not hold",
            )
        if stop and (stop in answer or stop in told):
            raise ConfigError(
                f"format.stop: {stop!r} occurs inside a row: {question[:60]!r} → {answer[:60]!r}",
                hint="choose a stop token that the text does not hold",
            )
