"""Cleaning rules for any kind of text."""

from __future__ import annotations

import html
import re
import unicodedata

from ftbuild.errors import ConfigError
from ftbuild.registries import RULES

_FLAGS = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL, "x": re.VERBOSE}


@RULES("regex")
def regex(text: str, *, pattern: str, replace: str = "", flags: str = "m") -> str:
    """Replace every match of a regular expression.  `flags` are letters of `imsx`."""
    try:
        return re.sub(pattern, replace, text, flags=sum(_FLAGS[f] for f in set(flags)))
    except (re.error, KeyError) as error:
        raise ConfigError(f"the regex rule {pattern!r} does not work: {error}") from error


@RULES("cut_after_heading")
def cut_after_heading(text: str, *, headings: tuple[str, ...]) -> str:
    """Drop the first of these headings and everything after it.  Upper and lower case are the same."""
    names = "|".join(re.escape(h) for h in headings)
    match = re.search(rf"(?im)^==[ \t]*(?:{names})[ \t]*==[ \t]*$", text)
    return text[: match.start()] if match else text


@RULES("unescape")
def unescape(text: str) -> str:
    """Turn HTML entities into the characters they stand for, and the various spaces into a space."""
    return re.sub(r"[\u00a0\u2002-\u200a\u202f]", " ", html.unescape(text))


@RULES("normalise")
def normalise(text: str, *, form: str = "NFC") -> str:
    """Bring Unicode into one normal form, and drop soft hyphens and zero-width characters."""
    return unicodedata.normalize(form, re.sub("[\u00ad\u200b\ufeff]", "", text))  # type: ignore[arg-type]


@RULES("whitespace")
def whitespace(text: str) -> str:
    """One space between words, none before a comma or a full stop, no brackets that were emptied, at most one empty line."""
    text = re.sub(r"\([\s,;]*\)", "", text)
    text = re.sub(r"\([\s,;]+", "(", text)
    text = re.sub(r"[ \t,;]*[ \t]\)", ")", text)
    text = re.sub(r"[ \t]+", " ", text)
    text = re.sub(r" ?\n ?", "\n", text)
    text = re.sub(r" +([,.])(?=\s|$)", r"\1", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip()
