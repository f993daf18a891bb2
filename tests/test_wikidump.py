"""The dump source: which pages, however the dump is packed, damaged or hostile."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tracemalloc
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from ftbuild import fetching, http
from ftbuild.errors import ConfigError, SourceError
from ftbuild.fetching import Fetching
from ftbuild.records import Document
from ftbuild.sources.wikidump import wikidump
from ftbuild.wikis import dump as dumps_module
from tests.dumps import HEAD, TAIL, Page, multistream, page, xml
from tests.web import Web

PAGES = [
    Page("Otter", "Otter fressen [[Fisch]]. [[Kategorie:Tiere|O]] [[:Kategorie:Pflanzen]]"),
    Page("Fischotter", "#WEITERLEITUNG [[Otter]]", redirect="Otter"),
    Page("Diskussion:Otter", "Sind sie lieb?", ns=1),
    Page("Otter (Fluss)", "Ein Fluss. <!-- [[Kategorie:Tiere]] --> [[category: flüsse_im Norden]]"),
    Page("Vorlage:Otter", "{{{1}}}", ns=10),
    Page("Farn & Moos <3", "Farne. [[Kategorie:Pflanzen]] <nowiki>[[Kategorie:Tiere]]</nowiki>"),
    Page("Daten", '{"a": 1}', model="json"),
    Page("Verborgen", "", hidden=True),
    Page("Leer", " \n"),
    Page("Wassermarder", "#WEITERLEITUNG [[fischotter]]", redirect="fischotter"),
    Page("Zander", "Neu. [[Kategorie:Tiere]]", older="Alt. [[Kategorie:Pflanzen]]"),
]
ARTICLES = ["Otter", "Otter (Fluss)", "Farn & Moos <3", "Zander"]


@pytest.fixture(autouse=True)
def here(home: Path) -> Path:
    """Write a dump, and stand beside it."""
    (home / "dump.xml").write_text(xml(PAGES), encoding="utf-8")
    return home


def read(now: Fetching | None = None, **given: Any) -> list[Document]:
    with fetching.fetching(now or Fetching()):
        return list(wikidump(**{"path": "dump.xml", **given}))


def titles(now: Fetching | None = None, **given: Any) -> list[str]:
    return [document.title for document in read(now, **given)]


def refused(**given: Any) -> SourceError:
    with pytest.raises(SourceError) as caught:
        read(**given)
    assert "\n" not in caught.value.message
    return caught.value


def test_all_articles_and_what_was_left_out() -> None:
    told: list[str] = []
    now = Fetching(note=told.append)
    assert titles(now) == ARTICLES
    expected = {"in other namespaces": 2, "redirects": 2, "no text but json": 1, "hidden": 1, "empty": 1}
    assert now.skipped == expected
    assert told == ["Verborgen: left out, it is hidden"]


def test_a_document_and_what_is_known_of_it() -> None:
    (document,) = read(title="farn_& Moos <3", licence="CC BY-SA 4.0")
    assert document == Document(
        "Farn & Moos <3",
        "Farn & Moos <3",
        PAGES[5].text,
        "wikitext",
        {
            "url": "https://wiki.example/wiki/Farn_%26_Moos_%3C3",
            "revision": 1006,
            "timestamp": "2026-11-01T12:00:00Z",
            "licence": "CC BY-SA 4.0",
            "attribution": "Farn & Moos <3, Ottopedia, revision 1006, https://wiki.example/wiki/Farn_%26_Moos_%3C3",
            "language": "de",
            "site": "Ottopedia",
            "categories": ["Pflanzen"],
        },
    )


def test_the_last_revision_of_a_history() -> None:
    (document,) = read(title="Zander")
    assert (document.text, document.meta["revision"]) == ("Neu. [[Kategorie:Tiere]]", 1011)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"titles": ("zander", "Otter")}, ["Otter", "Zander"]),
        ({"pattern": "otter*"}, ["Otter", "Otter (Fluss)"]),
        ({"pattern": "*otter*", "namespaces": (0, 1, 10)}, ["Otter", "Diskussion:Otter", "Otter (Fluss)", "Vorlage:Otter"]),
        ({"category": "Tiere"}, ["Otter", "Zander"]),
        ({"category": "Kategorie:tiere"}, ["Otter", "Zander"]),
        ({"category": ("Flüsse im Norden", "Pflanzen")}, ["Otter (Fluss)", "Farn & Moos <3"]),
        ({"category": "Tiere", "pattern": "z*"}, ["Zander"]),
        ({"namespaces": (10,)}, ["Vorlage:Otter"]),
        ({"titles": ("template: otter",)}, ["Vorlage:Otter"]),
        ({"title": "Daten"}, ["Daten"]),
        ({"max_pages": 2}, ["Otter", "Otter (Fluss)"]),
        ({"pattern": "*otter", "redirects": "keep"}, ["Otter", "Fischotter"]),
    ],
)
@pytest.mark.parametrize("packed", ["xml", "multistream"])
def test_which_pages(home: Path, given: dict[str, Any], expected: list[str], packed: str) -> None:
    if packed == "multistream":
        given = {**given, "path": multistream(home, PAGES)[0].name}
    assert titles(**given) == expected


@pytest.mark.parametrize("packed", ["xml", "multistream"])
def test_redirects_are_followed_also_to_pages_that_were_passed_already(home: Path, packed: str) -> None:
    path = "dump.xml" if packed == "xml" else multistream(home, PAGES)[0].name
    (otter,) = read(path=path, title="Wassermarder")
    assert (otter.title, otter.meta["redirected_from"]) == ("Otter", "Wassermarder")
    assert titles(path=path, titles=("Fischotter", "Otter")) == ["Otter"]


def test_titles_that_the_dump_does_not_have() -> None:
    error = refused(titles=("OTTER (fluss)", "Zander", "Nichts"))
    assert error.message == "dump.xml: the dump has no page 'OTTER (fluss)', 'Nichts'"
    assert error.hint == "did you mean 'Otter (Fluss)'?"
    told: list[str] = []
    assert titles(Fetching(warn=told.append), titles=("Zander", "Nichts"), missing="skip") == ["Zander"]
    assert told == ["dump.xml: the dump has no page 'Nichts'"]


def test_a_dump_without_wanted_pages_is_an_error_that_says_why() -> None:
    error = refused(category="Steine")
    assert error.message.startswith("dump.xml: of 11 pages, none is wanted (2 redirects, 2 in other namespaces")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"title": "Otter", "titles": ("Zander",)}, "title and titles are two ways"),
        ({"title": "Otter", "category": "Tiere"}, "title and category are two ways"),
        ({"titles": ("Otter",), "pattern": "O*"}, "titles and pattern are two ways"),
        ({"title": "Otter", "redirects": "drop"}, "redirects are followed"),
        ({"redirects": "follow"}, "only redirects among title or titles"),
    ],
)
def test_says_which_parameters_do_not_go_together(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(**given)


# ---- however it is packed, wherever it lies ----


@pytest.mark.parametrize("pack", [bz2.compress, gzip.compress, lzma.compress], ids=["bz2", "gz", "xz"])
def test_packed_dumps_of_one_stream_and_of_many(home: Path, pack: Any) -> None:
    whole = xml(PAGES).encode()
    (home / "one").write_bytes(pack(whole))
    assert titles(path="one") == ARTICLES
    (home / "many").write_bytes(b"".join(pack(whole[n : n + 700]) for n in range(0, len(whole), 700)))
    assert titles(path="many") == ARTICLES


def test_a_packed_dump_of_which_each_piece_is_much_larger(home: Path) -> None:
    long = [Page(f"Seite {n}", "Wort " * 300_000) for n in range(2)]
    whole = xml(long).encode()
    for name, packed in {"a.bz2": bz2.compress(whole), "a.gz": gzip.compress(whole), "a.xz": lzma.compress(whole)}.items():
        (home / name).write_bytes(packed)
        assert [len(d.text) for d in read(path=name)] == [1_500_000] * 2


def test_many_files_by_a_pattern_in_the_order_of_people(home: Path) -> None:
    for n in (1, 2, 10):
        (home / f"part{n}.xml").write_text(xml([Page(f"Seite {n}", "Text")]), encoding="utf-8")
    assert titles(path="part*.xml") == ["Seite 1", "Seite 2", "Seite 10"]
    assert titles(path=str(home / "part1*.xml")) == ["Seite 1", "Seite 10"]
    with pytest.raises(ConfigError, match=r"no file is called 'teil\*\.xml'"):
        read(path="teil*.xml")


def test_an_index_reads_only_the_streams_with_wanted_pages(home: Path) -> None:
    file, starts = multistream(home, PAGES)
    whole = bytearray(file.read_bytes())
    for start, end in pairwise(starts[2:]):
        whole[start:end] = b"\0" * (end - start)  # all but the first stream of pages
    file.write_bytes(whole)
    assert titles(path=file.name, title="Otter") == ["Otter"]
    assert "damaged at byte" in refused(path=file.name, title="Zander").message


def test_an_index_that_is_none(home: Path) -> None:
    file, _ = multistream(home, PAGES)
    (home / "index.txt").write_text("hello\n")
    assert "index.txt:1: `byte:page id:title` belongs here" in refused(path=file.name, title="Otter", index="index.txt").message


def test_an_address_is_read_with_fsspec(web: Web) -> None:
    fsspec = pytest.importorskip("fsspec")
    with fsspec.open("memory://dumps/otto.xml.bz2", "wb") as there:
        there.write(bz2.compress(xml(PAGES).encode()))
    assert titles(path="memory://dumps/otto.xml.bz2") == ARTICLES
    assert titles(path="memory://dumps/*.bz2") == ARTICLES
    assert "no file is called that" in refused(path="memory://dumps/*.gz").message
    assert "there is no such file" in refused(path="memory://dumps/none.xml").message
    with pytest.raises(ConfigError, match="qqq"):
        read(path="qqq://dumps/otto.xml")
    with http.forbidden(yes=True):
        assert "offline=true" in refused(path=web.url).message
    assert web.asked == []


# ---- damaged and hostile ----


def damaged(home: Path, pages: int = 2000) -> Path:
    """Write a dump that ends in the middle."""
    import random

    words = random.Random(7)
    text = [Page(f"Seite {n}", " ".join(str(words.random()) for _ in range(60))) for n in range(pages)]
    file = home / "torn.xml.bz2"
    whole = bz2.compress(xml(text).encode())
    file.write_bytes(whole[: len(whole) * 2 // 3])
    return file


def test_a_torn_file_is_an_error_with_its_place_unless_what_there_is_is_kept(home: Path) -> None:
    file = damaged(home)
    error = refused(path=file.name)
    size = file.stat().st_size
    assert error.message.startswith(f"torn.xml.bz2: damaged at byte {size:,} of {size:,}: it ends in the middle; ")
    assert "pages before it were read, the last of them 'Seite " in error.message
    assert "damaged: keep" in error.hint
    told: list[str] = []
    kept = titles(Fetching(warn=told.append), path=file.name, damaged="keep")
    assert 500 < len(kept) < 2000
    assert kept == [f"Seite {n}" for n in range(len(kept))]
    assert len(told) == 1


def test_a_damaged_block(home: Path) -> None:
    file = damaged(home)
    whole = bytearray(file.read_bytes())
    whole[len(whole) // 2] ^= 0xFF
    file.write_bytes(whole)
    assert "it cannot be unpacked" in refused(path=file.name).message
    assert titles(path=file.name, damaged="keep")


def test_xml_that_ends_early_or_is_none(home: Path) -> None:
    (home / "a.xml").write_text(xml(PAGES)[:-200], encoding="utf-8")
    assert "no element found: line" in refused(path="a.xml").message
    assert titles(path="a.xml", damaged="keep") == ARTICLES[:3]
    (home / "b.xml").write_text("<html>hello</html>")
    assert "is this a dump of pages?" in refused(path="b.xml").hint
    (home / "c.xml").write_text("hello")
    assert "is this a dump?" in refused(path="c.xml", damaged="keep").hint
    (home / "d.xml").write_bytes(b"")
    assert "damaged at byte 0 of 0" in refused(path="d.xml").message


def test_entities_that_somebody_declares_are_refused(home: Path) -> None:
    bomb = '<!DOCTYPE m [<!ENTITY a "aaaaaaaaaa">' + "".join(
        f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9)
    )
    (home / "bomb.xml").write_text(f"{bomb}]>{HEAD}{page(1, Page('A', 'x')).replace('>x<', '>&j;<')}{TAIL}", encoding="utf-8")
    assert "it declares a document type, which no dump does" in refused(path="bomb.xml").message


def test_a_page_that_is_too_long_is_left_out_and_the_others_go_on(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dumps_module, "LONGEST", 1_000_000)
    now = Fetching()
    (home / "long.xml.gz").write_bytes(gzip.compress(xml([Page("Lang", "x" * 3_000_000), *PAGES]).encode()))
    assert titles(now, path="long.xml.gz") == ARTICLES
    assert now.skipped["too long"] == 1


def test_elements_without_end_or_bottom(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "deep.xml").write_text("<a>" * 100_000)
    assert "elements stand in each other" in refused(path="deep.xml").message
    monkeypatch.setattr(dumps_module, "LONGEST", 1_000_000)
    (home / "tag.xml").write_text("<mediawiki " + "x" * 3_000_000)
    assert "a tag has no end" in refused(path="tag.xml").message


def test_memory_does_not_grow_with_the_dump(home: Path) -> None:
    peaks = []
    for count in (2000, 8000):
        (home / "much.xml.gz").write_bytes(
            gzip.compress(xml(Page(f"Seite {n}", f"{n} " * 400) for n in range(count)).encode(), 1)
        )
        tracemalloc.start()
        assert sum(1 for _ in wikidump(path="much.xml.gz")) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.3
