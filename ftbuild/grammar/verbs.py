"""Forms of English verbs: the participle, the past and the third person, by rule and by a table of irregular ones."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ftbuild.grammar.language import Language

if TYPE_CHECKING:
    from spacy.tokens import Token

_SHORT = re.compile("^(?:[^aeiou]*|qu)[aeiou][bdgmnprt]$")
"""Verbs of one short syllable, whose last letter is doubled: `stop`, `beg`, `quit`."""
_LIGHT = ("take", "give", "make", "pay", "have", "hold", "lose", "get", "keep", "set")
"""Verbs that say little without their object."""
_PREFIXED = re.compile("(over|under|re|mis|out|fore|with|up)(.{2,})")


def lemma_of(verb: Token) -> str:
    """Return the plain form of a verb: `hope` for `hopes`, where the parser's own rules say `hop`."""
    lemma, form = str(verb.lemma_), verb.lower_
    dropped = form == f"{lemma}es" and third_person(lemma) != form
    dropped |= form in (f"{lemma}ed", f"{lemma}ing") and _SHORT.search(lemma) is not None
    return f"{lemma}e" if dropped else lemma


def idiom(verb: Token) -> bool:
    """Say whether a verb and its object are one thing to say: `take place`, `give way`."""
    return verb.lemma_ in _LIGHT and any(t.dep_ == "dobj" and t.tag_ == "NN" and not list(t.children) for t in verb.children)


def participle(lemma: str, language: Language) -> str:
    """`hide` → `hidden`, `carry` → `carried`, `save` → `saved`."""
    return _form(lemma, language, 1)


def past(lemma: str, language: Language) -> str:
    """`hide` → `hid`, `carry` → `carried`, `save` → `saved`."""
    return _form(lemma, language, 0)


def third_person(lemma: str) -> str:
    """`hide` → `hides`, `carry` → `carries`, `go` → `goes`."""
    if lemma in ("be", "have"):
        return {"be": "is", "have": "has"}[lemma]
    if re.search("[^aeiou]y$", lemma):
        return lemma[:-1] + "ies"
    return lemma + ("es" if lemma.endswith(("s", "sh", "ch", "x", "z", "o")) else "s")


def inflected(lemma: str, tag: str, language: Language) -> str:
    """Return the form of a verb, or of the first word of a phrase such as `look for`, that a Penn Treebank tag names."""
    verb, _, rest = lemma.partition(" ")
    match tag:
        case "VBZ":
            form = third_person(verb)
        case "VBD":
            form = past(verb, language)
        case "VBN":
            form = participle(verb, language)
        case "VBG":
            form = _gerund(verb)
        case _:
            form = verb
    return f"{form} {rest}".strip()


def _gerund(verb: str) -> str:
    """`hide` → `hiding`, `see` → `seeing`, `lie` → `lying`, `get` → `getting`."""
    if verb.endswith("ie"):
        return verb[:-2] + "ying"
    if verb.endswith("e") and not verb.endswith(("ee", "ye", "oe")) and verb != "be":
        return verb[:-1] + "ing"
    return verb + verb[-1] + "ing" if _SHORT.search(verb) else verb + "ing"


def _form(lemma: str, language: Language, which: int) -> str:
    if lemma in language.irregular:
        return language.irregular[lemma][which]
    if (prefixed := _PREFIXED.match(lemma)) and prefixed[2] in language.irregular:
        return prefixed[1] + language.irregular[prefixed[2]][which]
    if lemma.endswith("e"):
        return lemma + "d"
    if re.search("[^aeiou]y$", lemma):
        return lemma[:-1] + "ied"
    if _SHORT.search(lemma):
        return lemma + lemma[-1] + "ed"
    return lemma + "ed"
