"""Gaps: the things that a statement tells, each with the questions that ask for it and its answer.

    Otho saved Claudius from drowning.
        Who saved Claudius from drowning?          Otho
        Whom did Otho save?                        Claudius
        What did Otho save Claudius from?          drowning

In: the parsed paragraphs of one document.  Out: gaps, none of them twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import TYPE_CHECKING

from ftbuild.grammar.clauses import Clause, clauses, turned
from ftbuild.grammar.framing import called, framed, renamed
from ftbuild.grammar.people import People
from ftbuild.grammar.phrases import text, tokens_of
from ftbuild.grammar.questions import PLACES, Ask, questions
from ftbuild.grammar.rewording import reworded
from ftbuild.grammar.verbs import idiom

if TYPE_CHECKING:
    from spacy.tokens import Doc, Token

    from ftbuild.grammar.language import Language

_LONGEST_ANSWER = 16
_LONGEST_QUALITY = 3
_REWORDINGS = 2
_ARGUMENTS = ("dobj", "dative", "attr", "oprd", "npadvmod")


@dataclass(frozen=True)
class Gap:
    """Something that a statement tells: how to ask for it, the answer, the whole statement, its sentence.

    `questions` are in the text's own words, `reworded` in others, `framed` begin in another way.
    """

    questions: tuple[str, ...]
    reworded: tuple[str, ...]
    framed: tuple[str, ...]
    answer: str
    whole: str
    sentence: str


def gaps(docs: Iterable[Doc], people: People) -> Iterator[list[Gap]]:
    """Yield the gaps of each paragraph, in order, without repeating one."""
    seen: set[tuple[str, ...]] = set()
    docs = list(docs)
    told = [list(_statements(doc, people, words)) for doc, words in zip(docs, people.meanings(docs), strict=True)]
    names = called(chain.from_iterable(told), people.language)
    for statements in told:
        found: list[Gap] = []
        for clause in statements:
            if _unclear(clause.after, clause, people) or _unclear(clause.before, clause, people):
                continue
            for ask in asks(clause, people):
                asked = tuple(dict.fromkeys(questions(clause, ask, people.language)))
                varied = tuple(q for q in _in_other_words(clause, ask, people.language, len(found)) if q not in asked)
                others = tuple(_framed(asked, varied, clause, ask, names))
                gap = Gap(asked, varied, others, ask.answer, _capital(clause.statement) + ".", clause.sentence)
                if asked and _tells(ask) and (key := (asked[0], gap.answer)) not in seen:
                    seen.add(key)
                    found.append(gap)
        yield found


def _in_other_words(clause: Clause, ask: Ask, language: Language, turn: int) -> Iterator[str]:
    """Yield questions about a statement with its words exchanged, in two ways."""
    others = [other for n in range(_REWORDINGS) if (other := reworded(clause, language, turn + n)) is not None]
    found = [list(questions(other, ask, language)) for other in others]
    yield from dict.fromkeys(q for together in zip_longest(*found) for q in together if q)


def _framed(asked: Sequence[str], varied: Sequence[str], clause: Clause, ask: Ask, names: Mapping[str, str]) -> Iterator[str]:
    """Yield a gap's questions as others would begin them, and with other names for those whom they are about."""
    if not asked:
        return
    head = clause.head if ask.role == "subject" else ask.head
    first, other = asked[0], varied[0] if varied else asked[-1]
    found = [list(framed(question, ask, head, names)) for question in dict.fromkeys((other, first))]
    called_so = [renamed(question, names) for question in (first, other)] if clause.told else []
    together = chain.from_iterable(zip_longest(*found, called_so))
    yield from dict.fromkeys(q for q in together if q and q not in (*asked, *varied))


def _statements(doc: Doc, people: People, words: Mapping[int, str]) -> Iterator[Clause]:
    for clause in clauses(doc, people, words):
        yield clause
        if (other := turned(clause, people)) is not None:
            yield other


def asks(clause: Clause, people: People) -> Iterator[Ask]:
    """Yield what a statement tells that can be asked for: its subject, then what stands behind and before the verb."""
    says = clause.lemma == "be" and any(t.dep_ in ("ccomp", "xcomp") for t in clause.verb.rights)
    if not says and (clause.after or clause.extra or clause.before or clause.passive):
        counted = clause.head.tag_ == "NNS" and any(t.dep_ == "nummod" for t in clause.head.lefts)
        yield Ask("subject", "person" if clause.who else "thing", clause.subject)
        if counted:
            yield Ask("subject", "number", clause.subject, head=clause.head)
    if clause.extra and clause.extra_head is not None:
        kind = "person" if people.is_person(clause.extra_head) and clause.told else "thing"
        if not clause.told and clause.who:
            kind = "identity"
        yield Ask("object", kind, clause.extra)
    present = {t.i for t in (*clause.before, *clause.after)}
    if clause.told:
        for ask in _of_verb(clause.verb, clause, people):
            if ask.tokens and all(t.i in present for t in ask.tokens) and len(ask.tokens) <= _LONGEST_ANSWER:
                yield ask


def _of_verb(verb: Token, clause: Clause, people: People) -> Iterator[Ask]:  # noqa: C901 - one branch for each relation
    language, words = people.language, clause.words
    for child in verb.children:
        own = tuple(tokens_of(child))
        if child.dep_ == "dobj" and idiom(verb):
            continue
        if child.dep_ in _ARGUMENTS and child.pos_ in ("NOUN", "PROPN", "NUM", "PRON"):
            kind = _kind(child, people, "", copula=verb.lemma_ == "be" and clause.who)
            counted = tuple(t for t in own if t.i <= child.i) if kind == "number" else own
            yield Ask("object", kind, text(counted, words), own, head=child)
            yield from _of_noun(child, clause, people)
        elif child.dep_ == "acomp":
            if len(own) <= _LONGEST_QUALITY and child.pos_ == "ADJ":
                yield Ask("object", "quality", text(own, words), own, head=child)
            yield from _of_verb(child, clause, people)
            yield from _prepositions(child, clause, people)
        elif child.dep_ in ("prep", "agent", "dative"):
            yield from _preposition(child, own, clause, people)
        elif child.dep_ in ("xcomp", "advcl") and any(t.tag_ == "TO" for t in child.lefts):
            marked = tuple(t for t in own if t.i > next(t.i for t in child.lefts if t.tag_ == "TO"))
            if verb.lemma_ == "be":  # her plan is to leave
                yield Ask("object", "thing", text(own, words), own)
                continue
            yield Ask("action", "action", text(marked, words), own)
            if child.dep_ == "advcl":
                yield Ask("reason", "reason", text(own, words), own)
            yield from _of_verb(child, clause, people)
        elif child.dep_ == "ccomp" and (child.i > verb.i or child.right_edge.i < verb.i):
            told = own[1:] if own and own[0].dep_ == "mark" else own
            if own and own[0].tag_ not in ("WRB", "WP", "WDT"):
                yield Ask("said", "thing", text(told, words), own)
        elif child.dep_ == "advcl":
            mark = own[0].lower_ if own else ""
            if mark in language.reasons:
                yield Ask("reason", "reason", text(own, words), own)
            elif mark in language.times:
                yield Ask("time", "time", text(own, words), own)


def _of_noun(noun: Token, clause: Clause, people: People) -> Iterator[Ask]:
    """Ask inside an object: `secure the throne | for Nero`."""
    for child in noun.children:
        if child.dep_ == "prep" and child.lower_ in ("for", "from", "with", "against", "to", "in", "at", "between", "on"):
            yield from _preposition(child, tuple(tokens_of(child)), clause, people)


def _prepositions(head: Token, clause: Clause, people: People) -> Iterator[Ask]:
    for child in head.children:
        if child.dep_ == "prep":
            yield from _preposition(child, tuple(tokens_of(child)), clause, people)


def _preposition(prep: Token, own: tuple[Token, ...], clause: Clause, people: People) -> Iterator[Ask]:
    noun = next((t for t in prep.children if t.dep_ == "pobj"), None)
    gerund = next((t for t in prep.children if t.dep_ == "pcomp" and t.tag_ == "VBG"), None)
    if prep.lower_ == "because":
        yield Ask("reason", "reason", text(own, clause.words), own)
    elif gerund is not None and prep.lower_ == "by":
        yield Ask("way", "way", text(own, clause.words), own)
    elif gerund is not None and prep.lower_ == "for":
        yield Ask("reason", "reason", text(own, clause.words), own)
    elif noun is not None and len(own) > 1:
        kind = _kind(noun, people, prep.lower_)
        if noun.lemma_.lower() in people.language.states:
            return
        if kind in ("place", "time", "duration"):
            yield Ask(kind, kind, text(own, clause.words), own, prep=prep.lower_, head=noun)
        else:
            inner = tuple(t for t in own if t.i != prep.i)
            yield Ask("preposition", kind, text(inner, clause.words), own, prep=prep.lower_, head=noun)


def _kind(head: Token, people: People, prep: str, *, copula: bool = False) -> str:
    if head.ent_type_ == "MONEY":
        return "money"
    if head.ent_type_ in ("DATE", "TIME") and prep == "for":
        return "duration"
    if head.ent_type_ in ("DATE", "TIME") and head.dep_ in ("pobj", "npadvmod") and prep not in ("for", "by"):
        return "time"
    if copula and head.pos_ in ("NOUN", "PROPN"):
        return "identity"
    if (prep in ("at", "in", "into") and head.pos_ == "PROPN") or (prep == "to" and head.ent_type_ in PLACES):
        return "place"
    if people.is_person(head):
        return "person"
    if any(t.dep_ == "nummod" for t in head.lefts) and not prep and head.dep_ in ("dobj", "attr") and head.tag_ == "NNS":
        return "number"
    counted = any(t.dep_ == "nummod" for t in head.lefts)
    if prep in people.language.places and head.dep_ == "pobj" and not (prep in ("at", "on") and counted):
        return "place"
    if prep in people.language.times:
        return "time"
    return "thing"


def _unclear(own: tuple[Token, ...], clause: Clause, people: People) -> bool:
    """Say whether a phrase leans on a pronoun of which nobody can tell what it means."""
    return any(
        t.lower_ in people.language.pronouns and t.tag_ == "PRP" and t.i not in clause.words and t.dep_ != "expl" for t in own
    )


def _tells(ask: Ask) -> bool:
    """Say whether an answer holds a word with a meaning of its own."""
    return not ask.tokens or any(t.pos_ in ("NOUN", "PROPN", "VERB", "ADJ", "NUM") for t in ask.tokens)


def _capital(told: str) -> str:
    return told[:1].upper() + told[1:]
