"""The source `web`, against a site on loopback: politeness, the cache, sitemaps, and what pages may be."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ftbuild import http
from ftbuild.errors import SourceError
from ftbuild.fetching import Fetching, fetching
from ftbuild.http import Client
from ftbuild.pages import Pages
from ftbuild.records import Document
from ftbuild.sources.web import web as source
from tests import fivefold
from tests.web import Answer, Asked, Web

GONE = Answer("<h1>Not here</h1>", 404)
MAP = '<?xml version="1.0"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{}</urlset>'


class Site(Web):
    """A site: pages by their paths, each with an ETag if it is told to have one."""

    def __init__(self) -> None:
        super().__init__()
        self.pages: dict[str, Answer] = {}

    @property
    def home(self) -> str:
        """The address of the site."""
        return self.url.removesuffix("/w/api.php")

    def next(self, asked: Asked) -> Answer:
        """Answer with the page of that path, or 304 where the client has it already."""
        self.asked.append(asked)
        page = self.pages.get(asked.path, GONE)
        etag = page.headers.get("ETag")
        return Answer(status=304) if etag and asked.headers.get("If-None-Match") == etag else page

    @property
    def paths(self) -> list[str]:
        """What was asked for."""
        return [a.path for a in self.asked]


@pytest.fixture
def site() -> Iterator[Site]:
    """Run a site with two pages."""
    with Site() as made:
        made.pages = {"/a": page("Otters", ETag='"1"'), "/b": page("Badgers")}
        yield made


def page(title: str, **headers: str) -> Answer:
    return Answer(f"<html><title>{title}</title><body><h1>{title}</h1><p>They live.</p></body></html>", headers=headers)


def fetched(*urls: str, folder: Path | None = None, **given: Any) -> tuple[list[Document], Fetching]:
    """Return what the source gives, and what it told."""
    given = {"seconds_between": 0.0, "attempts": 1, **given}
    with fetching(Fetching(folder, warn=lambda _: None)) as now:
        return list(source(urls=urls, **given)), now


def test_pages_become_documents(site: Site) -> None:
    documents, _ = fetched(f"{site.home}/a", f"{site.home}/b", licence="CC0")
    assert [(d.id, d.title, d.text) for d in documents] == [
        (f"{site.home}/a", "Otters", "They live.\n"),
        (f"{site.home}/b", "Badgers", "They live.\n"),
    ]
    assert documents[0].meta == {"url": f"{site.home}/a", "media": "text/html", "licence": "CC0"}
    assert site.paths == ["/robots.txt", "/a", "/b"]
    assert site.asked[0].headers["User-Agent"].startswith("ftbuild/")


def test_an_unchanged_page_is_not_sent_again(site: Site, tmp_path: Path) -> None:
    first, _ = fetched(f"{site.home}/a", folder=tmp_path)
    again, _ = fetched(f"{site.home}/a", folder=tmp_path)
    assert again == first
    assert site.asked[-1].headers["If-None-Match"] == '"1"'
    site.pages["/a"] = page("Stoats", ETag='"2"')
    assert fetched(f"{site.home}/a", folder=tmp_path)[0][0].title == "Stoats"


def test_offline_has_what_was_fetched_before(site: Site, tmp_path: Path) -> None:
    first, _ = fetched(f"{site.home}/a", folder=tmp_path)
    before = len(site.asked)
    with http.forbidden(yes=True):
        assert fetched(f"{site.home}/a", folder=tmp_path)[0] == first
        with pytest.raises(SourceError, match="offline=true"):
            fetched(f"{site.home}/b", folder=tmp_path)
    assert len(site.asked) == before


def test_robots_txt_is_obeyed(site: Site) -> None:
    site.pages["/robots.txt"] = Answer("User-agent: *\nDisallow: /b\n", headers={"Content-Type": "text/plain"})
    with pytest.raises(SourceError, match=r"/b: its robots\.txt asks not to fetch it"):
        fetched(f"{site.home}/a", f"{site.home}/b")
    assert "/b" not in site.paths
    documents, now = fetched(f"{site.home}/a", f"{site.home}/b", on_error="skip")
    assert [d.title for d in documents] == ["Otters"]
    assert list(now.skipped) == [f"{site.home}/b: its robots.txt asks not to fetch it"]
    assert len(fetched(f"{site.home}/b", robots="ignore")[0]) == 1


def test_a_robots_txt_that_cannot_be_had_is_no_leave(site: Site) -> None:
    site.pages["/robots.txt"] = Answer("", 503)
    with pytest.raises(SourceError, match=r"/robots\.txt: HTTP 503"):
        fetched(f"{site.home}/a")
    assert site.paths == ["/robots.txt"]


def test_there_are_pauses_between_requests(site: Site) -> None:
    site.pages["/robots.txt"] = Answer("User-agent: *\nCrawl-delay: 30\n", headers={"Content-Type": "text/plain"})
    waits: list[float] = []
    pages = Pages(Client(wait=waits.append), pause=5.0)
    for path in ("/a", "/b"):
        pages.get(site.home + path)
    assert [round(w) for w in waits] == [30, 30]  # the first after robots.txt
    waits.clear()
    own = Pages(Client(wait=waits.append), pause=5.0, obey=False)
    for path in ("/a", "/b"):
        own.get(site.home + path)
    assert [round(w) for w in waits] == [5]


def test_redirects_are_followed_and_robots_asked_again(site: Site) -> None:
    site.pages |= {
        "/old": Answer(status=301, headers={"Location": "/a"}),
        "/into": Answer(status=302, headers={"Location": "/secret"}),
        "/round": Answer(status=302, headers={"Location": "/round"}),
        "/out": Answer(status=302, headers={"Location": "file:///etc/passwd"}),
        "/robots.txt": Answer("User-agent: *\nDisallow: /secret\n", headers={"Content-Type": "text/plain"}),
    }
    ((document,), now) = fetched(f"{site.home}/old", f"{site.home}/a")
    assert document.meta["url"] == f"{site.home}/a"
    assert now.skipped == {"the same page under another address": 1}
    for path, said in (("/into", "asks not to"), ("/round", "without end"), ("/out", "no address of the web")):
        with pytest.raises(SourceError, match=said):
            fetched(site.home + path)


def test_sitemaps_are_read_also_packed_and_in_an_index(site: Site) -> None:
    index = '<sitemapindex xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"><sitemap><loc>{}/map.xml.gz</loc></sitemap></sitemapindex>'
    both = "".join(f"<url><loc> {site.home}/{p} </loc><image><loc>{site.home}/x.png</loc></image></url>" for p in "ab")
    site.pages |= {
        "/sitemap.xml": Answer(index.format(site.home)),
        "/map.xml.gz": Answer(gzip.compress(MAP.format(both).encode())),
        "/map.txt": Answer(f"{site.home}/b\n", headers={"Content-Type": "text/plain"}),
        "/robots.txt": Answer(f"Sitemap: {site.home}/map.txt\n", headers={"Content-Type": "text/plain"}),
    }
    assert [d.title for d in fetched(sitemap=f"{site.home}/sitemap.xml")[0]] == ["Otters", "Badgers"]
    assert [d.title for d in fetched(sitemap=f"{site.home}/sitemap.xml", exclude=("*/a",))[0]] == ["Badgers"]
    assert [d.title for d in fetched(sitemap=(f"{site.home}/robots.txt",))[0]] == ["Badgers"]
    documents, now = fetched(sitemap=f"{site.home}/sitemap.xml", most=1)
    assert (len(documents), now.skipped) == (1, {"over most: 1": 1})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (gzip.compress(b" " * 100_000_000), "unpacks to more than 60 MB"),
        (b"<html><body>404</body></html>", "is no sitemap"),
        (b"nothing", "is no sitemap"),
        (b"\x1f\x8b broken", "is no gzip file"),
        (b'<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><urlset><url><loc>&b;</loc></url></urlset>', ""),
    ],
)
def test_hostile_sitemaps(site: Site, content: bytes, said: str) -> None:
    site.pages["/sitemap.xml"] = Answer(content)
    if said:
        with pytest.raises(SourceError, match=said):
            fetched(sitemap=f"{site.home}/sitemap.xml")
    else:
        assert fetched(sitemap=f"{site.home}/sitemap.xml")[0] == []


def test_what_a_page_is_decides_who_reads_it(site: Site) -> None:
    chinese = "<html><body><h1>水獭</h1><p>水獭生活在河流和湖泊的岸边，以鱼为食，冬天也不冬眠。</p></body></html>"
    site.pages |= {
        "/ferry": Answer(fivefold.pdf(), headers={"Content-Type": "application/pdf"}),
        "/big5": Answer(
            chinese.replace("獭", "獺").encode("big5", "replace"), headers={"Content-Type": "text/html; charset=big5"}
        ),
        "/gb": Answer(chinese.encode("gb18030"), headers={"Content-Type": "text/html"}),
        "/notes": Answer("# Otters\n\n*They* live.", headers={"Content-Type": "text/markdown"}),
        "/picture": Answer(b"\x89PNG\r\n\0", headers={"Content-Type": "image/png"}),
        "/large": Answer(b"x" * 3_000_000),
    }
    titles = [fetched(site.home + path)[0][0].title for path in ("/ferry", "/big5", "/gb", "/notes")]
    assert titles == [fivefold.TITLE, "水獺", "水獭", "Otters"]
    for path, said in (
        ("/picture", "there is no reader for image/png"),
        ("/large", "has more than 2 MB"),
        ("/none", "HTTP 404"),
    ):
        with pytest.raises(SourceError, match=said):
            fetched(site.home + path, max_megabytes=2.0)
