"""Questions about single facts, made by grammar: `Who …?`, `What does … want?`, `Why does …?`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Literal

from ftbuild.digest import digest_file
from ftbuild.paths import find_file
from ftbuild.records import Origin, Pair, Section
from ftbuild.registries import KINDS
from ftbuild.units import paragraphs

if TYPE_CHECKING:
    from ftbuild.grammar.gaps import Gap
    from ftbuild.grammar.language import Language
    from ftbuild.recipe import Recipe


def parser(recipe: Recipe) -> dict[str, str]:
    """Return what the questions depend on besides the text: the parser and its version, and the language's words."""
    from ftbuild.grammar.parsing import model_version

    words = recipe.language.words
    return {"parser": model_version(recipe.language), **({f"words {words}": digest_file(find_file(words))} if words else {})}


@KINDS("questions", depends=parser)
def questions(
    sections: Sequence[Section], language: Language, *, rows: int = 800, answer: Literal["part", "statement"] = "part"
) -> Iterator[Pair]:
    """Ask for every part of every statement, once, and then in further wordings until there are about `rows`.

    The answer is the part that was asked for, or the whole statement with its pronouns filled in.  ConfigError if no parser
    for the language is installed.
    """
    from ftbuild.grammar.gaps import gaps
    from ftbuild.grammar.language import spoken
    from ftbuild.grammar.parsing import parse
    from ftbuild.grammar.people import People

    language = spoken(language)
    documents: dict[str, list[Section]] = {}
    for section in sections:
        documents.setdefault(section.document, []).append(section)
    asked: list[tuple[int, Pair]] = []
    for own in documents.values():
        told = [(section, parse(paragraph, language)) for section in own for paragraph in paragraphs(section.text)]
        docs = [doc for _, doc in told]
        for (section, _), found in zip(told, gaps(docs, People.of(docs, language)), strict=True):
            for gap in found:
                origin = Origin.of(section, passage=gap.sentence)
                said = gap.answer if answer == "part" else gap.whole
                asked += [(turn, Pair("", question, said, origin)) for turn, question in enumerate(_wordings(gap))]
    last = _last_turn([turn for turn, _ in asked], rows)
    yield from (pair for turn, pair in asked if turn <= last)


def _wordings(gap: Gap) -> list[str]:
    """Return all questions for a gap, those in the text's words, those in others and those in other frames by turns."""
    turns = zip_longest(gap.questions, gap.reworded, gap.framed)
    return list(dict.fromkeys(q for q in chain.from_iterable(turns) if q))


def _last_turn(turns: Sequence[int], rows: int) -> int:
    """Return up to which wording of each gap the rows come closest to the number wanted; the first is never left out."""
    counts = [sum(t <= turn for t in turns) for turn in range(max(turns, default=0) + 1)]
    return min(range(len(counts)), key=lambda turn: abs(counts[turn] - rows))
