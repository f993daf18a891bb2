"""Questions about single facts, made by grammar: `Who …?`, `What does … want?`, `Why does …?`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from ftbuild.records import Origin, Pair, Section
from ftbuild.registries import KINDS
from ftbuild.units import paragraphs

if TYPE_CHECKING:
    from ftbuild.grammar.language import Language
    from ftbuild.recipe import Recipe


def parser(recipe: Recipe) -> dict[str, str]:
    """Return what the questions depend on besides the text: the parser and its version."""
    from ftbuild.grammar.parsing import model_version

    return {"parser": model_version(recipe.language)}


@KINDS("questions", depends=parser)
def questions(
    sections: Sequence[Section], language: Language, *, most: int = 2, reworded: int = 1, answer: Literal["part", "statement"] = "part"
) -> Iterator[Pair]:
    """Ask for every part of every statement, in up to `most` wordings of the text's own and up to `reworded` in other words.

    The answer is the part that was asked for, or the whole statement with its pronouns filled in.  ConfigError if no parser
    for the language is installed.
    """
    from ftbuild.grammar.gaps import gaps
    from ftbuild.grammar.parsing import parse
    from ftbuild.grammar.people import People

    documents: dict[str, list[Section]] = {}
    for section in sections:
        documents.setdefault(section.document, []).append(section)
    for document, own in documents.items():
        told = [(section, parse(paragraph, language)) for section in own for paragraph in paragraphs(section.text)]
        docs = [doc for _, doc in told]
        for (section, _), found in zip(told, gaps(docs, People.of(docs, language)), strict=True):
            for gap in found:
                origin = Origin(document, section.path, passage=gap.sentence)
                for question in (*gap.questions[:most], *gap.reworded[:reworded]):
                    yield Pair("", question, gap.answer if answer == "part" else gap.whole, origin)
