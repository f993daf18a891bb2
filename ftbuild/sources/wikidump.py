"""Pages of a dump that a wiki made of itself: `pages-articles.xml`, plain or packed, of one file or of many.

Which pages: by title or a pattern of titles, namespace, category and redirect.  Where titles are named and the dump has an
index, only the streams that hold them are read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal

from ftbuild.errors import ConfigError, SourceError
from ftbuild.fetching import surroundings
from ftbuild.paths import find_file, find_files, is_remote
from ftbuild.records import Document
from ftbuild.registries import SOURCES
from ftbuild.schema import AtLeast
from ftbuild.wikis.dump import Entry, Head, Malformed, Reader, entries
from ftbuild.wikis.index import beside, places
from ftbuild.wikis.names import address
from ftbuild.wikis.streams import Stream, opened, there
from ftbuild.wikis.unpacking import Damaged

_SHOWN = 5
_FORMATS = {"wikitext": "wikitext", "text": "text", "markdown": "markdown"}
_ROUNDS = 4  # a redirect may lead to a page that was passed already, and that one on to another


def _wrong(given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with parameters that do not go together."""
    if given["title"] and given["titles"]:
        yield "titles", "title and titles are two ways to say which pages; keep one"
    named = "title" if given["title"] else "titles" if given["titles"] else ""
    for other in ("pattern", "category"):
        if named and given[other]:
            yield other, f"{named} and {other} are two ways to say which pages; keep one, or make two sources of them"
    if named and given["redirects"] in ("drop", "keep"):
        yield "redirects", f"with {named}, redirects are followed"
    if not named and given["redirects"] == "follow":
        yield "redirects", "only redirects among title or titles are followed; drop or keep those that are found"


@SOURCES("wikidump", files=("path",), aside=("index", "jobs"), check=_wrong)
def wikidump(
    *,
    path: str,
    index: str = "",
    title: str = "",
    titles: tuple[str, ...] = (),
    pattern: str = "",
    category: str | tuple[str, ...] = (),
    namespaces: tuple[int, ...] | None = None,
    redirects: Literal["follow", "drop", "keep"] | None = None,
    max_pages: Annotated[int, AtLeast(1)] | None = None,
    missing: Literal["error", "skip"] = "error",
    damaged: Literal["error", "keep"] = "error",
    licence: str = "",
    jobs: Annotated[int, AtLeast(1)] | None = None,
) -> Iterator[Document]:
    """Read pages of a dump.  `path` is a file, a pattern such as `dumps/*.bz2`, or an address that fsspec can open.

    Without `title`, `titles`, a `pattern` of titles or a `category`, all pages of the `namespaces` (the articles) are read.  A
    category is one that a page's own text names.  Redirects are followed where titles are named, and left out elsewhere.
    `damaged: keep` keeps what comes before a damaged place.  `licence` is recorded; dumps do not tell it.
    `jobs` is how many streams of bzip2 are unpacked at once, on all cores unless told.
    """
    given = {**locals(), "redirects": redirects or ("follow" if title or titles else "drop")}
    for _, message in _wrong(given):
        raise ConfigError(message)
    now = surroundings()
    named = (title,) if title else titles
    spaces = namespaces if namespaces is not None else None if named else (0,)
    wanted = _Wanted(named, pattern, (category,) if isinstance(category, str) and category else tuple(category), spaces,
                     given["redirects"], max_pages)  # fmt: skip
    files: list[Path | str] = [*there(path)] if is_remote(path) else [*find_files(path).values()]
    for _ in range(_ROUNDS):
        for file in files:
            for head, entry in _entries(file, _index(file, index), wanted, keep=damaged == "keep", jobs=jobs or cores()):
                if document := wanted.document(head, entry, licence):
                    yield document
                if wanted.enough:
                    break
            if wanted.enough:
                break
        if not wanted.again():
            break
    for why, number in wanted.left_out.items():
        now.skipped[why] += number
    _tell(path, wanted, skip=missing == "skip")


def _tell(path: str, wanted: _Wanted, *, skip: bool) -> None:
    """Tell of titles that the dump does not have, and of a dump that gave nothing."""
    if lacking := wanted.lacking():
        shown = ", ".join(map(repr, lacking[:_SHOWN])) + (f" and {len(lacking) - _SHOWN} more" if len(lacking) > _SHOWN else "")
        if not skip:
            hint = "titles are exact, but for the first letter's case; `missing: skip` goes on without them"
            if near := [title for title in wanted.near if title not in wanted.done]:
                hint = f"did you mean {', '.join(map(repr, near[:_SHOWN]))}?"
            raise SourceError(f"{path}: the dump has no page {shown}", hint=hint)
        surroundings().skipped["missing pages"] += len(lacking)
        surroundings().warn(f"{path}: the dump has no page {shown}")
    elif not wanted.given:
        left = ", ".join(f"{n:,} {why}" for why, n in wanted.left_out.items())
        raise SourceError(
            f"{path}: of {wanted.seen:,} pages, none is wanted" + (f" ({left})" if left else ""),
            hint="are namespaces, pattern and category right?" if wanted.seen else "is this a dump of pages?",
        )


def _index(file: Path | str, index: str) -> Path | str | None:
    if index:
        return index if is_remote(index) else find_file(index)
    return beside(file) if isinstance(file, Path) else None


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass
class _Wanted:
    """Which pages are wanted, and what has come of it so far."""

    titles: tuple[str, ...]
    pattern: str
    categories: tuple[str, ...]
    namespaces: tuple[int, ...] | None
    redirects: str
    most: int | None
    seen: int = 0
    given: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    _left: dict[str, str] = field(default_factory=dict)
    near: dict[str, bool] = field(default_factory=dict)
    _folded: set[str] = field(default_factory=set)
    _added: set[str] = field(default_factory=set)
    done: set[str] = field(default_factory=set)
    _head: Head | None = None

    def begin(self, head: Head) -> None:
        """Take note of how the wiki writes titles: from now on those that are named are looked for as it does."""
        if self._head is None:
            self._left = dict.fromkeys(map(head.names.title, self.titles), "")
            self._folded = {title.casefold() for title in self._left}
        self._head = head

    @property
    def enough(self) -> bool:
        """Whether no more pages need be read."""
        found_all = bool(self.titles) and self._head is not None and not self._left
        return found_all or (self.most is not None and self.given >= self.most)

    def again(self) -> bool:
        """Say whether redirects lead to pages that were passed already, and have to be looked for from the beginning."""
        passed, self._added = self._added & self._left.keys(), set()
        return bool(passed) and not self.enough

    def lacking(self) -> list[str]:
        """Return the titles that were named and not found."""
        if self.most is not None and self.given >= self.most:
            return []
        return [f"{asked} (a redirect to {title})" if asked else title for title, asked in self._left.items()]

    def by_name(self, title: str) -> bool:
        """Say whether a page may be wanted for its title."""
        if self.titles:
            if title in self._left:
                return True
            if title.casefold() in self._folded:
                self.near[title] = True
            return False
        return not self.pattern or fnmatchcase(title.casefold(), self.pattern.casefold())

    @property
    def few(self) -> bool:
        """Whether titles alone tell most pages that are not wanted."""
        return bool(self.titles or self.pattern)

    def want(self, title: str, space: int, redirect: str) -> bool:
        """Say whether the text of a page is wanted."""
        self.seen += 1
        if not self.by_name(title):
            return False
        if self.namespaces is not None and space not in self.namespaces:
            return self._leave("in other namespaces")
        if redirect and self.redirects == "drop":
            return self._leave("redirects")
        return True

    def _leave(self, why: str) -> bool:
        self.left_out[why] = self.left_out.get(why, 0) + 1
        return False

    def document(self, head: Head, entry: Entry, licence: str) -> Document | None:
        """Return a page as a document, if it is wanted once its text is known."""
        asked = ""
        if self.titles:
            asked = self._left.pop(entry.title, "")
            self.done.add(entry.title)
            if entry.redirect:
                target = head.names.title(entry.redirect)
                if target not in self.done and target not in self._left:
                    self._left[target] = asked or entry.title
                    self._added.add(target)
                return None
        if why := self._unfit(head, entry):
            self._leave(why)
            surroundings().note(f"{entry.title}: left out, it is {why}") if why in _WORTH_TELLING else None
            return None
        self.given += 1
        assert entry.text is not None
        url = address(head.path, entry.title) if head.path else ""
        told = [entry.title, head.name, f"revision {entry.revision}" if entry.revision else "", url]
        meta = {
            "url": url,
            "revision": entry.revision,
            "timestamp": entry.timestamp,
            "licence": licence,
            "attribution": ", ".join(filter(None, told)),
            "redirected_from": asked,
            "language": head.language,
            "site": head.name,
            "redirects_to": entry.redirect,
            "categories": head.names.categories(entry.text) if entry.model == "wikitext" else [],
        }
        kept = {k: v for k, v in meta.items() if v}
        return Document(entry.title, entry.title, entry.text, _FORMATS.get(entry.model, "text"), kept)

    def _unfit(self, head: Head, entry: Entry) -> str:
        if entry.too_long:
            return "too long"
        if entry.text is None:
            return "hidden"
        if not entry.text.strip():
            return "empty"
        if entry.model not in _FORMATS and not self.titles:
            return f"no text but {entry.model}"
        if self.categories:
            names = {head.names.category(c) for c in self.categories}
            if not names & set(head.names.categories(entry.text)):
                return "in other categories"
        return ""


_WORTH_TELLING = frozenset({"too long", "hidden"})


def _entries(
    file: Path | str, index: Path | str | None, wanted: _Wanted, *, keep: bool, jobs: int
) -> Iterator[tuple[Head, Entry]]:
    """Yield the pages of one file that may be wanted, and what the dump says about its wiki."""
    now = surroundings()
    with opened(file) as stream:
        reader = Reader(wanted.want, wanted.begin)
        try:
            for entry in (
                _by_index(stream, index, reader, wanted)
                if index and wanted.few
                else entries(reader, _told(stream, wanted, jobs))
            ):
                yield reader.head, entry
                now.bar(
                    stream.position // 1_000_000, stream.size // 1_000_000, pages=f"{wanted.seen:,}", found=f"{wanted.given:,}"
                )
        except (Damaged, Malformed) as error:
            at = error.position if isinstance(error, Damaged) else stream.position
            what = f"{stream.name}: damaged at byte {at:,} of {stream.size:,}: {error}"
            after = f"{wanted.seen:,} pages before it were read" + (
                f", the last of them {reader.last!r}" if reader.last else ""
            )
            if not keep or not wanted.seen:
                hint = (
                    "fetch it again; `damaged: keep` takes what comes before the damage" if wanted.seen else "is this a dump?"
                )
                raise SourceError(f"{what}; {after}", hint=hint) from error
            now.warn(f"{what}; {after}, and kept")


def _told(stream: Stream, wanted: _Wanted, jobs: int) -> Iterator[bytes]:
    """Yield a file's pieces, telling how far it is."""
    now = surroundings()
    for piece in stream.pieces(jobs=jobs):
        yield piece
        now.bar(stream.position // 1_000_000, stream.size // 1_000_000, pages=f"{wanted.seen:,}", found=f"{wanted.given:,}")


def _by_index(stream: Stream, index: Path | str, head: Reader, wanted: _Wanted) -> Iterator[Entry]:
    """Yield the wanted pages of those streams that hold some, as the index has it."""
    for piece in stream.pieces(one=True):
        head.feed(piece)
        if head.begun:  # it holds pages as well
            break
    wanted.begin(head.head)
    for place in places(index, wanted.by_name):
        stream.seek(place)
        reader = Reader(wanted.want)
        for piece in stream.pieces(one=True):
            yield from reader.feed(piece)
        head.last = reader.last
