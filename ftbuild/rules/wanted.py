"""Cleaning rules that ask whether a document, or a paragraph of it, is wanted at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from ftbuild.errors import Unwanted
from ftbuild.registries import RULES
from ftbuild.versions import versions

_ENOUGH = 100_000  # characters tell a language
_FEWEST = 20  # letters below which a guess is worth nothing


@RULES("min_length")
def min_length(text: str, *, characters: int = 0, words: int = 0, per: Literal["document", "paragraph"] = "document") -> str:
    """Leave out documents, or paragraphs, of fewer characters or words than these.  A Chinese character is a word.

    Headings stay; for whole documents they count.
    """
    if per == "paragraph":
        return _paragraphs(text, lambda line: len(line.strip()) >= characters and (not words or _words(line) >= words))
    if len(text.strip()) < characters:
        raise Unwanted(f"has {len(text.strip()):,} characters, fewer than {characters:,}")
    if words and (found := _words(text)) < words:
        raise Unwanted(f"has {found:,} words, fewer than {words:,}")
    return text


def _words(text: str) -> int:
    import re

    return sum(
        1 for _ in re.finditer(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+", text)
    )


@RULES("language", depends=lambda _: versions("py3langid"))
def language(text: str, *, keep: tuple[str, ...], per: Literal["document", "paragraph"] = "document") -> str:
    """Leave out documents, or paragraphs, in any language but these, named by their codes: `keep: [en, zh]`.

    What has fewer than twenty letters is kept: it is in no language that could be told.  (Source: py3langid, 97 languages.)
    """
    if per == "paragraph":
        return _paragraphs(text, lambda line: _language(line) in (*keep, ""))
    found = _language(text[:_ENOUGH])
    if found not in (*keep, ""):
        raise Unwanted(f"is in {found!r}, not in {' or '.join(map(repr, keep))}")
    return text


def _language(text: str) -> str:
    """Return the code of a text's language, or nothing if it is too short to tell."""
    letters = sum(map(str.isalpha, text)) + 3 * sum("\u3400" <= c <= "\u9fff" for c in text)
    if letters < _FEWEST:
        return ""
    import py3langid

    return str(py3langid.classify(text)[0])


def _paragraphs(text: str, wanted: Callable[[str], bool]) -> str:
    kept = []
    for line in text.splitlines(keepends=True):
        said = line.strip()
        if not said or said.startswith(("=", "#")) or wanted(line):
            kept.append(line)
    return "".join(kept)
