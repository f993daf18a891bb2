"""Phrases as text: the tokens of a noun phrase without its asides, put together with their pronouns filled in.

In: tokens of a parsed paragraph, and what its pronouns mean.  Out: text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spacy.tokens import Token

_ASIDE = ("relcl", "appos", "acl", "advcl", "parataxis", "amod", "nmod")


def phrase(head: Token, words: Mapping[int, str]) -> str:
    """Return a noun phrase as text, without the asides that a comma sets off."""
    return text(tokens_of(head), words)


def tokens_of(head: Token) -> list[Token]:
    """Return the tokens of a phrase in order, without asides."""
    dropped: set[int] = set()
    for token in head.subtree:
        before = token.left_edge.nbor(-1).text if token.left_edge.i > 0 else ""
        comma = before in (",", "(", "–", "—", ":")
        naming = token.dep_ == "appos" and token.pos_ == "PROPN" and token.head.pos_ == "NOUN"
        if token != head and comma and (token.dep_ in _ASIDE or before == ":") and not naming:
            dropped |= {t.i for t in token.subtree}
    kept = [t for t in head.subtree if t.i not in dropped]
    for named in [t for t in kept if t.dep_ == "appos" and t.pos_ == "PROPN" and t.head.pos_ == "NOUN"]:
        own = {t.i for t in named.subtree}  # `his assistant, Andrew Mossman` is Andrew Mossman
        kept = [t for t in kept if t.i in own or t not in named.head.subtree]
    while kept and (kept[-1].is_punct or kept[-1].dep_ == "cc"):
        kept = kept[:-1]
    return kept


def text(tokens: list[Token] | tuple[Token, ...], words: Mapping[int, str]) -> str:
    """Put tokens together as text, pronouns replaced by what they mean."""
    told = []
    for token in tokens:
        word = words.get(token.i, "")
        if word and (token.tag_ in ("PRP$", "WP$") or _owns(token)):
            word += "’" if word.endswith("s") and " " in word else "'s"
        lower = token.is_sent_start and token.pos_ not in ("PROPN", "NOUN") and token.text != "I"
        told.append((word or (token.lower_ if lower else token.text)) + token.whitespace_)
    joined = re.sub(r"\s+", " ", "".join(told if not told else [*told[:-1], told[-1].rstrip()]))
    joined = "".join(_spaced(tokens, told)) if any(b.i != a.i + 1 for a, b in pairwise(tokens)) else joined
    return re.sub(r"\s+([,.;:])", r"\1", re.sub(r"\s+", " ", joined)).strip(' ,;:–—"“”')


def _owns(token: Token) -> bool:
    """Say whether a `her` that the parser took for an object stands before what is hers."""
    following = token.nbor(1) if token.i + 1 < len(token.doc) else None
    return token.lower_ == "her" and following is not None and following.dep_ == token.dep_ == "dobj"


def _spaced(tokens: list[Token] | tuple[Token, ...], told: list[str]) -> Iterator[str]:
    """Yield words with a space where something between them was left out."""
    for n, word in enumerate(told):
        gap = n + 1 < len(tokens) and tokens[n + 1].i != tokens[n].i + 1 and not tokens[n + 1].is_punct
        yield word + (" " if gap and not word.endswith(" ") else "")
