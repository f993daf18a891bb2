"""Cleaning rules that look at all documents: lines that many have, paragraphs that stand somewhere before.

Such a rule is given the texts of all documents and yields as many.  It keeps a few bytes of each line or paragraph, and so
takes memory in proportion to their number, if little.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Literal

from ftbuild.registries import RULES

if TYPE_CHECKING:
    import numpy as np

_ROWS = 8  # of a signature that a bucket compares
_BANDS = 16
_SHINGLE = 5  # characters


@RULES("repeated_lines", readings=2)
def repeated_lines(
    texts: Iterable[str], *, documents: int = 5, times: int = 0, longest: int = 200, digits: bool = True
) -> Iterator[str]:
    """Drop lines that stand in at least so many `documents`, or so many `times` in one: headers, footers, adverts.

    `times: 0` leaves repetitions within a document alone.  Digits count as the same digit (`Page 3 of 9`), unless `digits` is
    false.  Headings and lines longer than `longest` stay.
    """
    seen: Counter[int] = Counter()
    for text in texts:
        seen.update({_key(line, digits) for line in _candidates(text, longest)})
    for text in texts:
        here = Counter(_key(line, digits) for line in _candidates(text, longest)) if times else Counter[int]()
        kept = []
        for line in text.splitlines(keepends=True):
            if _is_candidate(line, longest):
                key = _key(line, digits)
                if seen[key] >= documents or (times and here[key] >= times):
                    continue
            kept.append(line)
        yield "".join(kept)


def _is_candidate(line: str, longest: int) -> bool:
    said = line.strip()
    return bool(said) and len(said) <= longest and said[0] not in "=#"


def _candidates(text: str, longest: int) -> Iterator[str]:
    return (line for line in text.splitlines() if _is_candidate(line, longest))


def _key(line: str, digits: bool) -> int:  # noqa: FBT001
    said = " ".join(line.casefold().split())
    return _hash(re.sub(r"\d+", "0", said) if digits else said)


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


@RULES("duplicate_paragraphs", readings=1)
def duplicate_paragraphs(
    texts: Iterable[str],
    *,
    similarity: float = 1.0,
    scope: Literal["all", "document"] = "all",
    min_characters: int = 40,
) -> Iterator[str]:
    """Drop paragraphs that stood before, in the same document or in any: the first one stays.

    Case and white space do not count.  With a `similarity` below 1, near-duplicates go too: those that share so much of their
    runs of five characters (Jaccard, estimated by MinHash; Broder 1997).  Headings and paragraphs of fewer than
    `min_characters` stay.  A paragraph is a line.
    """
    known, alike = set[int](), _Alike(similarity) if similarity < 1 else None
    for text in texts:
        if scope == "document":
            known, alike = set(), _Alike(similarity) if similarity < 1 else None
        kept = []
        for line in text.splitlines(keepends=True):
            said = " ".join(line.casefold().split())
            if len(said) >= min_characters and said[0] not in "=#":
                key = _hash(said)
                if key in known or (alike is not None and alike.found(said)):
                    continue
                known.add(key)
            kept.append(line)
        yield "".join(kept)


class _Alike:
    """Remembers texts by their MinHash signatures, and finds one that is like another."""

    def __init__(self, similarity: float) -> None:
        import numpy as np

        self._similarity = similarity
        self._rows = _ROWS if similarity >= 0.75 else _ROWS // 2  # noqa: PLR2004 - fewer rows find what is less alike
        chance = np.random.default_rng(7)
        size = _ROWS * _BANDS
        self._factors = chance.integers(1, 2**63, size, dtype=np.uint64) | np.uint64(1)
        self._terms = chance.integers(0, 2**63, size, dtype=np.uint64)
        self._signatures: list[np.ndarray[Any, Any]] = []
        self._buckets: dict[tuple[int, bytes], list[int]] = {}

    def found(self, text: str) -> bool:
        """Say whether a text is like one before; if not, remember it."""
        signature = self._signature(text)
        keys = [(n, signature[n : n + self._rows].tobytes()) for n in range(0, len(signature), self._rows)]
        near = {other for key in keys for other in self._buckets.get(key, ())}
        if any((self._signatures[other] == signature).mean() >= self._similarity for other in near):
            return True
        for key in keys:
            bucket = self._buckets.setdefault(key, [])
            if len(bucket) < 50:  # noqa: PLR2004 - no bucket may make the search slow
                bucket.append(len(self._signatures))
        self._signatures.append(signature)
        return False

    def _signature(self, text: str) -> np.ndarray[Any, Any]:
        import numpy as np

        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
        runs = np.zeros(max(1, len(codes) - _SHINGLE + 1), dtype=np.uint64)
        for n in range(min(_SHINGLE, len(codes))):
            runs = runs * np.uint64(0x100000001B3) ^ codes[n : n + len(runs)]
        runs = np.unique(runs)
        lowest = np.full(len(self._factors), np.iinfo(np.uint64).max, dtype=np.uint64)
        for start in range(0, len(runs), 4096):
            piece = runs[start : start + 4096, None]
            lowest = np.minimum(lowest, (piece * self._factors + self._terms).min(axis=0))
        return (lowest >> np.uint64(32)).astype(np.uint32)
