"""Statements in other words, for questions that do not repeat the text: `hides` → `conceals`, `throne` → `crown`.

In: a `Clause` and the synonyms of the language.  Out: the same clause with its verb, its nouns and its adjectives exchanged, as
far as there are synonyms for them.  The synonyms are chosen to fit almost anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from ftbuild.grammar.verbs import idiom, inflected

if TYPE_CHECKING:
    from spacy.tokens import Token

    from ftbuild.grammar.clauses import Clause
    from ftbuild.grammar.language import Language


def reworded(clause: Clause, language: Language, turn: int) -> Clause | None:
    """Return a statement in other words, or None if there are none; `turn` chooses among several."""
    words = {**clause.words}
    for token in (*clause.before, *clause.after):
        if other := _other(token, language, turn):
            words[token.i] = other
            if token.i and token.nbor(-1).lower_ in ("a", "an"):
                words[token.i - 1] = "an" if other[0] in "aeiou" else "a"
    subject = clause.subject
    if other := _other(clause.head, language, turn):
        article = "an" if other[0] in "aeiou" else "a"
        subject = re.sub(rf"\b(?:an?(?= {clause.head.text}\b))", article, subject)
        subject = re.sub(rf"\b{clause.head.text}\b", other, subject)
    changed = replace(clause, words=words, subject=subject)
    return _verb(changed, language, turn) or (changed if changed != clause else None)


def _verb(clause: Clause, language: Language, turn: int) -> Clause | None:
    """Return a statement with another verb, or None if there is none that means the same."""
    if not clause.told or idiom(clause.verb) or _governs(clause.verb):
        return None
    verbs = language.synonyms.get("verbs", {})
    particle = next((t for t in clause.verb.children if t.dep_ == "prt"), None)
    choices = verbs.get(f"{clause.lemma} {particle.lower_}", ()) if particle is not None else verbs.get(clause.lemma, ())
    choices = tuple(c for c in choices if _fits(c, clause))
    if not choices:
        return None
    other = choices[turn % len(choices)]
    after = tuple(t for t in clause.after if particle is None or t.i != particle.i)
    tag = clause.verb.tag_
    if not clause.helpers and tag in ("VBD", "VBN", "VBG"):
        tag = "VBD" if clause.past else "VBZ"
    return replace(clause, other_verb=other, told=inflected(other, tag, language), after=after)


def _governs(verb: Token) -> bool:
    """Say whether a verb without an object needs its preposition: `fear for` is not `dread for`."""
    return any(t.dep_ == "prep" and t.lower_ in ("for", "from", "of", "on", "with") for t in verb.children) and not any(
        t.dep_ in ("dobj", "nsubjpass", "agent") for t in verb.children
    )


def _fits(other: str, clause: Clause) -> bool:
    """Say whether a phrase can stand for the verb: not `be in love with` after a helper, not `wish for` before `to marry`."""
    first, _, rest = other.partition(" ")
    return not rest or (not (clause.helpers and first == "be") and all(t.dep_ != "xcomp" for t in clause.verb.children))


def _other(token: Token, language: Language, turn: int) -> str:
    """Return another word for a noun or an adjective, or an empty text."""
    match token.pos_:
        case "NOUN":
            return _noun(token, language.synonyms.get("nouns", {}), turn)
        case "ADJ":
            choices = language.synonyms.get("adjectives", {}).get(token.lower_, ())
            return choices[turn % len(choices)] if choices and token.dep_ in ("amod", "acomp") else ""
    return ""


def _noun(token: Token, nouns: Mapping[str, tuple[str, ...]], turn: int) -> str:
    known = token.lower_ if token.lower_ in nouns else token.lemma_.lower()
    choices = nouns.get(known, ())
    if not choices:
        return ""
    other = choices[turn % len(choices)]
    if token.tag_ != "NNS" or known == token.lower_ or other.endswith("s"):
        return other
    first, of, rest = other.partition(" of ")
    plural = re.sub("([^aeiou])y$", r"\1ie", first)
    return f"{plural}{'es' if re.search('(s|x|ch|sh)$', plural) else 's'}{of}{rest}"
