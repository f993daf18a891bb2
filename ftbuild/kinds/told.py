"""Rows that tell the text itself: what a section says, a passage to go on with, what comes next.

None of them needs a parser, so they can be had in any language; the questions are the recipe's, in its language.
"""

from __future__ import annotations

import string
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from ftbuild.errors import ConfigError
from ftbuild.records import Origin, Pair, Section
from ftbuild.registries import KINDS
from ftbuild.units import paragraphs, sentences

if TYPE_CHECKING:
    from ftbuild.grammar.language import Language


def filled(kind: str, question: str, **values: str) -> str:
    """Return a question with its `{fields}` filled in.  ConfigError for a field that there is not."""
    try:
        named = {name for _, name, _, _ in string.Formatter().parse(question) if name is not None}
    except ValueError as error:
        raise ConfigError(f"the question {question!r} of a kind {kind!r} cannot be filled in: {error}") from error
    if unknown := named - set(values):
        fields = ", ".join(f"{{{name}}}" for name in values)
        raise ConfigError(f"the question of a kind {kind!r} names {{{min(unknown)}}}", hint=f"it may name {fields}")
    return question.format(**values)


@KINDS("next")
def next_(sections: Sequence[Section], language: Language, *, question: str) -> Iterator[Pair]:
    """Ask what comes after each sentence of a paragraph; `question` holds `{sentence}`."""
    for section in sections:
        for paragraph in paragraphs(section.text):
            told = sentences(paragraph, language.name)
            for sentence, after in pairwise(told):
                origin = Origin.of(section, passage=after)
                yield Pair("", filled("next", question, sentence=sentence), after, origin)


@KINDS("recall")
def recall(
    sections: Sequence[Section],
    language: Language,  # noqa: ARG001 - every kind gets it
    *,
    question: str,
    most_characters: int = 1200,
) -> Iterator[Pair]:
    """Ask what a section says; `question` holds `{title}`, `{path}` and `{heading}`, and the answer is the section itself.

    Sections of more than `most_characters` are left out: nobody answers at such length.
    """
    for section in sections:
        if len(section.text) <= most_characters:
            asked = filled("recall", question, title=section.title, path=" / ".join(section.path), heading=section.path[-1])
            yield Pair("", asked, section.text, Origin.of(section, passage=section.text))


@KINDS("continue")
def continue_(sections: Sequence[Section], language: Language, *, question: str, sentences_given: int = 1) -> Iterator[Pair]:
    """Give the beginning of each paragraph and ask how it goes on; `question` holds `{beginning}`."""
    gap = "" if language.name in ("zh", "ja") else " "
    for section in sections:
        for paragraph in paragraphs(section.text):
            told = sentences(paragraph, language.name)
            if len(told) > sentences_given:
                beginning, rest = gap.join(told[:sentences_given]), gap.join(told[sentences_given:])
                origin = Origin.of(section, passage=rest)
                yield Pair("", filled("continue", question, beginning=beginning), rest, origin)
