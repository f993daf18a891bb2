"""Gaps: the things that a statement tells, each cut out and named by the question word that asks for it.

    Lesbus comes running with the news that the Emperor is alive.
        [who] comes running with the news that the Emperor is alive.       Lesbus
        Lesbus comes running with the news that [what].                    the Emperor is alive

A model too small to think of questions can still turn such a statement into one, and the answer is right by construction.
In: the sentences of a passage and the lexicon of its document.  Out: statements with one gap each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ftbuild.grammar.clauses import Clause, Splitter
from ftbuild.grammar.language import Lexicon, join
from ftbuild.grammar.questions import questions
from ftbuild.grammar.verbs import forms

_LONGEST_ANSWER = 14


@dataclass(frozen=True)
class Gap:
    """A statement with one part replaced by `[ask]`, that part, and the sentence that it was taken from."""

    statement: str
    ask: str
    answer: str
    sentence: str
    questions: tuple[str, ...] = ()


def gaps(sentences: Iterable[str], lexicon: Lexicon) -> Iterator[Gap]:
    """Yield the gaps of consecutive sentences, without repeating one."""
    seen = set()
    for clause in (c for told in Splitter(lexicon).clauses(sentences) for c in (told, *passive(told, lexicon))):
        for start, end, ask in _Cutter(lexicon, clause).spans():
            gap = _gap(clause, start, end, ask, lexicon)
            told = any(lexicon.content(w) or w in lexicon.names for w in clause.tokens[start:end])
            if told and (gap.statement, gap.answer) not in seen and end - start <= _LONGEST_ANSWER:
                seen.add((gap.statement, gap.answer))
                yield gap


def _gap(clause: Clause, start: int, end: int, kind: str, lexicon: Lexicon) -> Gap:
    tokens, ask = clause.tokens, lexicon.language.ask[kind]
    statement = join([*tokens[:start], f"[{ask}]", *tokens[end:]]) + "."
    asked = tuple(questions(clause, start, end, kind, lexicon))
    return Gap(statement[:1].upper() + statement[1:], ask, join(tokens[start:end]), clause.sentence, asked)


def passive(clause: Clause, lexicon: Lexicon) -> Iterator[Clause]:
    """Yield the clause told from the other side, if it has an object: `Claudius was saved from drowning by Otho`."""
    language, tokens, at = lexicon.language, clause.tokens, clause.verb + 1
    verb = forms(tokens[clause.verb], lexicon)
    if verb is None or not language.passive or at >= len(tokens) or tokens[at].lower() == language.complementiser:
        return
    if tokens[at] not in lexicon.names and tokens[at].lower() not in language.determiners:
        return
    end = _Cutter(lexicon, clause).phrase_end(at)
    target, rest = tokens[at:end], tokens[end:]
    following = rest[0].lower() if rest else ""
    if following in (",", *language.openers, *language.objects, *language.auxiliaries) or (rest and rest[0] in lexicon.names):
        return  # a list, two objects (gives Otho | the throne), or a clause of its own
    past = "past" if verb.tense == "past" else ""
    many = any(w.lower() in language.conjunctions for w in target)
    be = language.passive[("past_plural" if many else "past") if past else ("plural" if many else "singular")]
    breaks = (*language.subordinators, language.complementiser, language.infinitive)
    stop = next((i for i, w in enumerate(rest) if not w[:1].isalnum() or w.lower() in breaks), len(rest))
    subject = [w.lower() if w.lower() in language.closed else w for w in clause.subject]
    told = [*target, be, verb.participle, *rest[:stop], language.passive["by"], *subject, *rest[stop:]]
    yield Clause(tuple(told), 0, len(target), len(target), clause.sentence)


class _Cutter:
    """Finds the spans of one clause that a question may ask for."""

    def __init__(self, lexicon: Lexicon, clause: Clause) -> None:
        self.lexicon, self.language = lexicon, lexicon.language
        self.tokens, self.clause = clause.tokens, clause
        self.lower = [t.lower() for t in clause.tokens]

    def spans(self) -> Iterator[tuple[int, int, str]]:
        """Yield start, end and kind of everything that can be asked for: the subject, then what follows the verb."""
        clause = self.clause
        if clause.verb + 1 >= len(self.tokens):
            return
        yield clause.start, clause.end, "subject" if self._is_person(clause.start, clause.end) else "thing"
        if clause.start:
            yield from self._segment(0, clause.start - (self.tokens[clause.start - 1] == ","))
        i = self._after_verb()
        while i < len(self.tokens):
            j = self.phrase_end(i)
            yield from self._segment(i, j)
            i = max(j, i + 1)

    def _after_verb(self) -> int:
        """Return where the verb group ends: `has been promised`, `does not understand`."""
        i = self.clause.verb + 1
        if self.lower[i - 1] in self.language.auxiliaries:
            while i < len(self.tokens) and (
                self.lower[i] in (*self.language.adverbs, *self.language.auxiliaries)
                or (self.lexicon.content(self.tokens[i]) and self.lower[i].endswith(("ed", "en", "wn", "st", "t", "ing", "ght")))
            ):
                i += 1
        return i

    def _is_person(self, start: int, end: int) -> bool:
        return self.lexicon.is_person(self.tokens[start:end])

    def _segment(self, i: int, j: int) -> Iterator[tuple[int, int, str]]:  # noqa: C901 - one branch for each kind of phrase
        language, lexicon, tokens, lower = self.language, self.lexicon, self.tokens, self.lower
        while i < j and (lower[i] in (*language.adverbs, *language.conjunctions) or lower[i].endswith("ly") or not lower[i][0].isalnum()):
            i += 1
        while j > i and not lower[j - 1][0].isalnum():
            j -= 1
        if i >= j:
            return
        stop = self._clause_end(i)
        after = tokens[i + 1] if i + 1 < len(tokens) else ""
        if lower[i] == language.complementiser and stop - i > 3:  # noqa: PLR2004
            yield i + 1, stop, "thing"
        elif lower[i] in language.reasons and stop - i > 2:  # noqa: PLR2004
            yield i + 1, stop, "reason"
        elif lower[i] == language.infinitive and (after in lexicon.bases or lexicon.content(after)):
            yield i + 1, stop, "action"
        elif lower[i] in language.prepositions:
            yield from self._prepositional(i, j)
        elif lower[i] in language.openers or tokens[i] in lexicon.names or tokens[i].endswith(("'s", "’s")):
            yield i, j, "person" if self._is_person(i, j) else "thing"

    def _prepositional(self, i: int, j: int) -> Iterator[tuple[int, int, str]]:
        language = self.language
        named = any(t in self.lexicon.names for t in self.tokens[i + 1 : j])
        if j - i < 2 or not (named or self.lower[i + 1] in language.openers):  # noqa: PLR2004
            return
        if any(self.lower[k] in language.objects and self.lower[k] not in language.possessives for k in range(i + 1, j)):
            return
        person = self._is_person(i + 1, j)
        if person:
            yield i + 1, j, "person"
        elif self.lower[i] in language.place_prepositions:
            yield i, j, "place"
        elif self.lower[i] in language.time_prepositions:
            yield i, j, "time"
        else:
            yield i + 1, j, "thing"

    def phrase_end(self, i: int) -> int:
        """Return where the phrase that begins at `i` ends: before a comma, a preposition other than `of`, a new phrase."""
        language, names, lower = self.language, self.lexicon.names, self.lower
        if lower[i] in language.objects and lower[i] not in language.possessives:
            return i + 1
        breakers = {*language.subordinators, *language.relatives, *language.prepositions, *language.auxiliaries, *language.adverbs}
        for j in range(i + 1, len(self.tokens)):
            word = lower[j]
            if not word[0].isalnum() or word == language.complementiser:
                return j
            if self.tokens[j - 1] in names and (self.lexicon.finite(word) or word in self.lexicon.bases):
                return j
            if word in breakers and (word != language.linking or self.tokens[j - 1] in names):
                return j
            if word in language.objects and word not in language.possessives:
                return j
            opens = word in language.openers and lower[j - 1] not in {*language.prepositions, *language.openers}
            if opens and i < j - 1 + (self.tokens[j - 1] in names):
                return j  # gives Otho | the throne
            if word in language.conjunctions and not (self.tokens[j - 1] in names and self.tokens[j + 1 : j + 2] and self.tokens[j + 1] in names):
                return j
        return len(self.tokens)

    def _clause_end(self, i: int) -> int:
        """Return where a subordinate clause or an infinitive that begins at `i` ends."""
        for j in range(i + 2, len(self.tokens)):
            if self.tokens[j] in (",", ";") or self.lower[j] in self.language.reasons:
                return j
        return len(self.tokens)
