"""Cleaning rules for any kind of text: expressions, entities, Unicode, white space, single lines."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from ftbuild.errors import ConfigError
from ftbuild.headings import code
from ftbuild.patterns import Pattern
from ftbuild.registries import RULES


@RULES("regex")
def regex(text: str, *, pattern: str, replace: str = "", flags: str = "m") -> str:
    """Replace every match of a regular expression.  `flags` are letters of `imsx`."""
    try:
        return Pattern(pattern, flags).sub(replace, text)
    except ConfigError as error:
        raise ConfigError(f"the regex rule {pattern!r} does not work: {error.message.rpartition(': ')[2]}") from error


@RULES("drop_lines")
def drop_lines(text: str, *, starting: tuple[str, ...] = (), matching: tuple[str, ...] = (), flags: str = "i") -> str:
    """Drop the lines that start with one of these texts, or that match one of these expressions from end to end.

    White space around a line does not count.  Upper and lower case are the same, unless `flags` says otherwise.
    """
    patterns = [Pattern(pattern, flags) for pattern in matching]
    begins = tuple(s.casefold() if "i" in flags else s for s in starting)

    def unwanted(line: str) -> bool:
        said = line.strip()
        compared = said.casefold() if "i" in flags else said
        return bool(begins and compared.startswith(begins)) or any(p.fullmatch(said) for p in patterns)

    return "".join(line for line in text.splitlines(keepends=True) if not line.strip() or not unwanted(line))


@RULES("unescape")
def unescape(text: str) -> str:
    """Turn HTML entities into the characters they stand for, and the various spaces into a space."""
    return re.sub(r"[\u00a0\u2002-\u200a\u202f]", " ", html.unescape(text))


@RULES("normalise")
def normalise(text: str, *, form: Literal["NFC", "NFKC", "NFD", "NFKD"] = "NFC") -> str:
    """Bring Unicode into one normal form, and drop soft hyphens and zero-width characters."""
    return unicodedata.normalize(form, re.sub("[\u00ad\u200b\ufeff]", "", text))


@RULES("whitespace")
def whitespace(text: str, meta: Mapping[str, Any] = {}) -> str:
    """One space between words, none before a comma or a full stop, no brackets that were emptied, at most one empty line.

    In Markdown, what indents a line stays, and so does code.
    """
    if meta.get("format") == "markdown":
        pieces = [code if is_code else _tidied_markdown(code) for is_code, code in _code_apart(text)]
        return re.sub(r"\n{3,}", "\n\n", "".join(pieces)).strip("\n")
    return _tidied(text).strip()


def _tidied(text: str) -> str:
    text = re.sub(r"\([\s,;]*\)", "", text)
    text = re.sub(r"\([\s,;]+", "(", text)
    text = re.sub(r"(?<![ \t,;])[ \t,;]*[ \t]\)", ")", text)
    text = re.sub(r"[ \t]+", " ", text)
    text = re.sub(r" ?\n ?", "\n", text)
    text = re.sub(r" +([,.])(?=\s|$)", r"\1", text)
    return re.sub(r"\n{3,}", "\n\n", text)


def _tidied_markdown(text: str) -> str:
    tidied = []
    for line in text.splitlines(keepends=True):
        said = line.lstrip(" \t")
        end = "\n" if line.endswith("\n") else ""
        tidied.append((line[: len(line) - len(said)] + _tidied(said).strip() if said.strip() else "") + end)
    return "".join(tidied)


def _code_apart(text: str) -> Iterator[tuple[bool, str]]:
    """Yield Markdown in pieces, and whether each is code."""
    last = 0
    for start, end in code(text):
        yield False, text[last:start]
        yield True, text[start:end]
        last = end
    yield False, text[last:]
