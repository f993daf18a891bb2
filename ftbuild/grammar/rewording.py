"""Statements in other words, for questions that do not repeat the text: `hides` → `conceals`, `throne` → `crown`.

In: a `Clause` and the synonyms of the language.  Out: the same clause with its verb and its nouns exchanged, as far as there
are synonyms for them.  The synonyms are few and chosen to fit almost anywhere.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ftbuild.grammar.verbs import inflected

if TYPE_CHECKING:
    from spacy.tokens import Token

    from ftbuild.grammar.clauses import Clause
    from ftbuild.grammar.language import Language


def reworded(clause: Clause, language: Language, turn: int) -> Clause | None:
    """Return a statement in other words, or None if there are none; `turn` chooses among several."""
    nouns, verbs = language.synonyms.get("nouns", {}), language.synonyms.get("verbs", {})
    words = {**clause.words}
    for token in (t for t in (*clause.before, *clause.after) if t.lower_ in _forms(nouns)):
        words[token.i] = _noun(token, nouns, turn)
        if token.i and token.nbor(-1).lower_ in ("a", "an"):
            words[token.i - 1] = "an" if words[token.i][0] in "aeiou" else "a"
    particle = next((t for t in clause.verb.children if t.dep_ == "prt"), None)
    after = clause.after
    choices = verbs.get(f"{clause.lemma} {particle.lower_}", ()) if particle is not None else verbs.get(clause.lemma, ())
    choices = tuple(c for c in choices if _fits(c, clause))
    if clause.told and choices:
        other = choices[turn % len(choices)]
        if particle is not None:
            after = tuple(t for t in after if t.i != particle.i)
        tag = "VBD" if clause.past and not clause.helpers else clause.verb.tag_
        return replace(clause, other_verb=other, told=inflected(other, tag, language), after=after, words=words)
    return replace(clause, words=words) if words != clause.words else None


def _fits(other: str, clause: Clause) -> bool:
    """Say whether a phrase can stand for the verb: not `be in love with` after a helper, not `wish for` before `to marry`."""
    first, _, rest = other.partition(" ")
    return not rest or (not (clause.helpers and first == "be") and all(t.dep_ != "xcomp" for t in clause.verb.children))


def _forms(nouns: dict[str, tuple[str, ...]]) -> set[str]:
    return {form for noun in nouns for form in (noun, noun + "s")}


def _noun(token: Token, nouns: dict[str, tuple[str, ...]], turn: int) -> str:
    plural = token.lower_ not in nouns
    choices = nouns[token.lower_.removesuffix("s") if plural else token.lower_]
    other = choices[turn % len(choices)]
    return other + "s" if plural else other
