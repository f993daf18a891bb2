"""The source `files`: which files it reads, by whom, what is read again, and what is left out."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ftbuild.digest import digest
from ftbuild.errors import ConfigError, SourceError
from ftbuild.fetching import Fetching, fetching
from ftbuild.knownfiles import known_digests, remember_in
from ftbuild.plain import HEADING
from ftbuild.readers.choose import read as read_bytes
from ftbuild.records import Document
from ftbuild.registries import SOURCES
from ftbuild.sources.files import files
from ftbuild.stages.fetch import source_files
from tests import fivefold
from tests.helpers import compose


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(path: str | tuple[str, ...], folder: Path | None = None, **given: Any) -> tuple[list[Document], Fetching]:
    """Return what the source gives, and what it told."""
    with fetching(Fetching(folder, warn=lambda _: None)) as now:
        return list(files(path=path, **given)), now


@pytest.fixture
def docs(home: Path) -> Path:
    """Write a folder with documents of several kinds, one of them empty, and a picture."""
    write(home / "docs/a.md", "# Otters\n\nThey swim.\n")
    write(home / "docs/deep/b.txt", "Badgers dig.")
    write(home / "docs/deep/c.html", "<h1>Stoats</h1><p>They run.</p>")
    write(home / "docs/x.png", b"\x89PNG\0")
    write(home / "docs/.hidden/d.txt", "unseen")
    return home / "docs"


@pytest.mark.usefixtures("docs")
def test_a_folder_is_read_with_all_below_it() -> None:
    found, _ = read("docs", licence="CC0")
    assert [(d.id, d.title, d.format) for d in found] == [
        ("docs/a.md", "Otters", "markdown"),
        ("docs/deep/b.txt", "b", "text"),
        ("docs/deep/c.html", "Stoats", "markdown"),
    ]
    assert found[0].meta == {"path": "docs/a.md", "licence": "CC0"}


@pytest.mark.parametrize(
    ("path", "given", "ids"),
    [
        ("docs/*.md", {}, ["docs/a.md"]),
        ("docs/**/*.html", {}, ["docs/deep/c.html"]),
        (("docs/deep", "docs/a.md"), {}, ["docs/deep/b.txt", "docs/deep/c.html", "docs/a.md"]),
        ("docs", {"exclude": ("deep/*", "*.md")}, []),
        ("docs", {"exclude": ("*.html",)}, ["docs/a.md", "docs/deep/b.txt"]),
        (("docs/a.md", "docs"), {"exclude": ("docs/deep/*",)}, ["docs/a.md"]),
    ],
)
@pytest.mark.usefixtures("docs")
def test_paths_and_patterns(path: Any, given: dict[str, Any], ids: list[str]) -> None:
    if ids:
        assert [d.id for d in read(path, **given)[0]] == ids
    else:
        with pytest.raises(SourceError, match="no file there is of a kind that can be read"):
            read(path, **given)


def test_absolute_paths_and_addresses(docs: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    assert [d.title for d in read(str(docs / "*.md"))[0]] == ["Otters"]
    assert [d.title for d in read(f"file://{docs}/*.md")[0]] == ["Otters"]
    memory = fsspec.filesystem("memory")
    memory.pipe("/ferry/one.pdf", fivefold.pdf())
    memory.pipe("/ferry/two.md", b"# Two\n\ntext\n")
    assert [(d.id, d.title) for d in read("memory://ferry")[0]] == [
        ("memory:///ferry/one.pdf", fivefold.TITLE),
        ("memory:///ferry/two.md", "Two"),
    ]
    with pytest.raises(SourceError, match=r"memory:///nothing/x\.md: "):
        read("memory://nothing/x.md")


def test_readers_are_chosen_for_patterns(docs: Path) -> None:
    assert read("docs/a.md", reader="text")[0][0].format == "text"
    found = read("docs", readers={"*.txt": "wikitext", "deep/*.html": "text"})[0]
    assert [d.format for d in found] == ["markdown", "wikitext", "text"]
    write(docs / "log.x", "A log.")
    assert read("docs/log.x")[0][0].text == "A log."


def test_wrong_readers_and_options_are_found_before_any_work() -> None:
    def wrong(**params: Any) -> list[tuple[str, str]]:
        return SOURCES.wrong("files", {"path": "x", **params})

    assert wrong(readers={"*": "pfd"}) == [("readers.*", "there is no reader 'pfd'; did you mean 'pdf'?")]
    assert wrong(options={"markdown": {"mark": True}}) == [
        ("options.markdown.mark", "reader 'markdown' has no option 'mark'; did you mean 'marks'?")
    ]
    assert wrong(options={"html": {"main": "never"}}) == []


def test_what_cannot_be_read_stops_or_is_left_out_and_told(docs: Path) -> None:
    write(docs / "empty.md", "")
    write(docs / "locked.pdf", fivefold.pdf(password="x"))
    with pytest.raises(SourceError, match=r"^docs/empty\.md: the file is empty$") as caught:
        read("docs")
    assert "on_error: skip" in caught.value.hint
    found, now = read("docs", on_error="skip")
    assert len(found) == 3
    assert sorted(now.skipped) == ["docs/empty.md: the file is empty", "docs/locked.pdf: is protected by a password"]


@pytest.mark.usefixtures("docs")
def test_a_file_that_is_too_large_is_named() -> None:
    with pytest.raises(SourceError, match=r"docs/a\.md: has 0\.0 MB") as caught:
        read("docs/a.md", max_megabytes=0.00001)
    assert "max_megabytes" in caught.value.hint


def test_what_was_read_is_not_read_again(docs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    first, _ = read("docs", folder)
    kept = {p: p.read_bytes() for p in folder.rglob("*.json")}
    assert len(kept) == 3
    assert read("docs", folder)[0] == first
    write(docs / "a.md", "# Otters\n\nThey dive.\n")
    assert read("docs", folder)[0][0].text == "They dive.\n"
    assert {p: p.read_bytes() for p in kept} == kept
    assert len(list(folder.rglob("*.json"))) == 4


def test_a_new_file_is_part_of_the_key(docs: Path) -> None:
    write(docs.parent / "conf/recipe/mine.yaml", "# @package _global_\ndefaults:\n  - override /kinds: article\n  - _self_\n"
          "source:\n  docs: {source: files, path: docs/*.md}\n")  # fmt: skip
    before = source_files(compose("recipe=mine"))
    assert [n for n in before if n.endswith(".md")] == ["docs/a.md"]
    write(docs / "b.md", "# B\n\ntext\n")
    after = source_files(compose("recipe=mine"))
    assert [n for n in after if n.endswith(".md")] == ["docs/a.md", "docs/b.md"]
    assert digest(before) != digest(after)
    assert after["package pypdfium2"]


@pytest.mark.usefixtures("home")
def test_a_path_that_leads_nowhere_is_an_error_of_the_recipe() -> None:
    with pytest.raises(ConfigError, match=r"no file is called 'docs/\*\.md'"):
        read("docs/*.md")


def test_digests_of_many_files_are_remembered_until_one_changes(home: Path) -> None:
    paths = {f"{n}.bin": write(home / f"{n}.bin", bytes([n]) * 17_000_000) for n in range(2)}
    for path in paths.values():
        os.utime(path, (1_700_000_000, 1_700_000_000))
    remember_in(home / "digests")
    try:
        first = known_digests(paths)
        assert first == known_digests(paths)
        write(paths["1.bin"], b"\2" * 17_000_000)
        assert known_digests(paths)["0.bin"] == first["0.bin"]
        assert known_digests(paths)["1.bin"] != first["1.bin"]
    finally:
        remember_in(None)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("chromium"), reason="chromium prints a PDF here")
def test_a_pdf_that_a_browser_printed_gives_the_same_tree(home: Path) -> None:
    page = write(home / "a.html", f"<meta charset=utf-8><style>td {{padding: 2px 30px}}</style>{fivefold.html_body()}")
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={home}/profile"]
    subprocess.run([*command, f"--print-to-pdf={home}/a.pdf", page.as_uri()], check=True, capture_output=True, timeout=120)
    (document,) = read_bytes((home / "a.pdf").read_bytes(), "a.pdf")
    assert document.title == fivefold.TITLE
    assert [(len(m[1]), m[2]) for m in HEADING.finditer(document.text)] == fivefold.TREE
    assert "| Adult | 340 | 600 |" in document.text
