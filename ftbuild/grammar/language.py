"""What ftbuild knows about words: the closed classes of a language, and what a text itself shows of its names and verbs.

In: word lists from the recipe (`conf/language`) and the sentences of one document.  Out: a `Lexicon` that can say whether a
word is a finite verb, a name, a person, and whom a pronoun means.  No parser, no tagger and no dictionary is used: a verb is
what follows a subject, a person is a name that does something.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

_TOKEN = re.compile(r"[^\W_]+(?:[.'’-][^\W_]+)*(?:['’](?=\s|$))?|[^\w\s]")
_NEVER_VERBS = ("ly", "ous", "less")
_POSSESSIVE = re.compile(r"['’]s?$")


@dataclass(frozen=True)
class Language:
    """The closed classes of a language's words, and the question words that a gap is named by."""

    name: str
    determiners: tuple[str, ...] = ()
    possessives: tuple[str, ...] = ()
    prepositions: tuple[str, ...] = ()
    place_prepositions: tuple[str, ...] = ()
    time_prepositions: tuple[str, ...] = ()
    subordinators: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    floating: tuple[str, ...] = ()
    conjunctions: tuple[str, ...] = ()
    relatives: tuple[str, ...] = ()
    complementiser: str = ""
    infinitive: str = ""
    linking: str = ""
    masculine: tuple[str, ...] = ()
    feminine: tuple[str, ...] = ()
    plural: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()
    auxiliaries: tuple[str, ...] = ()
    adverbs: tuple[str, ...] = ()
    copula: str = ""
    do: dict[str, str] = field(default_factory=dict)
    passive: dict[str, str] = field(default_factory=dict)
    irregular: dict[str, tuple[str, ...]] = field(default_factory=dict)
    ask: dict[str, str] = field(default_factory=dict)

    @cached_property
    def closed(self) -> frozenset[str]:
        """All words that are neither names nor nouns nor verbs with a meaning of their own."""
        return frozenset(
            {
                *self.determiners, *self.possessives, *self.prepositions, *self.subordinators, *self.conjunctions,
                *self.relatives, *self.subjects, *self.objects, *self.auxiliaries, *self.adverbs, *self.plural,
                *self.masculine, *self.feminine, self.complementiser, self.infinitive,
            }
        )  # fmt: skip

    @cached_property
    def plain(self) -> dict[str, str]:
        """The plain forms of irregular verbs by their past forms: `went` → `go`."""
        return {past: base for base, (past, _) in self.irregular.items()}

    @cached_property
    def openers(self) -> frozenset[str]:
        """The words that a noun phrase may begin with."""
        return frozenset({*self.determiners, *self.possessives})


def words(text: str) -> list[str]:
    """Split a text into words and single punctuation marks."""
    return _TOKEN.findall(text)


def join(tokens: Iterable[str]) -> str:
    """Put words and punctuation back together."""
    return re.sub(r" ([,.;:!?])", r"\1", " ".join(tokens))


class Lexicon:
    """The names and verbs of one document, learned from its sentences."""

    def __init__(self, language: Language, sentences: Iterable[str]) -> None:
        self.language = language
        tokenised = [words(s) for s in sentences]
        self.names = {
            w
            for tokens in tokenised
            for i, w in enumerate(tokens)
            if i and w[:1].isupper() and w.lower() not in language.closed and not _POSSESSIVE.search(w)
        }
        self.bases: set[str] = set()
        self.verbs: set[str] = set(language.auxiliaries)
        self._learn_verbs(tokenised)
        self.persons: set[str] = set()
        self._learn_persons(tokenised)
        self._gender = self._learn_gender(tokenised)

    def finite(self, word: str) -> bool:
        """Say whether a word is one that a subject goes with: `plots`, `was`."""
        return word in self.verbs

    def content(self, word: str) -> bool:
        """Say whether a word is a lower-case word with a meaning of its own."""
        return word.isalpha() and word.islower() and word not in self.language.closed

    def is_person(self, phrase: Sequence[str]) -> bool:
        """Say whether a noun phrase means a person: the last name in it does."""
        head = list(phrase)
        if self.language.linking in head:
            head = head[: head.index(self.language.linking)]
        names = [w for w in head if w in self.names]
        return bool(names) and names[-1] in self.persons

    def may_be(self, name: str, pronoun: str) -> bool:
        """Say whether a pronoun may stand for a name, as far as the text shows."""
        if pronoun in self.language.masculine:
            return self._gender[name] >= 0
        if pronoun in self.language.feminine:
            return self._gender[name] <= 0
        return name not in self.persons

    def _learn_verbs(self, sentences: Iterable[Sequence[str]]) -> None:
        """Learn verbs as the words after a pronoun, after a name that opens a sentence, and after the infinitive's mark."""
        language = self.language
        for tokens in sentences:
            for i, word in enumerate(tokens[1:], start=1):
                if not self.content(word) or word.endswith(_NEVER_VERBS):
                    continue
                before = tokens[i - 1]
                opens = i == 1 or (i == 3 and tokens[1].lower() in language.conjunctions)  # noqa: PLR2004
                after = tokens[i + 1] if i + 1 < len(tokens) else ""
                if before == language.infinitive:
                    self.bases.add(word)
                elif before.lower() in language.conjunctions and word.endswith("s") and not word.endswith("ss"):
                    leads = (*language.openers, *language.objects, *language.adverbs, language.complementiser)
                    if after.lower() in leads or after in self.names:
                        self.verbs.add(word)
                elif before.lower() in language.subjects or (before in self.names and (opens or word.endswith(("s", "ed")))):
                    self.verbs.add(word)
        for base in self.bases:
            ending = "es" if base.endswith(("s", "sh", "ch", "x", "o")) else "s"
            self.verbs.add(re.sub("([^aeiou])y$", r"\1ie", base) + ending)
        for verb in list(self.verbs - language.closed):
            if verb.endswith("s") and not verb.endswith("ss"):
                self.verbs.add(verb[:-1])

    def _learn_persons(self, sentences: Sequence[Sequence[str]]) -> None:
        """Learn persons as the names that something is done by, and those that stand beside them in an `and`."""
        for tokens in sentences:
            for a, b in zip(tokens, tokens[1:], strict=False):
                if a in self.names and self.finite(b) and b not in self.language.auxiliaries:
                    self.persons.add(a)
        for _ in range(2):
            for tokens in sentences:
                for a, joint, b in zip(tokens, tokens[1:], tokens[2:], strict=False):
                    if joint.lower() in self.language.conjunctions and {a, b} <= self.names and {a, b} & self.persons:
                        self.persons |= {a, b}

    def _learn_gender(self, sentences: Sequence[Sequence[str]]) -> Counter[str]:
        """Count, for every name that opens a sentence, what pronoun the next one opens with: above 0 is `he`."""
        votes: Counter[str] = Counter()
        for tokens, after in zip(sentences, [*sentences[1:], []], strict=True):
            if tokens and tokens[0] in self.names and tokens[1:2] and tokens[1].lower() not in self.language.conjunctions:
                named = {w for w in tokens if w in self.names}
                nearby = [after[0].lower()] if after else []
                if len(named) == 1:
                    nearby += [w.lower() for w in tokens[1:]]
                votes[tokens[0]] += sum(w in self.language.masculine for w in nearby)
                votes[tokens[0]] -= sum(w in self.language.feminine for w in nearby)
        return votes
