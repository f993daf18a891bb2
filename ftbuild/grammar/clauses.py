"""Simple statements: what a sentence says, taken apart at its commas and conjunctions, with its pronouns filled in.

    Agrippina, the wife of Claudius, hides the letter, and then she sends for Pallas.
        Agrippina hides the letter
        Agrippina is the wife of Claudius
        Agrippina sends for Pallas

In: sentences in their order, and a `Lexicon`.  Out: clauses as words, with the places of subject and verb.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ftbuild.grammar.language import Lexicon, words

_LONGEST_APPOSITION = 10


@dataclass(frozen=True)
class Clause:
    """A simple statement: its words, where its subject stands, and where its verb is."""

    tokens: tuple[str, ...]
    start: int
    end: int
    verb: int
    sentence: str

    @property
    def subject(self) -> tuple[str, ...]:
        """The words of the subject."""
        return self.tokens[self.start : self.end]


class Splitter:
    """Takes the sentences of one passage apart, in order, remembering whom its pronouns may mean."""

    def __init__(self, lexicon: Lexicon) -> None:
        self.lexicon = lexicon
        self.language = lexicon.language
        self._singular: list[str] = []
        self._plural: tuple[str, ...] = ()

    def clauses(self, sentences: Iterable[str]) -> Iterator[Clause]:
        """Yield the clauses of consecutive sentences."""
        for sentence in sentences:
            text = re.sub(r"\([^)]*\)|[\"“”«»]", "", sentence).strip().rstrip(".!?")
            last: tuple[str, ...] = ()
            for part in re.split(r"[;:]\s+", text):
                for piece, wants_subject in self._pieces(words(part)):
                    for clause in self._parse([*last, *piece] if wants_subject else piece, sentence):
                        yield clause
                        last = clause.subject
                        self._remember(clause)

    # ---- pronouns ----

    def _remember(self, clause: Clause) -> None:
        named = [w for w in clause.tokens if w in self.lexicon.names]
        if any(w.lower() in self.language.conjunctions for w in clause.subject):
            self._plural = clause.subject
            return
        if clause.subject and clause.subject[-1].endswith("s") and clause.subject[0].lower() in self.language.determiners:
            self._plural = clause.subject
        subject = [w for w in clause.subject if w in self.lexicon.names][-1:]
        for name in [*(n for n in reversed(named) if n not in subject), *subject]:
            self._singular = [n for n in self._singular if n != name] + [name]

    def _antecedent(self, pronoun: str) -> tuple[str, ...]:
        if pronoun in self.language.plural:
            return self._plural
        return next(((n,) for n in reversed(self._singular) if self.lexicon.may_be(n, pronoun)), ())

    # ---- coordination ----

    def _pieces(self, tokens: Sequence[str]) -> Iterator[tuple[list[str], bool]]:
        """Yield coordinated pieces; the flag says that a piece begins with its verb and wants the subject before it."""
        language = self.language
        start, wants, has_verb, subordinate = 0, False, False, False
        for i, token in enumerate(tokens):
            word = token.lower()
            if word in language.conjunctions and has_verb and i + 1 < len(tokens):
                verb_next = self._verb_at(tokens, i + 1)
                if (verb_next and not subordinate) or self._opens_clause(tokens, i + 1):
                    yield list(tokens[start : i - (tokens[i - 1] == ",")]), wants
                    start, wants, has_verb, subordinate = i + 1, verb_next, False, False
            elif word in (*language.subordinators, *language.relatives) or (word == language.complementiser and i):
                subordinate = True
            elif self._finite_at(tokens, i) and i:
                has_verb = True
        yield list(tokens[start:]), wants

    def _verb_at(self, tokens: Sequence[str], i: int) -> bool:
        while i < len(tokens) and (tokens[i].lower() in self.language.adverbs or tokens[i].endswith("ly")):
            i += 1
        return i < len(tokens) and self.lexicon.finite(tokens[i])

    def _finite_at(self, tokens: Sequence[str], i: int) -> bool:
        """Say whether a finite verb stands at `i`: not an infinitive, nor what an auxiliary leads."""
        return self.lexicon.finite(tokens[i]) and (i == 0 or tokens[i - 1].lower() != self.language.infinitive)

    def _opens_clause(self, tokens: Sequence[str], i: int) -> bool:
        """Say whether a subject with its verb begins at `i`."""
        if tokens[i].lower() in ("then", "so") and i + 1 < len(tokens):
            i += 1
        if tokens[i].lower() in self.language.subjects:
            return True
        if tokens[i] not in self.lexicon.names and tokens[i].lower() not in self.language.openers:
            return False
        for j in range(i + 1, min(i + 6, len(tokens))):
            if self.lexicon.finite(tokens[j]):
                return True
            if tokens[j].lower() in self.language.closed - {*self.language.conjunctions, self.language.linking, *self.language.openers}:
                return False
            if not tokens[j][:1].isalpha():
                return False
        return False

    # ---- one clause ----

    def _parse(self, tokens: list[str], sentence: str) -> Iterator[Clause]:
        language = self.language
        while tokens and (tokens[0] == "," or tokens[0].lower() in (*language.conjunctions, *language.adverbs)):
            tokens = tokens[1:]
        tokens, appositions = self._without_appositions(tokens)
        found = self._subject_and_verb(tokens)
        if found is None:
            return
        start, end, verb = found
        if end - start == 1 and tokens[start].lower() in language.subjects:
            antecedent = self._antecedent(tokens[start].lower())
            if not antecedent:
                return
            tokens = [*tokens[:start], *antecedent, *tokens[end:]]
            end, verb = start + len(antecedent), verb + len(antecedent) - 1
        yield Clause(tuple(tokens), start, end, verb, sentence)
        owner = next((w for w in tokens[start:end] if w in self.lexicon.names), "")
        for name, phrase in appositions:
            head = phrase[0]
            if head.lower() in language.possessives:
                if not owner or owner == name:
                    continue
                head = f"{owner}'s"
            yield Clause((name, language.copula, head, *phrase[1:]), 0, 1, 1, sentence)

    def _subject_and_verb(self, tokens: Sequence[str]) -> tuple[int, int, int] | None:
        """Return subject start, subject end and verb of the main clause, or None if they cannot be made out."""
        language = self.language
        first = 0
        if tokens and tokens[0].lower() in (*language.subordinators, *language.prepositions) and "," in tokens:
            first = tokens.index(",") + 1
        for verb in range(first + 1, len(tokens)):
            if self._finite_at(tokens, verb):
                end = verb
                while end > first and (
                    tokens[end - 1].lower() in (*language.adverbs, *language.floating) or tokens[end - 1].endswith("ly")
                ):
                    end -= 1
                start = self._subject_start(tokens, first, end)
                if start is not None:
                    return start, end, verb
        return None

    def _subject_start(self, tokens: Sequence[str], first: int, end: int) -> int | None:
        language, names = self.language, self.lexicon.names
        if end <= first or not tokens[end - 1][:1].isalpha():
            return None
        phrase = tokens[first:end]
        opener = phrase[0]
        if opener in names or opener.lower() in language.openers or opener.endswith(("'s", "’s")):
            inner = {*language.subordinators, *language.relatives, language.complementiser}
            return None if inner & {w.lower() for w in phrase[1:]} else first
        if len(phrase) == 1 and opener.lower() in language.subjects:
            return first
        if opener.lower() in language.prepositions:  # In a garden Poppaea lies down
            last = tokens[end - 1]
            if last in names or last.lower() in language.subjects:
                both = end - first > 3 and tokens[end - 2].lower() in language.conjunctions and tokens[end - 3] in names  # noqa: PLR2004
                return end - 3 if both else end - 1
            for i in range(end - 2, first + 1, -1):
                if tokens[i].lower() in language.openers and tokens[i - 1].lower() not in language.prepositions:
                    return i
        return None

    def _without_appositions(self, tokens: list[str]) -> tuple[list[str], list[tuple[str, list[str]]]]:
        """Take `, the servant of Claudius,` out from behind a name, and return it as what the name is."""
        language, names = self.language, self.lexicon.names
        kept: list[str] = []
        found: list[tuple[str, list[str]]] = []
        i = 0
        while i < len(tokens):
            if tokens[i] == "," and kept and kept[-1] in names and i + 2 < len(tokens) and tokens[i + 1].lower() in language.openers:
                end = next((j for j in range(i + 1, len(tokens)) if tokens[j] == ","), len(tokens))
                phrase = tokens[i + 1 : end]
                around = [*phrase, *tokens[end + 1 : end + 2]]
                listed = any(w.lower() in language.conjunctions for w in around)
                if not listed and not any(map(self.lexicon.finite, phrase)) and len(phrase) <= _LONGEST_APPOSITION:
                    found.append((kept[-1], phrase))
                    i = end + 1
                    continue
            kept.append(tokens[i])
            i += 1
        return kept, found
