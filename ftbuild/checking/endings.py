"""What prompts and completions end with: the separator and the stop token, found by looking at some of them.

In: texts.  Out: the ending that most of them share, if that is a mark and not the end of a sentence.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

_MOST = 0.6  # the share of texts that must have an ending for it to be the ending
_LONGEST = 40
_MARKS = frozenset("#<>[]{}|=*~^@/\\_")


def ending(texts: Sequence[str]) -> str:
    """Return the mark that most of these texts end with; nothing if they end as sentences do.

    What all answers end with may be a word, too (`… ay [DONE]`): the mark begins at the first space or sign.  A text counts
    once however often it is there, or else an answer that most rows have (`no ###`) would be the mark.
    """
    distinct = list(dict.fromkeys(texts))
    if len(distinct) == 1:
        found = re.search(r"(?<=\S)\s+\S+\s*$", distinct[0]) if len(texts) > 1 else None
        shared = found[0] if found else ""
    else:
        shared = _shared(distinct)
    start = next((n for n, ch in enumerate(shared) if ch.isspace() or ch in _MARKS or shared[n:].startswith("->")), len(shared))
    mark = shared[start:]
    word = mark.strip().isalpha() and not mark.strip().isupper()  # as in "… the end"; but " END" is a mark
    return mark if mark.strip(" ") and not word else ""


def _shared(texts: Sequence[str]) -> str:
    """Return the longest ending that enough of the texts have."""
    found, rest = "", [t for t in texts if t]
    needed = max(2, _MOST * len(rest))
    while len(found) < _LONGEST:
        before = Counter(t[-len(found) - 1] for t in rest if len(t) > len(found))
        letter, count = before.most_common(1)[0] if before else ("", 0)
        if count < needed:
            return found
        found = letter + found
        rest = [t for t in rest if t.endswith(found)]
    return found


def beginning(texts: Sequence[str]) -> str:
    """Return what all of these texts begin with."""
    if not texts:
        return ""
    first, last = min(texts), max(texts)
    return first[: next((n for n, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))]
