"""Rows that tell the text itself: a passage to go on with, what happens next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from ftbuild.records import Origin, Pair, Section
from ftbuild.registries import KINDS
from ftbuild.units import paragraphs, sentences

if TYPE_CHECKING:
    from ftbuild.grammar.language import Language


@KINDS("next")
def next_(sections: Sequence[Section], language: Language, *, question: str) -> Iterator[Pair]:
    """Ask what comes after each sentence of a paragraph; `question` holds `{sentence}`."""
    for section in sections:
        for paragraph in paragraphs(section.text):
            told = sentences(paragraph, language.name)
            for sentence, after in pairwise(told):
                origin = Origin.of(section, passage=after)
                yield Pair("", question.format(sentence=sentence), after, origin)
