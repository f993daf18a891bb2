"""The same question as others would put it: `Who …?` as `Which engineer …?`, `When …?` as `In which year …?`.

In: a question, what it asks for, and what the document calls those whom it names.  Out: more questions.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from ftbuild.grammar.people import name_of

if TYPE_CHECKING:
    from spacy.tokens import Token

    from ftbuild.grammar.clauses import Clause
    from ftbuild.grammar.language import Language
    from ftbuild.grammar.questions import Ask

_YEAR = re.compile(r"\b1\d{3}\b|\b20\d{2}\b")
_FRAMES = {
    "who": ("which person", "what is the name of the person who"),
    "where": ("in which place",),
    "why": ("for what reason",),
    "how": ("in what way", "by what means"),
}


def called(clauses: Iterable[Clause], language: Language) -> dict[str, str]:
    """Return what the text calls each name in passing, where that word is called but one: `Jupp` is the `contractor`."""
    found: dict[str, str] = {}
    for clause in clauses:
        noun = clause.extra_head
        if not clause.told and noun is not None and _says(noun, clause, language):
            words = [t.text for t in noun.lefts if t.dep_ == "compound" and t.pos_ == "NOUN"]
            found.setdefault(name_of(clause.head), " ".join([*words, noun.text]))
    counts = Counter(found.values())
    return {name: noun for name, noun in found.items() if counts[noun] == 1}


def _says(noun: Token, clause: Clause, language: Language) -> bool:
    """Say whether a noun alone says who is meant: a person's trade, not `the son`, who is so only to his parents."""
    if noun.tag_ != "NN" or (clause.who and noun.lower_ not in language.person_nouns):
        return False
    own = any(t.dep_ == "poss" or t.lower_ == "of" for t in noun.children)
    kin = noun.lower_ in (language.men_nouns | language.women_nouns)
    return not (own and kin) and (clause.who or noun.dep_ != "compound")


def framed(question: str, ask: Ask, head: Token | None, names: Mapping[str, str]) -> Iterator[str]:
    """Yield a question in other frames; `head` is the noun that the answer is about."""
    first, _, rest = question.partition(" ")
    first = first.lower()
    noun = _noun(head, names)
    if noun and ask.kind in ("person", "thing") and first in ("who", "what") and not _holds(rest, noun):
        yield f"Which {noun} {rest}"
    if noun and ask.kind == "place" and not _holds(rest, noun):
        yield f"{ask.prep.capitalize()} which {noun} {rest}"
    if ask.kind == "time" and ask.prep in ("in", "on") and _YEAR.search(ask.answer):
        yield f"In which year {rest}"
    if head is not None and ask.kind == "thing" and first == "what" and (kind := _kind(head)):
        yield f"What kind of {kind} {rest}"
    several = head is not None and (head.tag_ in ("NNS", "NNPS") or any(t.dep_ == "conj" for t in head.children))
    for frame in _FRAMES.get(first, ()) if ask.kind not in ("identity", "number", "money") else ():
        named = head is not None and head.pos_ == "PROPN"
        if "person" in frame and (several or (frame.endswith("who") and (ask.role != "subject" or not named))):
            continue
        yield f"{frame[0].upper()}{frame[1:]} {rest}"


def renamed(question: str, names: Mapping[str, str]) -> str:
    """Return a question that calls by what they are those whom it named: `the contractor` for `Thomas Jupp`."""
    for name, noun in names.items():
        last = name.rpartition(" ")[2]
        for known in (name, last):
            if re.search(rf"\b{re.escape(known)}\b", question) and not _holds(question, noun):
                return re.sub(rf"(?:\b[Tt]he )?(?:\b[A-Z][a-z]+ )*\b{re.escape(known)}\b", f"the {noun}", question, count=1)
    return ""


def _holds(question: str, noun: str) -> bool:
    return re.search(rf"\b{re.escape(noun)}\b", question) is not None


def _noun(head: Token | None, names: Mapping[str, str]) -> str:
    if head is None:
        return ""
    full = name_of(head)
    return next((noun for name, noun in names.items() if full == name or name.endswith(f" {full}")), "")


def _kind(head: Token) -> str:
    """Return a noun that something more is said of: `spade` for `a silver spade`."""
    before = list(head.lefts)
    described = any(t.dep_ in ("amod", "compound") for t in before)
    counted = any("ORDINAL" in (t.ent_type_, head.ent_type_) for t in before)
    known = any(t.dep_ in ("det", "poss") and t.lower_ not in ("a", "an") for t in before)
    return head.text if head.pos_ == "NOUN" and described and not counted and not known else ""
