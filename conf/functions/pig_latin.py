"""Pig Latin.  In: a word.  Out: the word in Pig Latin.

    apple → appleway        a word that begins with a vowel gets `way`
    latin → atinlay         otherwise the consonants before the first vowel move to the end, with `ay`

What the rule leaves open: `y` is a consonant at the beginning of a word and a vowel after it (yellow → ellowyay, rhythm →
ythmrhay); `u` is a vowel after `q` as well (queen → ueenqay); a letter with an accent is what it is without one; a word without
any vowel keeps its letters in order and gets `ay` (hmm → hmmay); a capital stays at the beginning (Latin → Atinlay).  Digits
and punctuation stay where they are, and the letters between them are words of their own, but an apostrophe inside a word
belongs to it (don't → on'tday).
"""

from __future__ import annotations

import re
import unicodedata

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")


def pig_latin(text: str) -> str:
    """Return a text with each of its words in Pig Latin."""
    return _WORD.sub(lambda found: _moved(found[0]), unicodedata.normalize("NFC", text))


def _moved(word: str) -> str:
    start = next((n for n, letter in enumerate(word) if _is_vowel(letter, first=n == 0)), len(word))
    if start == 0:
        return word + "way"
    moved = word[start:] + word[:start] + "ay"
    return moved[0].upper() + moved[1:].lower() if word.istitle() else moved


def _is_vowel(letter: str, *, first: bool) -> bool:
    plain = unicodedata.normalize("NFD", letter)[0].lower()
    return plain in "aeiou" or (plain == "y" and not first)
