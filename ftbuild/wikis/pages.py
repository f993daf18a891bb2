"""Pages of a wiki at one revision each, and what is kept of them, so that only what has changed is fetched again.

    pages/WIKI/site.json          what the wiki says about itself
    pages/WIKI/11/4711.json       a page at revision 4711, with a checksum
    pages/places/….json           which API belongs to the address of a page

WIKI is the beginning of a digest of the API's address.  What is damaged is as good as not there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from ftbuild.digest import digest
from ftbuild.errors import SourceError
from ftbuild.store import read_json, write_json
from ftbuild.wikis.api import BATCH, SITE, Site, Wiki, site_of

CONTENT = {"prop": "revisions|info", "rvprop": "ids|timestamp|content", "rvslots": "main", "inprop": "url"}


@dataclass(frozen=True)
class Page:
    """A page at one revision.  `text` is None where the wiki does not show it."""

    title: str
    revision: int
    timestamp: str
    url: str
    language: str
    model: str
    text: str | None


def page_of(told: Mapping[str, Any]) -> Page:
    """Return a page as a query that asked for `CONTENT` tells it."""
    revision = (told.get("revisions") or [{}])[0]
    slot = revision.get("slots", {}).get("main", {})
    return Page(
        title=str(told["title"]),
        revision=int(revision.get("revid") or 0),
        timestamp=str(revision.get("timestamp") or ""),
        url=str(told.get("canonicalurl") or told.get("fullurl") or ""),
        language=str(told.get("pagelanguage") or ""),
        model=str(slot.get("contentmodel", "wikitext")),
        text=slot.get("content"),
    )


def known_api(folder: Path | None, url: str, find: Callable[[], str]) -> str:
    """Return the API of the wiki that an address belongs to: as it was found before, or else as `find` finds it."""
    file = folder / "places" / f"{digest(url)[:16]}.json" if folder else None
    kept = read_json(file) if file else None
    if isinstance(kept, dict) and kept.get("url") == url and isinstance(kept.get("api"), str):
        return str(kept["api"])
    api = find()
    if file:
        write_json(file, {"url": url, "api": api})
    return api


class Pages:
    """The pages of one wiki: from what is kept, or else from the wiki."""

    def __init__(self, wiki: Wiki, folder: Path | None) -> None:
        self._wiki = wiki
        self._folder = folder / digest(wiki.api)[:16] if folder else None
        self._site: Site | None = None

    @property
    def known(self) -> bool:
        """Whether anything is kept of this wiki."""
        return self._folder is not None and (self._folder / "site.json").is_file()

    def site(self) -> Site:
        """Return what the wiki says about itself: what was heard last, or else what it answers now."""
        if self._site is None:
            kept = self._read("site.json")
            self.heard(told := kept if kept is not None else self._wiki.query(SITE))
            self._site = self._site or site_of(told)
        return self._site

    def ask_site(self) -> Site:
        """Return what the wiki says about itself now."""
        self.heard(self._wiki.query(SITE))
        return self.site()

    def heard(self, told: Mapping[str, Any]) -> None:
        """Take note of what an answer says about the wiki."""
        if "general" in told:
            self._site = site_of(told)
            self._write(
                "site.json", {k: told[k] for k in ("general", "rightsinfo", "namespaces", "namespacealiases") if k in told}
            )

    def keep(self, page: Page) -> None:
        """Keep a page, if it is known which revision it is."""
        if page.revision and page.text is not None:
            self._write(_place(page.revision), asdict(page))

    def find(self, revision: int) -> Page | None:
        """Return a page at a revision, if it is kept."""
        kept = self._read(_place(revision)) if revision else None
        return Page(**kept) if kept is not None else None

    def at(self, revisions: Sequence[int]) -> dict[int, Page]:
        """Return pages by their revisions, asking for those that are not kept.  A revision that is gone is not among them."""
        found = {r: page for r in revisions if (page := self.find(r)) is not None}
        missing = [r for r in dict.fromkeys(revisions) if r not in found]
        for some in batches(missing):
            told = self._wiki.query({**CONTENT, "revids": "|".join(map(str, some)), **({} if self._site else SITE)})
            self.heard(told)
            for page in told.get("pages", ()):
                for revision in page.get("revisions", ()):
                    one = page_of({**page, "revisions": [revision]})
                    found[one.revision or some[0]] = one
                    self.keep(one)
        return found

    def _read(self, name: str) -> dict[str, Any] | None:
        kept = read_json(self._folder / name) if self._folder else None
        if isinstance(kept, dict) and kept.get("checksum") == digest(kept.get("kept")):
            return cast("dict[str, Any]", kept["kept"])
        return None

    def _write(self, name: str, value: dict[str, Any]) -> None:
        if self._folder is None:
            return
        try:
            write_json(self._folder / name, {"kept": value, "checksum": digest(value)})
        except OSError as error:
            raise SourceError(f"cannot keep pages in {self._folder}: {error.strerror}", hint="is the disk full?") from error


def _place(revision: int) -> str:
    return f"{revision % 100:02}/{revision}.json"


def batches(values: Iterable[Any]) -> list[list[Any]]:
    """Return values in lists of as many as a wiki lets anybody ask for at once."""
    all_ = list(values)
    return [all_[n : n + BATCH] for n in range(0, len(all_), BATCH)]
