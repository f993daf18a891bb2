"""Questions about single facts, made by grammar: `Who …?`, `Whom does … to?`, `Why does …?`, with short exact answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ftbuild.grammar.gaps import gaps
from ftbuild.grammar.language import Lexicon
from ftbuild.records import Origin, Pair, Section
from ftbuild.registries import KINDS
from ftbuild.units import paragraphs, sentences

if TYPE_CHECKING:
    from ftbuild.grammar.language import Language


@KINDS("questions")
def questions(sections: Sequence[Section], language: Language, *, most: int = 2) -> Iterator[Pair]:
    """Ask for every part of every statement, in up to `most` wordings."""
    documents: dict[str, list[Section]] = {}
    for section in sections:
        documents.setdefault(section.document, []).append(section)
    for document, own in documents.items():
        passages = [(s, sentences(p, language.name)) for s in own for p in paragraphs(s.text)]
        lexicon = Lexicon(language, [sentence for _, told in passages for sentence in told])
        for section, told in passages:
            for gap in gaps(told, lexicon):
                for question in gap.questions[:most]:
                    yield Pair("", question, gap.answer, Origin(document, section.path, passage=gap.sentence))
