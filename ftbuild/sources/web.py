"""Pages of the web: a list of addresses, or all that a sitemap names.

In: addresses.  Out: a document a page, its main text with headings, lists and tables; a PDF or a Word file on the web is read
as one.

Source: https://www.sitemaps.org/protocol.html.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

from ftbuild.errors import SourceError
from ftbuild.fetching import surroundings
from ftbuild.http import Client
from ftbuild.pages import Page, Pages
from ftbuild.readers.choose import PACKAGES, problems, read
from ftbuild.records import Document
from ftbuild.registries import READERS, SOURCES
from ftbuild.schema import AtLeast
from ftbuild.versions import versions

_MOST_SITEMAPS = 500
_LARGEST_SITEMAP = 60_000_000
_VERSION = 1


def _depends(_: Any) -> Mapping[str, str]:
    return {**versions(*PACKAGES), "readers": str(_VERSION)}


def _check(params: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    if not params["urls"] and not params["sitemap"]:
        yield "urls", "missing: a web source needs urls or a sitemap"
    for name in ("urls", "sitemap"):
        given = params[name]
        for url in [given] if isinstance(given, str) and given else given:
            if not url.startswith(("http://", "https://")):
                yield name, f"{url!r} is no address; write it with https://"
    yield from problems({}, params["options"])


@SOURCES("web", depends=_depends, check=_check, aside=("contact", "seconds_between"))
def web(
    *,
    urls: tuple[str, ...] = (),
    sitemap: str | tuple[str, ...] = (),
    include: tuple[str, ...] = (),
    exclude: tuple[str, ...] = (),
    most: Annotated[int, AtLeast(1)] = 1000,
    seconds_between: Annotated[float, AtLeast(0)] = 1.0,
    contact: str = "",
    robots: Literal["obey", "ignore"] = "obey",
    reader: Annotated[str, READERS] = "",
    options: Mapping[str, Mapping[str, Any]] = {},
    on_error: Literal["stop", "skip"] = "stop",
    licence: str = "",
    attribution: str = "",
    max_megabytes: float = 20.0,
    attempts: Annotated[int, AtLeast(1)] = 5,
) -> Iterator[Document]:
    """Fetch pages by their addresses, and those that sitemaps name, up to `most`.

    robots.txt is obeyed, `seconds_between` pass between two requests to one host, and a page that has not changed since it was
    fetched is not sent again.  `include` and `exclude` are patterns of addresses, for what a sitemap names.
    """
    now = surroundings()
    client = Client(attempts=attempts)
    if contact:
        client.user_agent += f" {contact}"
    pages = Pages(client, now.folder, seconds_between, int(max_megabytes * 1_000_000), obey=robots == "obey")
    wanted = list(
        dict.fromkeys([*urls, *_of_sitemaps([sitemap] if isinstance(sitemap, str) else sitemap, pages, include, exclude)])
    )
    if len(wanted) > most:
        now.warn(f"{len(wanted):,} pages are named; the first {most:,} are fetched (most: {most})")
        now.skipped[f"over most: {most}"] += len(wanted) - most
    about = {k: v for k, v in {"licence": licence, "attribution": attribution}.items() if v}
    seen: set[str] = set()
    for number, url in enumerate(wanted[:most]):
        now.bar(number, min(len(wanted), most), page=url)
        try:
            page = pages.get(url)
            if page.address in seen:
                now.skipped["the same page under another address"] += 1
                continue
            seen.add(page.address)
            documents = read(_in_utf_8(page), page.address, reader=reader, media=page.media, options=options)
        except SourceError as error:
            if on_error == "stop":
                hint = f"{error.hint} (on_error: skip leaves it out)" if error.hint else "on_error: skip leaves it out"
                raise SourceError(error.message, hint=hint) from error
            now.warn(f"left out: {error.message}")
            now.skipped[error.message] += 1
            continue
        for n, document in enumerate(documents, start=1):
            meta = {"url": page.address, "timestamp": page.changed, "media": page.media, **document.meta, **about}
            name = url if len(documents) == 1 else f"{url}#{n}"
            yield replace(document, id=name, meta={k: v for k, v in meta.items() if v})


def _in_utf_8(page: Page) -> bytes:
    """Return a page's bytes, as UTF-8 with its mark where the server names a charset that fits: its word comes first."""
    if (
        not page.charset
        or not page.media.startswith("text/")
        or page.content.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"))
    ):
        return page.content
    try:
        return b"\xef\xbb\xbf" + page.content.decode(page.charset).encode()
    except (LookupError, UnicodeError):
        return page.content


def _of_sitemaps(sitemaps: Iterable[str], pages: Pages, include: tuple[str, ...], exclude: tuple[str, ...]) -> Iterator[str]:
    """Yield the addresses that sitemaps name, those of an index too."""
    waiting, read_ = list(sitemaps), set[str]()
    while waiting:
        url = waiting.pop(0)
        if url in read_:
            continue
        read_.add(url)
        if len(read_) > _MOST_SITEMAPS:
            raise SourceError(f"{url}: there are more than {_MOST_SITEMAPS} sitemaps", hint="name some of them")
        if url.endswith("/robots.txt"):
            waiting += pages.sitemaps(url)
            continue
        inner, found = _parsed(_unpacked(pages.get(url).content, url), url)
        waiting += inner
        for address in found:
            if (not include or any(fnmatchcase(address, p) for p in include)) and not any(
                fnmatchcase(address, p) for p in exclude
            ):
                yield address


def _unpacked(content: bytes, url: str) -> bytes:
    if not content.startswith(b"\x1f\x8b"):
        return content
    unpacking = zlib.decompressobj(wbits=31)
    try:
        unpacked = unpacking.decompress(content, _LARGEST_SITEMAP)
    except zlib.error as error:
        raise SourceError(f"{url}: is no gzip file: {error}") from error
    if unpacking.unconsumed_tail:
        raise SourceError(f"{url}: unpacks to more than {_LARGEST_SITEMAP // 1_000_000} MB, which no sitemap does")
    return unpacked


def _parsed(content: bytes, url: str) -> tuple[list[str], list[str]]:
    """Return the sitemaps and the pages that a sitemap names."""
    from lxml import etree

    if not content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        lines = [line.strip() for line in content.decode("utf-8", "replace").splitlines()]
        if found := [line for line in lines if line.startswith(("http://", "https://"))]:
            return [], found
        raise SourceError(f"{url}: is no sitemap", hint="a sitemap is XML, or a text of one address a line")
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, recover=True)
    try:
        root = etree.fromstring(content, parser)
    except etree.XMLSyntaxError as error:
        raise SourceError(f"{url}: is no XML: {error}") from error
    kind = "" if root is None else str(root.tag).rpartition("}")[2]
    if root is None or kind not in ("urlset", "sitemapindex"):
        raise SourceError(f"{url}: is no sitemap", hint="is it a page? pages belong under urls:")
    found = [
        (e.text or "").strip() for e in root.iter("{*}loc") if str(e.getparent().tag).rpartition("}")[2] in ("url", "sitemap")
    ]
    found = [address for address in found if address]
    return (found, []) if kind == "sitemapindex" else ([], found)
