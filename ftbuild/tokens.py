"""How many tokens a text has, a conversation or a training row, found out without asking anybody.

    counter(provider, "gpt-4.1-nano").count("Who plots?")       exact: the encodings of OpenAI's models come with `toktok-rs`
    counter(provider, "smollm2-135m-instruct").count(…)         exact: the model's own tokenizer, without loading the model
    counter(provider, "somebody-elses-model").count(…)          an estimate, and `.exact` says so

In: who answers, and the name of the model.  Out: a `Counter`.  A text counts as it would inside a prompt: what looks like one
of OpenAI's special tokens is plain text.  What OpenAI puts around the turns of a conversation is counted as its cookbook says;
there is no word on how it lays out functions, so these are counted as the JSON that describes them.
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftbuild.prices import estimated_tokens
from ftbuild.providers import tokenizer

if TYPE_CHECKING:
    from ftbuild.recipe import Provider

Turns = Sequence[Mapping[str, Any]]

_ENCODINGS = (
    (re.compile(r"gpt-oss"), "o200k_harmony"),
    (re.compile(r"gpt-4o|gpt-4\.[15]|gpt-[5-9]|chatgpt-4o|o\d+(?:-|$)|codex-mini"), "o200k_base"),
    (re.compile(r"gpt-4(?:-|$)|gpt-3\.?5|davinci-002|babbage-002|text-embedding-(?:3|ada-002)"), "cl100k_base"),
)
"""OpenAI's encodings by what the names of their models begin with, the first that fits."""

_LIKELY = "o200k_base"  # for models that nobody has told us of; modern vocabularies differ by some percent
_TURN, _NAME, _REPLY = 3, 1, 3  # tokens around each turn, before a name, and those that an answer begins with


@dataclass(frozen=True)
class Counter:
    """Counts tokens as one model does.  `name` is that of the encoding, `exact` whether it is the model's own.

    `context` is how many tokens, prompt and answer together, the model takes; 0 where that is not known here.
    """

    name: str
    exact: bool
    _counts: Callable[[Sequence[str]], list[int]]
    _borders: Callable[[str, int], bool | None]
    _turns: Callable[[Turns, Any], int]
    _row: Callable[[Mapping[str, Any]], int]
    context: int = 0

    def count(self, text: str) -> int:
        """Return how many tokens a text has."""
        return self.count_all([text])[0]

    def count_all(self, texts: Sequence[str]) -> list[int]:
        """Return how many tokens each of these texts has: many at once are counted faster than one by one."""
        return self._counts([_sound(t) for t in texts])

    def count_messages(self, messages: Turns, tools: Turns | None = None) -> int:
        """Return how many tokens a model reads that is asked to go on with a conversation, with what stands around turns."""
        return self._turns(messages, tools)

    def count_row(self, row: Mapping[str, Any]) -> int:
        """Return how many tokens a training row has: of a preference row, what is asked counts with either answer.

        ValueError if the model's chat template does not take the conversation.
        """
        return self._row(row)

    def count_rows(self, rows: Sequence[Mapping[str, Any]]) -> list[int]:
        """Return how many tokens each of these training rows has: rows of prompt and completion are counted together."""
        plain = [not {"messages", "preferred_output"} & row.keys() for row in rows]
        flat = [
            text for row, is_plain in zip(rows, plain, strict=True) if is_plain for text in (row["prompt"], row["completion"])
        ]
        counted = iter(self.count_all(flat))
        return [
            next(counted) + next(counted) if is_plain else self._row(row) for row, is_plain in zip(rows, plain, strict=True)
        ]

    def border(self, text: str, at: int) -> bool | None:
        """Say whether a token of a text ends before its character `at`; None if these are estimates."""
        return self._borders(_sound(text), at) if self.exact else None


def counter(provider: Provider, model: str, state: Path | None = None) -> Counter:
    """Return what counts tokens as a model does, at a provider.

    `state` is the folder in which the embedded provider keeps its models (`STORE/local`), if there is one.
    """
    found = tokenizer(provider, model, state)
    if found is not None:
        borders = lambda text, at: at in found.borders(text)  # noqa: E731
        return Counter(model, True, found.counts, borders, found.count_turns, found.count_row, found.context)  # noqa: FBT003
    return of_encoding(encoding(model))


def encoding(model: str) -> str:
    """Return the name of the encoding of one of OpenAI's models, or an empty text if this is none of them."""
    name = model.split(":")[1] if model.startswith("ft:") and ":" in model[3:] else model.removeprefix("ft:")
    name = name.rpartition("/")[2].casefold()
    return next((encoding for pattern, encoding in _ENCODINGS if pattern.match(name)), "")


def of_encoding(name: str) -> Counter:
    """Return what counts tokens in one of OpenAI's encodings; an empty name stands for a model that is not known."""
    if importlib.util.find_spec("toktok") is None:  # there is no wheel of it for every platform
        counts: Callable[[Sequence[str]], list[int]] = _by_length
        exact = False
    else:
        counts, exact = _by_encoding(name or _LIKELY), bool(name)

    def borders(text: str, at: int) -> bool:
        import toktok

        (before,) = counts([text[:at]])
        return before == 0 or toktok.truncate(text, before, name)[0] == text[:at]

    def turns(messages: Turns, tools: Turns | None) -> int:
        texts = [text for message in messages for text in _texts(message)]
        texts += [json.dumps(tools, ensure_ascii=False)] if tools else []
        names = sum("name" in message for message in messages)
        return sum(counts([_sound(t) for t in texts])) + _TURN * len(messages) + _NAME * names + _REPLY

    def row(row: Mapping[str, Any]) -> int:
        if "messages" in row:
            return turns(row["messages"], row.get("tools"))
        if "preferred_output" in row:
            asked, outputs = row["input"], (row["preferred_output"], row["non_preferred_output"])
            return sum(turns([*asked["messages"], *output], asked.get("tools")) for output in outputs)
        return sum(counts([_sound(row["prompt"]), _sound(row["completion"])]))

    return Counter(name if exact else "estimate", exact, counts, borders, turns, row)


def _by_encoding(name: str) -> Callable[[Sequence[str]], list[int]]:
    def counts(texts: Sequence[str]) -> list[int]:
        import toktok

        return list(toktok.batch_count(texts, name, threads=1 if len(texts) < 64 else 0))  # noqa: PLR2004

    return counts


def _by_length(texts: Sequence[str]) -> list[int]:
    return [estimated_tokens(text) for text in texts]


def _texts(message: Mapping[str, Any]) -> Iterator[str]:
    """Yield what counts of a turn: role, name, text, and calls of functions."""
    yield str(message["role"])
    if message.get("name"):
        yield str(message["name"])
    content = message.get("content")
    if isinstance(content, str):
        yield content
    elif content:
        yield from (str(part["text"]) for part in content if part.get("type") == "text")
    for call in message.get("tool_calls") or ():
        yield str(call["function"].get("name", ""))
        yield str(call["function"].get("arguments", ""))


def _sound(text: str) -> str:
    """Return a text without halves of surrogate pairs, which no tokenizer takes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
