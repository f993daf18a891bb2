"""What checks speak of: a row, what is wrong with it, and what is known of the whole file before it is read.

    @CHECKS("duplicates")
    def duplicates(about: About) -> Watch:
        seen = {}

        def each(row: Row) -> Iterator[Problem]:
            if seen.setdefault(row.content, row.line) != row.line:
                yield warning("the same row as before", row)

        return Watch(each)

A check is asked once a file for a `Watch`, which is shown row after row, and then asked what it says of the whole.  Where a
check knows how to put things right, and nothing can go wrong by that, its watch has a `mend`: it is given the row's data when
the file is gone through a second time, and returns what is to stand there instead, or None to leave the row out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from ftbuild.tokens import Counter

Severity = Literal["error", "warning", "hint"]
Mend = Callable[["Row"], "Mapping[str, Any] | None"]

KINDS = ("completion", "chat", "preference")
_EXCERPT = 90


@dataclass
class Row:
    """One row: where it stands, its data, and what kind of row it is.

    `sound` says that its shape is right, `unlaid` why the model's own chat template does not take it.
    """

    line: int
    data: Any
    kind: str = ""
    sound: bool = False
    tokens: int = 0
    unlaid: str = ""

    @cached_property
    def content(self) -> bytes:
        """A digest of the row's data, to tell it from others."""
        import hashlib

        laid = json.dumps(self.data, ensure_ascii=False, sort_keys=True, default=str)
        return hashlib.blake2b(laid.encode("utf-8", "surrogatepass"), digest_size=16).digest()

    @property
    def prompt(self) -> str:
        """What is asked: the prompt, or what the last turn of the user says."""
        if self.kind == "completion":
            return str(self.data["prompt"])
        turns = self.turns if self.kind == "chat" else self.data["input"]["messages"]
        return next((said(t) for t in reversed(turns) if t["role"] == "user"), "")

    @property
    def answer(self) -> str:
        """What is to be learned: the completion, or the last turn of the assistant; of two answers the preferred one."""
        if self.kind == "completion":
            return str(self.data["completion"])
        turns = self.turns if self.kind == "chat" else self.data["preferred_output"]
        return next((said(t) for t in reversed(turns) if t["role"] == "assistant"), "")

    @property
    def turns(self) -> list[Mapping[str, Any]]:
        """The turns of a conversation; of a preference row what is asked and both answers."""
        if self.kind == "chat":
            return list(self.data["messages"])
        if self.kind == "preference":
            return [*self.data["input"]["messages"], *self.data["preferred_output"], *self.data["non_preferred_output"]]
        return []

    @property
    def excerpt(self) -> str:
        """The end of what is asked and the beginning of the answer, on one line; or the beginning of the data."""
        if self.sound:
            asked = self.prompt if len(self.prompt) <= _EXCERPT // 2 else "…" + self.prompt.rstrip()[-_EXCERPT // 2 :]
            return short(f"{asked} → {self.answer}")
        return short(self.data if isinstance(self.data, str) else json.dumps(self.data, ensure_ascii=False, default=str))


@dataclass(frozen=True)
class Problem:
    """Something that a check found.  Those with one message are one finding; `line` 0 is the file as a whole."""

    severity: Severity
    message: str
    line: int = 0
    excerpt: str = ""
    by_hand: str = ""
    """What a person is to do, where the check's `mend` does not put right this."""


@dataclass
class Watch:
    """What a check does with one file: what it says of each row, of the whole, and how it mends a row.

    `fix` says what mending does, or what a person would do where nothing can be mended.  `unsound` watches are shown rows whose
    shape is wrong, too, and mend before the others; those that are `late` mend after them.
    """

    each: Callable[[Row], Iterable[Problem] | None] | None = None
    end: Callable[[], Iterable[Problem]] | None = None
    mend: Mend | None = None
    fix: str = ""
    unsound: bool = False
    late: bool = False


@dataclass
class About:
    """What is known of a file beforehand: the tokenizer, the model, the limits, and how prompts and completions end.

    `separator` and `stop` are those that a recipe declares, or what most of the first rows end with.
    """

    counter: Counter
    model: str = ""
    least_rows: int = 10
    most_tokens: int = 0
    separator: str = ""
    stop: str = ""
    declared: bool = False
    sample: list[Row] = field(default_factory=list)


def error(message: str, row: Row | None = None, by_hand: str = "") -> Problem:
    """Return a problem for which training would be refused, or would fail."""
    return _problem("error", message, row, by_hand)


def warning(message: str, row: Row | None = None, by_hand: str = "") -> Problem:
    """Return a problem that makes a worse model."""
    return _problem("warning", message, row, by_hand)


def hint(message: str, row: Row | None = None, by_hand: str = "") -> Problem:
    """Return something to think about."""
    return _problem("hint", message, row, by_hand)


def _problem(severity: Severity, message: str, row: Row | None, by_hand: str) -> Problem:
    return Problem(severity, message, row.line if row else 0, row.excerpt if row else "", by_hand)


def said(turn: Mapping[str, Any]) -> str:
    """Return the text of a turn; nothing for one that has none."""
    content = turn.get("content")
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content)
    return content if isinstance(content, str) else ""


def short(text: str) -> str:
    """Return the beginning of a text on one line."""
    shown = "".join(ch if ch.isprintable() else ascii(ch)[1:-1] for ch in text[:_EXCERPT])
    return shown if len(text) <= _EXCERPT else shown + "…"


@cache
def data(name: str) -> Any:
    """Return a data file of this package."""
    return json.loads((Path(__file__).parent / name).read_text(encoding="utf-8"))


def least_rows(kind: str, base_url: str | None) -> int:
    """Return how many rows a provider wants at least; at an address of one's own nobody knows."""
    least: dict[str, int] = data("limits.json")["least_rows"]
    return 1 if base_url else least.get(kind, least[""])


def most_tokens(model: str) -> int:
    """Return how many tokens one row may have for a model at OpenAI; 0 where that is not known."""
    name = model.removeprefix("ft:").rpartition("/")[2]
    return next((most for begins, most in data("limits.json")["row_tokens"] if name.startswith(begins)), 0)
