"""Digests of large files are remembered as long as the files stay as they are, and only then."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ftbuild import knownfiles
from ftbuild.digest import digest_file
from ftbuild.knownfiles import known_digest, remember_in

OLD = time.time() - 1000


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Remember digests in a folder, of files that are large at a thousand bytes and settled at once."""
    monkeypatch.setattr(knownfiles, "LARGE", 1000)
    monkeypatch.setattr(knownfiles, "_SETTLED", 0)
    remember_in(tmp_path / "digests")
    yield tmp_path / "digests"
    remember_in(None)


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    os.utime(path, (OLD, OLD))
    return path


def spoil(folder: Path, what: str) -> None:
    """Put another digest into what is remembered, to see whether it is used."""
    for file in folder.glob("*.json"):
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace(what, "0" * 64), encoding="utf-8")


def test_a_large_file_is_read_once(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path / "dump", "x" * 2000)
    expected = digest_file(file)
    assert known_digest(file) == expected
    assert len(list(folder.iterdir())) == 1
    monkeypatch.setattr(knownfiles, "digest_file", lambda _: pytest.fail("it was read again"))
    assert known_digest(file) == expected


def test_a_small_file_is_always_read(tmp_path: Path, folder: Path) -> None:
    file = write(tmp_path / "text", "x" * 20)
    assert known_digest(file) == digest_file(file)
    assert not folder.exists()


def test_another_content_of_the_same_size_and_time_is_noticed(tmp_path: Path) -> None:
    file = write(tmp_path / "dump", "x" * 2000)
    before = known_digest(file)
    write(file, "y" * 2000)
    assert known_digest(file) == digest_file(file) != before


def test_a_file_that_was_touched_is_read_again_and_is_the_same(tmp_path: Path) -> None:
    file = write(tmp_path / "dump", "x" * 2000)
    before = known_digest(file)
    os.utime(file)
    assert known_digest(file) == before


def test_what_was_damaged_is_not_believed(tmp_path: Path, folder: Path) -> None:
    file = write(tmp_path / "dump", "x" * 2000)
    expected = known_digest(file)
    spoil(folder, expected)
    assert known_digest(file) == expected


def test_a_file_that_was_changed_just_now_is_not_remembered(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(knownfiles, "_SETTLED", 1e12)
    assert known_digest(write(tmp_path / "dump", "x" * 2000))
    assert not folder.exists()


def test_a_store_that_cannot_be_written_to_costs_time_alone(tmp_path: Path) -> None:
    (tmp_path / "digests").write_text("a file stands in the way")
    file = write(tmp_path / "dump", "x" * 2000)
    assert known_digest(file) == digest_file(file)
