"""Forms of verbs, by rule and by a language's table of irregular ones: `hides` → `hide`, `hidden`; `carried` → `carry`.

In: a finite verb of a text.  Out: its plain form, its participle, the auxiliary that a question or a passive needs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ftbuild.grammar.language import Lexicon


@dataclass(frozen=True)
class Forms:
    """A finite verb's plain form and participle, and its tense: `singular`, `plural` (both present) or `past`."""

    plain: str
    participle: str
    tense: str


def forms(verb: str, lexicon: Lexicon) -> Forms | None:
    """Return the forms of a full verb, or None for an auxiliary or a language that has no such forms."""
    language = lexicon.language
    if verb in language.auxiliaries or not language.do:
        return None
    if verb in language.plain:
        plain, tense = language.plain[verb], "past"
    elif verb.endswith("ed"):
        plain, tense = _present(verb, lexicon), "past"
    elif verb.endswith("s") and not verb.endswith("ss"):
        plain, tense = _bare(verb), "singular"
    else:
        plain, tense = verb, "plural"
    return Forms(plain, _participle(plain, lexicon), tense)


def _bare(verb: str) -> str:
    """`hurries` → `hurry`, `goes` → `go`, `hides` → `hide`."""
    if verb.endswith("ies") and len(verb) > 4:  # noqa: PLR2004 - dies, lies, ties
        return verb[:-3] + "y"
    return verb[:-2] if re.search(r"(?:ss|sh|ch|x|zz|o)es$", verb) else verb[:-1]


def _present(verb: str, lexicon: Lexicon) -> str:
    """`carried` → `carry`, `stopped` → `stop`, `saved` → `save`, `opened` → `open`."""
    stem = verb[:-2]
    known = lexicon.bases | lexicon.verbs
    if verb.endswith("ied"):
        return verb[:-3] + "y"
    if stem in known or stem + "e" in known:
        return stem if stem in known else stem + "e"
    if re.search(r"([bdgmnprt])\1$", stem):
        return stem[:-1]
    silent = r"(?:[vczu]|[^s]s|[^aeioul]l|dg|[aiou]r|[^aeio][aiou]t|[^aeiou][aiou][kmnpd])$"
    return stem + "e" if len(stem) > 2 and re.search(silent, stem) else stem  # noqa: PLR2004


def _participle(plain: str, lexicon: Lexicon) -> str:
    """`hide` → `hidden`, `carry` → `carried`, `save` → `saved`."""
    irregular = lexicon.language.irregular
    if plain in irregular:
        return irregular[plain][1]
    if (prefixed := re.match("(over|under|re|mis|out|fore|with|up)(.{3,})", plain)) and prefixed[2] in irregular:
        return prefixed[1] + irregular[prefixed[2]][1]  # overheard, undergone
    if plain.endswith("e"):
        return plain + "d"
    if re.search("[^aeiou]y$", plain):
        return plain[:-1] + "ied"
    if re.search("^[^aeiou]*[aeiou][bdgmnprt]$", plain):
        return plain + plain[-1] + "ed"
    return plain + "ed"
