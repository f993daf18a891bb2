"""Questions: a statement with one part asked for, as a person would ask it, the most natural wordings first.

    Agrippina plots to secure the throne for Nero, asking for Nero:
        Who does Agrippina plot to secure the throne for?
        For whom does Agrippina plot to secure the throne?

In: a `Clause` and an `Ask`.  Out: questions, each fuller or shorter than the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ftbuild.grammar.clauses import Clause
from ftbuild.grammar.phrases import text
from ftbuild.grammar.verbs import idiom, inflected, participle

if TYPE_CHECKING:
    from spacy.tokens import Token

    from ftbuild.grammar.language import Language

_CORE = ("dobj", "dative", "attr", "acomp", "oprd", "xcomp", "ccomp", "prt", "agent")
_SINGULAR = {"are": "is", "were": "was", "have": "has", "do": "does", "am": "is"}
_MOST_WORDS = 24
_FEWEST_WORDS = 3
PLACES = ("GPE", "LOC", "FAC")
"""What the parser calls the names of places."""
_LONG = 8


@dataclass(frozen=True)
class Ask:
    """A part of a statement to ask for: its role, what kind of thing it is, the answer, and the tokens that it takes up."""

    role: str
    kind: str
    answer: str
    tokens: tuple[Token, ...] = ()
    prep: str = ""
    head: Token | None = None


def questions(clause: Clause, ask: Ask, language: Language) -> Iterator[str]:
    """Yield the questions that ask for a part of a statement."""
    wordings = _of_subject(clause, ask, language) if ask.role == "subject" else _of_rest(clause, ask, language)
    for words in wordings:
        told = " ".join(w for w in words if w)
        if _FEWEST_WORDS <= len(told.split()) <= _MOST_WORDS:
            yield told[:1].upper() + told[1:] + "?"


def _of_subject(clause: Clause, ask: Ask, language: Language) -> Iterator[list[str]]:
    who = "who" if ask.kind == "person" else "what"
    if ask.kind == "number" and ask.head is not None:
        yield [f"how many {_counted(ask, clause)}", *_opened_many(clause), text(clause.after, clause.words)]
        return
    group = _agreeing(clause, language)
    before = text(clause.before, clause.words)
    for rest in _rests(clause, ask, language):
        yield [who, *group, clause.extra, rest, before]
        before = ""
    relations = {t.dep_: t for t in clause.verb.children if t.i > clause.verb.i}
    target = None if relations.keys() & {"ccomp", "xcomp", "dative"} else relations.get("dobj")
    simple = not clause.helpers and " " not in clause.lemma and not idiom(clause.verb)
    if target is not None and clause.told and simple and clause.verb.tag_ in ("VBZ", "VBD", "VBP"):
        plural = target.tag_ in ("NNS", "NNPS") or target.lower_ in language.plural
        many = plural or any(t.dep_ == "conj" for t in target.children)
        be = ("were" if many else "was") if clause.verb.tag_ == "VBD" else ("are" if many else "is")
        own = {t.i for t in target.subtree}
        told = text(tuple(t for t in clause.after if t.i in own), clause.words)
        kept = tuple(t for t in clause.after if t.i not in own and not _in_clause(t, clause))
        if told:
            done = participle(clause.lemma, language)
            yield ["by whom" if ask.kind == "person" else "by what", be, told, done, text(kept, clause.words)]


def _agreeing(clause: Clause, language: Language) -> list[str]:
    """Return the verb group as it follows `who`."""
    if clause.helpers:
        first, *others = clause.helpers
        return [_SINGULAR.get(first, first), *clause.adverbs, *others, clause.told]
    if clause.lemma == "be":
        return [clause.told, *clause.adverbs]
    many = clause.verb.tag_ == "VBP" and not clause.extra
    verb = inflected(clause.lemma, "VBZ", language) if many else clause.told
    return [*clause.adverbs, _SINGULAR.get(verb, verb)]


def _opened_many(clause: Clause) -> list[str]:
    """Return the verb group as it follows `how many boats`."""
    return [*clause.helpers[:1], *clause.adverbs, *clause.helpers[1:], clause.told]


def _of_rest(clause: Clause, ask: Ask, language: Language) -> Iterator[list[str]]:
    helper, group = _opened(clause)
    before = text(tuple(t for t in clause.before if t not in ask.tokens), clause.words)
    for n, rest in enumerate(_rests(clause, ask, language)):
        extra = "" if ask.answer == clause.extra else clause.extra
        middle = [helper, clause.subject, *group, extra]
        lead = before if n == 0 else ""
        if ask.role == "action":
            yield ["what", *middle, rest, "to do" if not group or group[-1] != "do" else "", lead]
        elif ask.role == "preposition" and ask.kind != "duration":
            stranded, piped = _after_preposition(ask)
            yield [stranded, *middle, rest, ask.prep, lead]
            yield [f"{ask.prep} {piped}", *middle, rest, lead]
        elif ask.role == "object" and ask.kind == "number" and ask.head is not None:
            yield ["how many", _counted(ask, clause), *middle, rest, lead]
        elif ask.role == "object" and ask.kind == "quality":
            yield [
                "how" if clause.lemma in ("feel", "look", "sound", "seem") else "what",
                *middle,
                rest,
                *(["like"] if clause.lemma == "be" else []),
                lead,
            ]
        else:
            yield [_word(ask), *middle, rest, lead]


def _after_preposition(ask: Ask) -> tuple[str, str]:
    """Return the words that ask for what a preposition governs, far from it and right behind it."""
    if ask.kind == "person":
        return "who", "whom"
    word = "how much" if ask.kind == "money" else "where" if ask.head is not None and ask.head.ent_type_ in PLACES else "what"
    return word, word


def _word(ask: Ask) -> str:
    return {
        "person": "who",
        "identity": "who",
        "place": "where",
        "time": "when",
        "reason": "why",
        "way": "how",
        "duration": "how long",
        "money": "how much",
    }.get(ask.kind, "what")


def _opened(clause: Clause) -> tuple[str, list[str]]:
    """Return the auxiliary that opens a question and what is left of the verb group: `plots` gives `does`, `plot`."""
    if clause.helpers:
        first, *others = clause.helpers
        return first, [*clause.adverbs, *others, clause.told]
    if clause.lemma == "be":
        return clause.told, list(clause.adverbs)
    helper = "did" if clause.past else "do" if clause.verb.tag_ == "VBP" else "does"
    return helper, [*clause.adverbs, clause.lemma]


def _rests(clause: Clause, ask: Ask, language: Language) -> Iterator[str]:
    """Yield what stands behind the verb without the part asked for.

    First without clauses inside it if it is long, then only what the verb cannot do without, then all of it.
    """
    taken = {t.i for t in ask.tokens}
    full = tuple(t for t in clause.after if t.i not in taken and not _reason(t, clause, language))
    short = tuple(t for t in full if not _aside(t, clause))
    core = tuple(t for t in full if _core(t, clause) and t in short)
    for kept in dict.fromkeys((short if len(full) > _LONG and short else full, core or full, full)):
        yield text(kept, clause.words)


def _top(token: Token, clause: Clause) -> Token:
    """Return the part of the clause that a token belongs to, by its head."""
    while token.head not in (clause.verb, token):
        token = token.head
    return token


def _core(token: Token, clause: Clause) -> bool:
    top = _top(token, clause)
    return top.dep_ in _CORE or (top.dep_ in ("advmod", "prep") and top.n_rights + top.n_lefts == 0)


def _aside(token: Token, clause: Clause) -> bool:
    """Say whether a token stands in a clause of its own, which a question can do without."""
    while token not in (clause.verb, token.head):
        if token.dep_ in ("advcl", "relcl"):
            return True
        token = token.head
    return False


def _reason(token: Token, clause: Clause, language: Language) -> bool:
    top = _top(token, clause)
    return top.dep_ == "advcl" and top.left_edge.lower_ in (*language.reasons, *language.conditions, *language.concessions)


def _in_clause(token: Token, clause: Clause) -> bool:
    return _top(token, clause).dep_ in ("advcl", "ccomp", "xcomp")


def _counted(ask: Ask, clause: Clause) -> str:
    """Return what is counted: `six thousand names` gives `names`."""
    assert ask.head is not None
    kept = [t for t in ask.head.lefts if t.dep_ in ("amod", "compound")]
    return text((*kept, ask.head), clause.words)
