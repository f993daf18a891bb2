"""Unpacking many streams at once gives what unpacking them one after the other gives, damage included."""

from __future__ import annotations

import bz2
import io
import random

import pytest

from ftbuild.wikis import unpacking
from ftbuild.wikis.streams import Stream
from ftbuild.wikis.unpacking import Damaged

SOME = random.Random(7)
TEXTS = [SOME.randbytes(SOME.randrange(1, 60_000)) for _ in range(40)]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take a kilobyte for enough, and so on, so that a small file has everything that a large one has."""
    for name, number in {"_ENOUGH": 1000, "_LONG": 400_000, "_MOST": 300_000}.items():
        monkeypatch.setattr(unpacking, name, number)


def read(packed: bytes, jobs: int) -> tuple[bytes, str]:
    """Return what comes of a file, and what is wrong with it if anything is."""
    found, stream = bytearray(), Stream(io.BytesIO(packed), "file", len(packed))
    try:
        for piece in stream.pieces(jobs=jobs):
            assert len(piece) <= 1 << 20
            found += piece
    except Damaged as error:
        return bytes(found), error.what
    assert stream.position == len(packed)
    return bytes(found), ""


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_many_streams(jobs: int) -> None:
    packed = b"".join(map(bz2.compress, TEXTS))
    assert read(packed, jobs) == (b"".join(TEXTS), "")


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_long_stream_among_others_and_what_expands_much(jobs: int) -> None:
    texts = [*TEXTS[:5], SOME.randbytes(900_000), b"", b"\0" * 5_000_000, *TEXTS[5:9], SOME.randbytes(500_000), b"end"]
    assert read(b"".join(map(bz2.compress, texts)), jobs) == (b"".join(texts), "")


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_stream_that_ends_in_the_middle_after_those_before_it(jobs: int) -> None:
    packed = b"".join(map(bz2.compress, TEXTS[:30]))
    whole, wrong = read(packed + bz2.compress(TEXTS[30] * 10)[:-20], jobs)
    assert whole.startswith(b"".join(TEXTS[:30]))
    assert wrong == "it ends in the middle"


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_damaged_stream_ends_it(jobs: int) -> None:
    streams = [bytearray(bz2.compress(text)) for text in TEXTS]
    streams[20][len(streams[20]) // 2] ^= 0xFF
    whole, wrong = read(b"".join(streams), jobs)
    assert whole.startswith(b"".join(TEXTS[:20]))
    assert len(whole) <= len(b"".join(TEXTS[:21]))
    assert "it cannot be unpacked" in wrong
