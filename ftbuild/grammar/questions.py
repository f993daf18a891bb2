"""Questions by grammar: a clause with one part asked for, as a person would ask it.

    Agrippina plots to secure the throne for Nero, asking for Nero:
        For whom does Agrippina plot to secure the throne?
        Whom does Agrippina plot to secure the throne for?
        Agrippina plots to secure the throne for whom?

In: a `Clause`, the span to ask for and its kind.  Out: one or more questions; where the verb's plain form cannot be told,
only the last form, which needs none.
"""

from __future__ import annotations

from collections.abc import Iterator

from ftbuild.grammar.clauses import Clause
from ftbuild.grammar.language import Language, Lexicon, join
from ftbuild.grammar.verbs import forms


def questions(clause: Clause, start: int, end: int, kind: str, lexicon: Lexicon) -> Iterator[str]:
    """Yield the questions that ask for `clause.tokens[start:end]`, the most natural ones first."""
    language = lexicon.language
    tokens = list(clause.tokens)
    if tokens[0].lower() in language.closed:
        tokens[0] = tokens[0].lower()
    ask = language.ask[kind].split()
    lead = _without_comma(tokens[: clause.start])
    if start == clause.start:
        yield _finish([*ask, *_main(tokens[end:], language), *lead])
        return
    yield from _inverted(clause, tokens, start, end, kind, ask, lead, lexicon)
    yield _finish([*tokens[:start], *ask, *tokens[end:]])


def _inverted(
    clause: Clause, tokens: list[str], start: int, end: int, kind: str, ask: list[str], lead: list[str], lexicon: Lexicon
) -> Iterator[str]:
    language = lexicon.language
    helper, plain = _verb(tokens[clause.verb], lexicon)
    if not helper:
        return
    in_lead = end <= clause.start
    before = tokens[clause.verb + 1 : start] if not in_lead else []
    after = _main(tokens[end:], language) if not in_lead else tokens[clause.verb + 1 :]
    middle = [helper, *tokens[clause.start : clause.end], *plain]
    if in_lead:
        kept = [*lead[:start], *lead[end:]]
        yield _finish([*kept[:1], *ask, *kept[1:], *middle, *after] if kept else [*ask, *middle, *after])
        return
    last = before[-1].lower() if before else ""
    if kind == "action":
        yield _finish([ask[-1], *middle, *before, ask[0], *after, *lead])
        return
    if kind == "reason":
        yield _finish([*ask, *middle, *_without_comma(before[:-1]), *after, *lead])
        return
    if last == language.complementiser:
        yield _finish([*ask, *middle, *before[:-1], *after, *lead])
        return
    if last in language.prepositions:
        yield _finish([before[-1], *ask, *middle, *before[:-1], *after, *lead])
        if not after:
            yield _finish([*ask, *middle, *before[:-1], *lead, before[-1]])
        return
    yield _finish([*ask, *middle, *before, *after, *lead])


def _main(tokens: list[str], language: Language) -> list[str]:
    """Return the words up to a subordinate clause that gives a reason or a condition; the question does without it."""
    for i, word in enumerate(tokens):
        if i and (word == "," or word.lower() in (*language.reasons, *language.conditions)):
            return tokens[:i]
    return tokens


def _without_comma(tokens: list[str]) -> list[str]:
    return tokens[:-1] if tokens and tokens[-1] == "," else tokens


def _verb(verb: str, lexicon: Lexicon) -> tuple[str, list[str]]:
    """Return the auxiliary that opens a question, and what is left of the verb: `plots` gives `does`, `plot`."""
    if verb in lexicon.language.auxiliaries:
        return verb, []
    made = forms(verb, lexicon)
    return (lexicon.language.do[made.tense], [made.plain]) if made else ("", [])


def _finish(tokens: list[str]) -> str:
    text = join([t for t in tokens if t]).strip(" ,")
    return text[:1].upper() + text[1:] + "?"
