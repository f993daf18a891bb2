"""Simple statements: what a sentence says, taken apart along its parse, with its pronouns filled in.

    Margaret Lorne, a schoolmistress, collected signatures, and when she laid them before the council it gave way.
        Margaret Lorne collected signatures
        Margaret Lorne was a schoolmistress
        Margaret Lorne laid them before the council
        the council gave way

In: a parsed paragraph and the people of the document.  Out: `Clause`s, whose parts can be put together again in any order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ftbuild.grammar.people import SUBJECTS, name_of
from ftbuild.grammar.phrases import phrase, text, tokens_of
from ftbuild.grammar.verbs import lemma_of, past, third_person

if TYPE_CHECKING:
    from spacy.tokens import Doc, Token

    from ftbuild.grammar.language import Language
    from ftbuild.grammar.people import People

_FINITE = ("VBZ", "VBP", "VBD")
_LONGEST = 40


@dataclass(frozen=True)
class Clause:
    """A simple statement: `before`, subject, `helpers[0]`, `adverbs`, other helpers, `told`, `extra`, `after`.

    `told` is the verb as it stands, `extra` an object or attribute that does not stand behind the verb in the sentence.
    `before` and `after` are tokens in order; `words` says what their pronouns mean.  `who` says that the subject is a person.
    """

    verb: Token
    head: Token
    subject: str
    who: bool
    past: bool
    helpers: tuple[str, ...]
    adverbs: tuple[str, ...]
    told: str
    before: tuple[Token, ...]
    after: tuple[Token, ...]
    words: Mapping[int, str]
    extra: str = ""
    extra_head: Token | None = None
    other_verb: str = ""

    @property
    def lemma(self) -> str:
        """The plain form of the verb."""
        return self.other_verb or lemma_of(self.verb)

    @property
    def passive(self) -> bool:
        """Whether the subject is what something is done to."""
        return any(t.dep_ == "auxpass" for t in self.verb.children) or (
            self.verb.dep_ in ("acl", "advcl") and self.verb.tag_ == "VBN" and self.helpers[:1] != ("had",)
        )

    @property
    def sentence(self) -> str:
        """The sentence that the statement was taken from."""
        return str(self.verb.sent.text).strip()

    @property
    def statement(self) -> str:
        """The statement as text."""
        before, after = text(self.before, self.words), text(self.after, self.words)
        group = [*self.helpers[:1], *self.adverbs, *self.helpers[1:], self.told]
        return _joined([before + "," if before else "", self.subject, *group, self.extra, after])


def clauses(doc: Doc, people: People, words: Mapping[int, str]) -> Iterator[Clause]:
    """Yield the statements that can stand by themselves, given what pronouns mean.  A question states nothing."""
    for sentence in doc.sents:
        if sentence.text.rstrip('"”’ ').endswith("?"):
            continue
        for token in sentence:
            if token.pos_ in ("VERB", "AUX") and (clause := _clause(token, people, words)) and len(clause.after) <= _LONGEST:
                yield clause
            yield from _namings(token, people, words)


def apart(clause: Token) -> bool:
    """Say whether the parser took the first half of a sentence, up to a semicolon, for what the second half says."""
    end = clause.right_edge
    return clause.dep_ == "ccomp" and clause.i < clause.head.i and any(t.text == ";" for t in end.doc[end.i : clause.head.i])


def _clause(verb: Token, people: People, words: Mapping[int, str]) -> Clause | None:
    found = _subject(verb, people)
    if found is None or _stressed(verb) is not None or not _told(verb, people.language):
        return None
    subject, given = found
    if subject.tag_ in ("WP", "WDT", "EX") or (
        subject.pos_ == "PRON" and subject.i not in words and subject.lower_ in people.language.pronouns
    ):
        return None
    helpers, adverbs = _helpers(verb)
    several = subject.tag_ in ("NNS", "NNPS")
    if several and not given and helpers[:1] in (("is",), ("was",), ("has",)):  # the parser took another's subject
        return None
    told = verb.text.lower()
    past_ = verb.tag_ == "VBD"
    if not helpers and verb.tag_ == "VBN" and not given and verb.dep_ in ("ROOT", "conj"):  # the parser's slip
        past_ = True
    elif not helpers and verb.tag_ == "VBG" and _by_itself(verb):
        past_ = _in_past(verb)
        told = past(lemma_of(verb), people.language) if past_ else third_person(lemma_of(verb))
    elif not helpers and verb.tag_ not in _FINITE:
        if not (verb.tag_ == "VBN" and (verb.dep_ == "acl" or _by_itself(verb))):
            return None
        helpers = ("were" if several else "was",) if _in_past(verb) else ("are" if several else "is",)
    before, after = _around(verb, subject if not given else None)
    object_ = _missing_object(verb)
    if object_ is not None:
        before = tuple(t for t in before if t.tag_ not in ("WDT", "WP"))
    whose = next((t for t in subject.subtree if t.tag_ == "WP$" and not given), None)
    if whose is not None:
        if verb.dep_ != "relcl":
            return None
        words = {**words, whose.i: _subject_text(_antecedent(verb, verb.head), words, given=True)}
    if verb.dep_ in ("relcl", "acl") and any(t.tag_ in ("WDT", "WP", "WP$", "WRB") for t in (*before, *after)):
        return None
    attribute = next((t for t in verb.rights if t.dep_ == "attr"), None) if verb.lemma_ == "be" else None
    who = any(people.is_person(t) for t in (subject, attribute) if t is not None) or (
        subject.i in words and people.means_person(words[subject.i])
    )
    name = _subject_text(subject, words, given=given)
    own = {subject.text, name, words.get(subject.i, name)}
    inside = set(tokens_of(subject)) - set(verb.subtree) if given else set(subject.subtree)
    words = {i: w for i, w in words.items() if verb.doc[i].tag_ != "PRP$" or w not in own or verb.doc[i] in inside}
    extra = _subject_text(object_, words, given=True) if object_ is not None else ""
    return Clause(verb, subject, name, who, past_, helpers, adverbs, told, before, after, words, extra, object_)


def _subject_text(subject: Token, words: Mapping[int, str], *, given: bool) -> str:
    if given:  # the noun that a relative clause is about, without that clause
        own = [
            t
            for t in tokens_of(subject)
            if not any(a.dep_ in ("relcl", "acl") and a.head == subject for a in (t, *t.ancestors))
        ]
        return text(own, words)
    return text(tokens_of(subject), words)


def _subject(verb: Token, people: People) -> tuple[Token, bool] | None:
    """Return the subject of a verb, and whether it was taken from the sentence around it."""
    near = [verb, *(t for t in verb.lefts if t.dep_ == "auxpass")]
    own = next((t for v in near for t in v.lefts if t.dep_ in SUBJECTS), None)
    if own is not None and own.tag_ in ("WP", "WDT"):
        if (stressed := _stressed(verb.head)) is not None and verb in verb.head.children:
            return stressed, True
        if verb.dep_ != "relcl":
            return None
        head = _meant(_antecedent(verb, verb.head))
        return (head.head if head.dep_ == "appos" and head.head.pos_ == "PROPN" else head), True
    if own is not None:
        return own, False
    if verb.dep_ == "conj" and verb.head.pos_ in ("VERB", "AUX"):
        found = _subject(verb.head, people)
        return (found[0], found[1]) if found else None
    if verb.dep_ == "acl" and verb.tag_ == "VBN":
        return verb.head, True
    if _by_itself(verb):
        found = _subject(verb.head if verb.dep_ == "advcl" else verb.head.head, people)
        return (found[0], True) if found else None
    return None


def _stressed(verb: Token) -> Token | None:
    """Return what a sentence such as `it was salt that enabled them to pay` stresses, or None if it is no such sentence."""
    if verb.lemma_ != "be" or not any(t.lower_ == "it" and t.dep_ in SUBJECTS for t in verb.lefts):
        return None
    if not any(t.dep_ in ("ccomp", "relcl", "advcl") and any(w.tag_ in ("WP", "WDT") for w in t.lefts) for t in verb.rights):
        return None
    return next((t for t in verb.rights if t.dep_ == "attr" and t.pos_ in ("NOUN", "PROPN")), None)


def _by_itself(verb: Token) -> bool:
    """Say whether a participle tells what the subject did besides: `Jupp fled, taking the chest`, `by selling the boat`."""
    if verb.tag_ not in ("VBG", "VBN") or any(t.dep_ in ("mark", *SUBJECTS) or t.tag_ == "WRB" for t in verb.lefts):
        return False
    above = verb.head if verb.dep_ == "advcl" else verb.head.head if verb.dep_ == "pcomp" and verb.head.lower_ == "by" else None
    if above is None or above.pos_ != "VERB" or any(t.dep_ == "auxpass" for t in above.lefts):
        return False
    return not any(t.dep_ in ("aux", "auxpass") and t.lower_ != "having" for t in verb.lefts)


def _meant(noun: Token) -> Token:
    """Return who or what a described noun turns out to be: `the man who saved him is Otho` is about Otho."""
    if noun.dep_ == "nsubj" and noun.head.lemma_ == "be":
        return next((t for t in noun.head.rights if t.dep_ == "attr" and t.pos_ in ("NOUN", "PROPN")), noun)
    return noun


def _missing_object(verb: Token) -> Token | None:
    """Return what a relative clause is about, if that is the verb's object: `the reward that he promised`."""
    if verb.dep_ != "relcl" or verb.head.pos_ not in ("NOUN", "PROPN"):
        return None
    pronoun = next((t for t in verb.lefts if t.tag_ in ("WDT", "WP") and t.dep_ == "dobj"), None)
    return _meant(_antecedent(verb, verb.head)) if pronoun is not None else None


def _antecedent(verb: Token, noun: Token) -> Token:
    """Return what a relative clause is about: `a frame of iron legs, which was cheap` is about the frame."""
    first = next((t for t in verb.lefts if t.dep_ in ("aux", "auxpass")), verb)
    singular = first.tag_ == "VBZ" or first.lower_ == "was"
    while singular and noun.tag_ in ("NNS", "NNPS") and noun.dep_ == "pobj" and noun.head.head.pos_ == "NOUN":
        noun = noun.head.head
    return noun


def _told(verb: Token, language: Language) -> bool:
    """Say whether the text states what the verb says: not what somebody only claims, supposes or would like."""
    if verb.dep_ == "conj":
        return verb.head.pos_ in ("VERB", "AUX") and _told(verb.head, language)
    if apart(verb) or (verb.dep_ in ("ccomp", "advcl") and _stressed(verb.head) is not None):
        return _told(verb.head, language)
    if verb.dep_ == "ccomp":
        return (
            verb.head.lemma_ in language.factive
            and not any(t.dep_ == "neg" for t in verb.head.children)
            and _told(verb.head, language)
        )
    if _by_itself(verb):
        return _told(verb.head if verb.dep_ == "advcl" else verb.head.head, language)
    if verb.dep_ == "advcl":
        near = [verb, *(t for t in verb.lefts if t.dep_ == "auxpass")]
        marks = {t.lower_ for v in near for t in v.children if t.dep_ in ("mark", "advmod")}
        return bool(marks & {*language.reasons, *language.times, *language.concessions})
    if verb.dep_ in ("relcl", "acl"):
        return all(a.dep_ != "ccomp" or apart(a) or a.head.lemma_ in language.factive for a in verb.ancestors)
    return verb.dep_ in ("ROOT", "parataxis")


def _helpers(verb: Token) -> tuple[tuple[str, ...], tuple[str, ...]]:
    helpers = [t for t in verb.lefts if t.dep_ in ("aux", "auxpass") and t.tag_ != "TO"]
    opens = helpers[0].i if helpers else max((t.i for t in verb.lefts if t.dep_ in SUBJECTS), default=-1)
    adverbs = tuple(
        "not" if t.text in ("n't", "n’t") else t.lower_
        for t in verb.children
        if t.dep_ == "neg" or (t.dep_ == "advmod" and t.tag_ != "WRB" and opens < t.i < verb.i)
    )
    if not helpers and verb.dep_ == "conj" and verb.tag_ in ("VBN", "VB", "VBG"):
        inherited, _ = _helpers(verb.head)
        return inherited, adverbs
    return tuple({"’s": "is", "'s": "is", "having": "had"}.get(t.lower_, t.lower_) for t in helpers), adverbs


def _around(verb: Token, subject: Token | None) -> tuple[tuple[Token, ...], tuple[Token, ...]]:
    """Return the tokens before the subject and those after the verb that belong to its statement."""
    left: list[Token] = []
    right: list[Token] = []
    for child in verb.children:
        if apart(child) or child.dep_ in (
            *SUBJECTS,
            "relcl",
            "aux",
            "auxpass",
            "neg",
            "cc",
            "conj",
            "mark",
            "punct",
            "parataxis",
            "intj",
            "preconj",
            "expl",
            "dep",
        ):
            continue
        if child.dep_ == "advmod" and (child.i < verb.i or child.tag_ == "WRB"):
            if (
                child.tag_ != "WRB"
                and subject is not None
                and child.i < subject.left_edge.i
                and child.lower_ not in ("then", "so", "however", "also", "now")
            ):
                left += child.subtree
            continue
        if child.i > verb.i or child.dep_ == "ccomp":
            right += tokens_of(child)
        elif subject is not None and child.i < subject.i and not _relates(child, verb):
            left += tokens_of(child)
    order = sorted(right, key=lambda t: t.i)
    return tuple(sorted(left, key=lambda t: t.i)), tuple(order)


def _relates(child: Token, verb: Token) -> bool:
    """Say whether a phrase only ties a relative clause to what it is about: `upon which`."""
    return verb.dep_ == "relcl" and child.dep_ == "prep" and any(t.tag_ in ("WDT", "WP") for t in child.children)


def _in_past(verb: Token) -> bool:
    root = verb.sent.root
    helpers = [t for t in root.children if t.dep_ in ("aux", "auxpass")]
    return (
        root.tag_ == "VBD"
        or any(t.tag_ == "VBD" or t.lower_ in ("could", "would") for t in helpers)
        or (root.tag_ == "VBN" and not helpers)
    )


def _namings(token: Token, people: People, words: Mapping[int, str]) -> Iterator[Clause]:
    """Yield what is said of a name in passing: `Lorne, a schoolmistress`, `his assistant, Mossman`, `the baker Hume`."""
    name, noun = token, None
    if token.dep_ == "appos" and token.i > token.head.i:
        name, noun = (token.head, token) if token.head.pos_ == "PROPN" else (token, token.head)
    elif token.pos_ == "PROPN" and token.dep_ != "compound":
        noun = next((t for t in token.lefts if t.dep_ == "compound" and t.pos_ == "NOUN"), None)
    if noun is None or name.pos_ != "PROPN" or noun.pos_ != "NOUN" or (noun.dep_ != "compound" and not _determined(noun)):
        return
    if any(t.tag_ in _FINITE for t in token.doc[noun.i : name.i]):  # what stands so far away is not beside it
        return
    past_ = _in_past(token)
    if noun.dep_ == "compound":
        told = ("an " if noun.text[0] in "aeiou" else "a ") + noun.text
    else:
        inside = {t.i for t in name.subtree} if name != noun.head else set()
        about = {t.i for t in noun.children if t.dep_ == "relcl" for t in t.subtree}
        told = text([t for t in noun.subtree if t.i not in inside | about and not t.is_punct], words)
    yield Clause(
        token,
        name,
        name_of(name),
        people.is_person(name),
        past_,
        ("was" if past_ else "is",),
        (),
        "",
        (),
        (),
        words,
        told,
        noun,
    )


def _determined(noun: Token) -> bool:
    return any(t.dep_ in ("det", "poss") for t in noun.lefts)


def turned(clause: Clause, people: People) -> Clause | None:
    """Return a passive statement with its `by …` as the statement of who did it, or None: `Otho saved Claudius`."""
    if not clause.passive:
        return None
    agent = next((t for t in clause.verb.children if t.dep_ == "agent"), None)
    doer = next((t for t in agent.children if t.dep_ == "pobj"), None) if agent is not None else None
    if (
        agent is None
        or doer is None
        or doer.lemma_.lower() in people.language.states
        or (doer.pos_ == "PRON" and doer.i not in clause.words)
    ):
        return None
    if clause.helpers not in (("was",), ("were",), ("is",), ("are",)):
        return None
    rest = {t.i for t in agent.subtree}
    lemma = lemma_of(clause.verb)
    return replace(
        clause,
        head=doer,
        subject=phrase(doer, clause.words),
        who=people.is_person(doer),
        past=clause.helpers[0] in ("was", "were"),
        helpers=(),
        told=past(lemma, people.language) if clause.helpers[0] in ("was", "were") else third_person(lemma),
        after=tuple(t for t in clause.after if t.i not in rest),
        extra=clause.subject,
        extra_head=clause.head,
    )


def _joined(parts: list[str]) -> str:
    return " ".join(p for p in parts if p)
