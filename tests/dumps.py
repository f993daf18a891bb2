"""Dumps of a wiki that there never was, in the shape of those that MediaWiki writes."""

from __future__ import annotations

import bz2
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

HEAD = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" version="0.11" xml:lang="de">
  <siteinfo>
    <sitename>Ottopedia</sitename>
    <base>https://wiki.example/wiki/Hauptseite</base>
    <case>first-letter</case>
    <namespaces>
      <namespace key="0" case="first-letter" />
      <namespace key="1" case="first-letter">Diskussion</namespace>
      <namespace key="10" case="first-letter">Vorlage</namespace>
      <namespace key="14" case="first-letter">Kategorie</namespace>
    </namespaces>
  </siteinfo>
"""
TAIL = "</mediawiki>\n"


@dataclass(frozen=True)
class Page:
    """A page of a dump."""

    title: str
    text: str
    ns: int = 0
    redirect: str = ""
    model: str = "wikitext"
    hidden: bool = False
    older: str = ""


def page(number: int, told: Page) -> str:
    """Return the XML of a page; `older` is the text of a revision before."""
    redirect = f"    <redirect title={quoteattr(told.redirect)} />\n" if told.redirect else ""
    older = _revision(number, told.older, told) if told.older else ""
    return (
        f"  <page>\n    <title>{escape(told.title)}</title>\n    <ns>{told.ns}</ns>\n    <id>{number}</id>\n{redirect}"
        f"{older}{_revision(1000 + number, told.text, told)}  </page>\n"
    )


def _revision(number: int, text: str, told: Page) -> str:
    whole = '<text bytes="0" deleted="deleted" />' if told.hidden else f'<text xml:space="preserve">{escape(text)}</text>'
    return (
        f"    <revision>\n      <id>{number}</id>\n      <timestamp>2026-11-01T12:00:00Z</timestamp>\n"
        f"      <contributor><username>Ann</username><id>7</id></contributor>\n      <model>{told.model}</model>\n"
        f"      {whole}\n    </revision>\n"
    )


def xml(pages: Iterable[Page]) -> str:
    """Return a whole dump."""
    return HEAD + "".join(page(n, p) for n, p in enumerate(pages, start=1)) + TAIL


def multistream(folder: Path, pages: Sequence[Page], *, each: int = 2) -> tuple[Path, list[int]]:
    """Write a multistream dump with its index beside it; return it, and where its streams begin."""
    streams, lines = [bz2.compress(HEAD.encode())], []
    for first in range(0, len(pages), each):
        place, some = sum(map(len, streams)), pages[first : first + each]
        streams.append(bz2.compress("".join(page(first + n, p) for n, p in enumerate(some, start=1)).encode()))
        lines += [f"{place}:{first + n}:{p.title}" for n, p in enumerate(some, start=1)]
    streams.append(bz2.compress(TAIL.encode()))
    file = folder / "otto-20261101-pages-articles-multistream.xml.bz2"
    file.write_bytes(b"".join(streams))
    index = folder / "otto-20261101-pages-articles-multistream-index.txt.bz2"
    index.write_bytes(bz2.compress(("\n".join(lines) + "\n").encode()))
    return file, list(_starts(streams))


def _starts(streams: list[bytes]) -> Iterator[int]:
    place = 0
    for stream in streams:
        yield place
        place += len(stream)
