"""Which names are persons, and whom a pronoun means, as far as the text itself shows.

In: the parsed paragraphs of one document.  Out: `People`, and for each paragraph the pronouns' meanings by token.

No list of first names is used: a person is a name that does something, or that a person noun stands beside; whether a name
is a he or a she is counted from the pronouns around it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spacy.tokens import Doc, Span, Token

    from ftbuild.grammar.language import Language

SUBJECTS = ("nsubj", "nsubjpass")
_STATES = frozenset({"be", "have", "become", "stand", "lie", "reach", "remain", "include", "follow", "contain", "take"})
_MEASURES = ("DATE", "TIME", "CARDINAL", "PERCENT", "MONEY", "QUANTITY", "ORDINAL")
_ABSTRACT = re.compile("(ance|ence|tion|ment|ness|ity|ism|ship|est)$")
_NEARBY = 24  # nouns that a pronoun may reach back to


def name_of(token: Token) -> str:
    """Return the full name that ends in a proper noun: `Edmund Varley`."""
    parts = [t for t in token.lefts if t.dep_ in ("compound", "flat") and t.pos_ == "PROPN"]
    return " ".join(t.text for t in (*parts, token))


@dataclass
class People:
    """The persons of one document, by the last word of their names."""

    language: Language
    names: set[str] = field(default_factory=set)
    persons: set[str] = field(default_factory=set)
    gender: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, docs: Iterable[Doc], language: Language) -> People:
        """Learn who is a person, and which of them are called he or she."""
        made, docs = cls(language), list(docs)
        made.names = _names(docs)
        acts: Counter[str] = Counter()
        things: Counter[str] = Counter()
        for token in (t for doc in docs for t in doc):
            if made.is_name(token) and token.dep_ != "compound":
                (acts if made._acts(token) else things)[token.text] += 1
        made.persons = {n for n, count in acts.items() if count * 4 >= things[n]}
        for doc in docs:
            made._count_genders(doc)
        return made

    def is_name(self, token: Token) -> bool:
        """Say whether a word is a name, whatever the parser makes of it at the beginning of a sentence."""
        return token.text in self.names

    def is_person(self, token: Token) -> bool:
        """Say whether the noun phrase with this head means a person or persons."""
        if self.is_name(token):
            return token.text in self.persons or token.text.lower().removesuffix("s") in self.language.person_nouns
        if token.pos_ == "PRON":
            return token.lower_ in {*self.language.masculine, *self.language.feminine, "who", *self.language.person_nouns}
        return token.lemma_.lower() in self.language.person_nouns

    def means_person(self, meaning: str) -> bool:
        """Say whether what a pronoun stands for is a person or persons: `Anna and Otto`, `the two freedmen`."""
        *_, last = meaning.partition(" of ")[0].split() or [""]
        return last in self.persons or {last.lower(), last.lower().removesuffix("s")} & self.language.person_nouns != set()

    def _acts(self, token: Token) -> bool:
        beside = [
            t for t in (*token.children, token.head) if t.dep_ in ("appos", "compound") or token.dep_ in ("appos", "attr")
        ]
        if any(t.lemma_.lower() in self.language.person_nouns for t in beside):
            return True
        if any(t.lower_ == "the" for t in token.lefts) or token.ent_type_ in ("DATE", "WORK_OF_ART", "PRODUCT"):
            return False
        if token.ent_type_ == "PERSON":
            return True
        return token.dep_ == "nsubj" and token.head.pos_ == "VERB" and token.head.lemma_ not in _STATES

    def _count_genders(self, doc: Doc) -> None:
        before: set[str] = set()
        for token in (t for t in doc if t.text in self.persons and t.dep_ != "compound"):
            near = (*token.children, token.head)
            beside = {t.lower_ for t in near if "appos" in (t.dep_, token.dep_) or t.dep_ == "compound"}
            self.gender[name_of(token)] += 3 * (len(beside & self.language.men_nouns) - len(beside & self.language.women_nouns))
        for sentence in doc.sents:
            names = {name_of(t) for t in sentence if t.text in self.persons and t.dep_ != "compound"}
            meant = names or before
            he = sum(t.lower_ in self.language.masculine for t in sentence)
            she = sum(t.lower_ in self.language.feminine for t in sentence)
            if len(meant) == 1 and bool(he) != bool(she):
                self.gender[next(iter(meant))] += 1 if he else -1
            opening = next((t for t in sentence if t.dep_ == "nsubj"), None)
            if opening is not None and opening.lower_ in (*self.language.masculine, *self.language.feminine):
                for name in self._subject_before(doc, sentence):
                    self.gender[name] += 2 if opening.lower_ in self.language.masculine else -2
            before = names or before

    def _subject_before(self, doc: Doc, sentence: Span) -> Iterator[str]:
        earlier = [t for t in doc[: sentence.start] if t.text in self.persons and t.dep_ == "nsubj"]
        if earlier and earlier[-1].sent.end == sentence.start:
            yield name_of(earlier[-1])

    def meanings(self, docs: Iterable[Doc]) -> Iterator[dict[int, str]]:
        """Yield what the pronouns of each paragraph stand for, by their places; those that cannot be told are left out."""
        seen: list[Token] = []
        for doc in docs:
            meant: dict[int, str] = {}
            for sentence in doc.sents:
                for token in sentence:
                    if token.lower_ in self.language.pronouns and token.pos_ == "PRON":
                        if antecedent := self._antecedent(token, seen, meant):
                            meant[token.i] = antecedent
                    elif (
                        (token.pos_ in ("PROPN", "NOUN") or self.is_name(token))
                        and token.dep_ != "compound"
                        and token.ent_type_ not in _MEASURES
                    ):
                        seen = [*(t for t in seen if t.text != token.text), token][-_NEARBY:]
                # the subject of a sentence is what the next one goes on about
                subjects = [
                    t
                    for t in seen
                    if t.doc is doc and t.sent == sentence and t.dep_ in SUBJECTS and t.head.dep_ in ("ROOT", "conj")
                ]
                seen = [*(t for t in seen if t not in subjects), *subjects]
            yield meant

    def _antecedent(self, pronoun: Token, seen: list[Token], meant: dict[int, str]) -> str:
        word = pronoun.lower_
        about = next((v.head for v in pronoun.ancestors if v.dep_ == "relcl"), None)
        if about is not None and self._relative(pronoun) and self._may_be(about, pronoun):
            return self._full(about, word)
        own = {t for verb in pronoun.ancestors if verb.pos_ in ("VERB", "AUX") for t in _subjects(verb)}
        object_ = pronoun.dep_ in ("dobj", "pobj", "dative")
        beside = {t.text for t in pronoun.head.children if t.dep_ in ("dobj", "dative")} if pronoun.dep_ in SUBJECTS else set()
        own |= {t for verb in pronoun.ancestors if verb.dep_ == "xcomp" for t in verb.head.rights if t.dep_ == "dobj"}
        doing = next((s for s in map(_subjects, (v for v in pronoun.ancestors if v.pos_ in ("VERB", "AUX"))) if s), [])
        near = [t for t in reversed(seen) if not (object_ and t in doing) and pronoun not in t.subtree and t.text not in beside]
        fitting = [t for t in near if self._may_be(t, pronoun)]
        here = [t for t in fitting if t in own or (t.doc is pronoun.doc and t.sent == pronoun.sent and t.dep_ in SUBJECTS)]
        sure = [t for t in fitting if self._gender(t)]
        for choice in (here, sure, fitting):  # who is spoken of just here; who is called so elsewhere; anybody it may be
            if choice:
                return self._full(choice[0], word)
        if pronoun.dep_ == "poss":
            return next((meant[t.i] for t in sorted(own, key=lambda t: -t.i) if t.i in meant), "")
        return ""

    def _relative(self, pronoun: Token) -> bool:
        """Say whether a pronoun stands in a relative clause whose subject is `who` or `which`: `Hale, who sold his boat`."""
        verb = next(v for v in pronoun.ancestors if v.dep_ == "relcl")
        return pronoun.dep_ == "poss" and any(t.tag_ in ("WP", "WDT") and t.dep_ in SUBJECTS for t in verb.lefts)

    def _may_be(self, token: Token, pronoun: Token) -> bool:
        language, word = self.language, pronoun.lower_
        plural = token.tag_ in ("NNS", "NNPS") or any(t.dep_ == "conj" for t in token.children)
        if word in language.plural:
            return plural and token.dep_ != "conj"
        if plural:
            return False
        if word in language.neuter:
            near = token.doc is pronoun.doc and token.sent == pronoun.sent
            return not self.is_person(token) and (token.dep_ in SUBJECTS or (near and token.dep_ == "dobj"))
        if not self.is_person(token):
            return False
        if not self.is_name(token):
            return False
        return self._gender(token) >= 0 if word in language.masculine else self._gender(token) <= 0

    def _gender(self, token: Token) -> int:
        """Return more than 0 for a man, less than 0 for a woman, going by the full name if that is known."""
        return self.gender[name_of(token)] or self.gender[token.text]

    def _full(self, token: Token, word: str) -> str:
        if token.text in self.persons and word not in self.language.plural:
            return token.text
        kept = sorted((t for t in token.subtree if not _outside(t, token)), key=lambda t: t.i)
        text = "".join(t.text_with_ws for t in kept).strip(" ,")
        return text if self.is_name(kept[0]) else text[:1].lower() + text[1:]


def _subjects(verb: Token) -> list[Token]:
    return [t for t in verb.lefts if t.dep_ in SUBJECTS]


def _names(docs: Iterable[Doc]) -> set[str]:
    """Return the words that are names: written with a capital inside a sentence, or nowhere without one."""
    inside: set[str] = set()
    first: set[str] = set()
    small: set[str] = set()
    for token in (t for doc in docs for t in doc if t.is_alpha):
        if token.is_lower:
            small.add(token.text)
        elif token.is_title and token.pos_ in ("PROPN", "NOUN", "ADJ", "VERB", "X"):
            if token.is_sent_start:
                if token.pos_ == "PROPN" and (token.ent_type_ or not _ABSTRACT.search(token.text)):
                    first.add(token.text)
            elif token.pos_ == "PROPN":
                inside.add(token.text)
    return inside | {name for name in first if name.lower() not in small}


def _outside(token: Token, head: Token) -> bool:
    """Say whether a token stands in a relative clause or an apposition of a noun phrase."""
    while token != head:
        if token.dep_ in ("relcl", "appos", "acl", "prep") and not (token.dep_ == "prep" and token.lower_ == "of"):
            return True
        token = token.head
    return False
