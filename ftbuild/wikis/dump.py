"""The pages of a dump, `pages-articles.xml`, one after the other: memory does not grow with the dump.

In: pieces of XML.  Out: `Entry`s, of those pages that are wanted.  Whether one is, is asked before its text comes, so that what
is not wanted costs little more than unpacking it.  A document type is refused, and with it every entity that somebody declares.

Source: https://www.mediawiki.org/wiki/Help:Export, export format 0.11 and those before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ftbuild.wikis.names import Names

LONGEST = 64_000_000
"""Characters of one page; MediaWiki itself takes two million bytes unless told otherwise."""

_DEEPEST = 40
_WANTED = frozenset(
    {
        ("page", "title"), ("page", "ns"), ("page", "id"),
        ("revision", "id"), ("revision", "timestamp"), ("revision", "model"), ("revision", "text"),
        ("siteinfo", "sitename"), ("siteinfo", "base"), ("siteinfo", "case"), ("namespaces", "namespace"),
    }
)  # fmt: skip


class Malformed(Exception):
    """The XML is not a dump's, or not whole."""


@dataclass(frozen=True)
class Entry:
    """A page of a dump.  `redirect` is the title that it leads to; `text` is None if it was hidden, or is too long."""

    title: str
    space: int
    redirect: str
    revision: int
    timestamp: str
    model: str
    text: str | None
    too_long: bool = False


@dataclass
class Head:
    """What a dump says about its wiki."""

    name: str = ""
    base: str = ""
    language: str = ""
    capital: bool = True
    namespaces: dict[int, str] = field(default_factory=dict)

    @property
    def names(self) -> Names:
        """The names of the wiki's namespaces."""
        return Names({name.casefold(): number for number, name in self.namespaces.items()}, self.namespaces, self.capital)

    @property
    def path(self) -> str:
        """The pattern of the addresses of its pages, from that of its main page."""
        return f"{self.base.rpartition('/')[0]}/$1" if "/" in self.base else ""


Want = Callable[[str, int, str], bool]
"""`(title, namespace, redirect) -> whether the page is wanted`."""


class Reader:
    """Reads a dump, and tells `begin` what it says of its wiki before its first page; without `begin`, a piece of pages."""

    def __init__(self, want: Want, begin: Callable[[Head], None] | None = None) -> None:
        from xml.parsers import expat

        self.head = Head()
        self.last = ""
        self._want = want
        self._parser = parser = expat.ParserCreate()
        self._error = expat.ExpatError
        parser.buffer_text = True
        parser.buffer_size = 1 << 16
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.StartDoctypeDeclHandler = self._refuse
        self._fed = 0
        self._stack: list[str] = []
        self._held: list[str] | None = None
        self._length = 0
        self._page: dict[str, str] = {}
        self._skip = False
        self._done: list[Entry] = []
        self._begin = begin
        self.begun = begin is None
        if self.begun:
            parser.Parse(b"<mediawiki>", False)  # noqa: FBT003 - expat takes no names

    def feed(self, data: bytes) -> list[Entry]:
        """Take a piece of XML and return the pages that end in it.  Malformed says what is wrong, and in which line."""
        self._parse(data, end=False)
        self._fed += len(data)
        if self._fed - self._parser.CurrentByteIndex > LONGEST:
            raise Malformed(f"line {self._parser.CurrentLineNumber}: a tag has no end")
        done, self._done = self._done, []
        return done

    def close(self) -> None:
        """Say that there is no more.  Malformed if there should be."""
        self._parse(b"", end=True)

    def _parse(self, data: bytes, *, end: bool) -> None:
        try:
            self._parser.Parse(data, end)
        except self._error as error:
            raise Malformed(str(error)) from error

    def _refuse(self, *_: Any) -> None:
        raise Malformed(f"line {self._parser.CurrentLineNumber}: it declares a document type, which no dump does")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        stack = self._stack
        above = stack[-1] if stack else ""
        stack.append(name)
        if len(stack) > _DEEPEST:
            raise Malformed(f"line {self._parser.CurrentLineNumber}: elements stand in each other {_DEEPEST} deep")
        if name == "page":
            self._page, self._skip = {}, False
            if not self.begun and self._begin:
                self.begun = True
                self._begin(self.head)
        elif name == "redirect":
            self._page["redirect"] = attributes.get("title", "")
        elif name == "revision" and above == "page" and "asked" not in self._page:
            page = self._page
            page["asked"] = "yes"  # of a history, the last revision is taken
            self.last = page.get("title", "")
            self._skip = not self._want(self.last, _number(page.get("ns")), page.get("redirect", ""))
        elif name == "mediawiki":
            self.head.language = attributes.get("xml:lang", "")
        if (above, name) in _WANTED and not self._skip:
            self._held, self._length = [], 0
            self._parser.CharacterDataHandler = self._hold
            self._page["hidden"] = "yes" if name == "text" and "deleted" in attributes else ""
            self._page["key"] = attributes.get("key", "")

    def _hold(self, text: str) -> None:
        assert self._held is not None
        self._length += len(text)
        if self._length > LONGEST:
            self._held.clear()
        else:
            self._held.append(text)

    def _end(self, name: str) -> None:
        stack = self._stack
        stack.pop()
        if self._held is not None:
            value, self._held = "".join(self._held), None
            self._parser.CharacterDataHandler = None
            self._take(stack[-1], name, value)
        if name == "page" and not self._skip and "title" in self._page:
            self._done.append(self._entry())

    def _take(self, above: str, name: str, value: str) -> None:
        if above == "page":
            self._page[name] = value
        elif above == "revision":
            if name == "text":
                self._page["long"] = "yes" if self._length > LONGEST else ""
                self._page["shown"] = "" if self._page["hidden"] else "yes"
            self._page[f"revision {name}"] = value
        elif name == "namespace":
            if value:
                self.head.namespaces[_number(self._page["key"])] = value
        elif name == "case":
            self.head.capital = value == "first-letter"
        else:
            setattr(self.head, "name" if name == "sitename" else "base", value)

    def _entry(self) -> Entry:
        page = self._page
        long = bool(page.get("long"))
        return Entry(
            title=page["title"],
            space=_number(page.get("ns")),
            redirect=page.get("redirect", ""),
            revision=_number(page.get("revision id")),
            timestamp=page.get("revision timestamp", ""),
            model=page.get("revision model") or "wikitext",
            text=page.get("revision text", "") if page.get("shown") and not long else None,
            too_long=long,
        )


def entries(reader: Reader, pieces: Iterable[bytes]) -> Iterator[Entry]:
    """Yield the wanted pages of a dump as its pieces come.  Malformed where it is not whole."""
    for piece in pieces:
        yield from reader.feed(piece)
    reader.close()


def _number(written: str | None) -> int:
    try:
        return int(written or 0)
    except ValueError:
        return 0
