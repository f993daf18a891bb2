"""Which pages of a wiki: named by their titles, in a category, found by a search, or linked from a page.

In: a wiki and what the recipe says.  Out: `Chosen`, each page's title and latest revision, found out with few requests and
without any page's text, in an order that does not depend on the wiki's mood.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ftbuild.errors import ConfigError, SourceError
from ftbuild.fetching import surroundings
from ftbuild.wikis.api import SITE, Wiki, together
from ftbuild.wikis.names import CATEGORY
from ftbuild.wikis.pages import CONTENT, Page, Pages, batches, page_of

_SHOWN = 5  # names in one message


@dataclass(frozen=True)
class Chosen:
    """A page to fetch: its title, the revision that is wanted, and the page itself if it came along.

    `asked` is the title under which the recipe names it, where that is a redirect.
    """

    title: str
    revision: int
    asked: str = ""
    page: Page | None = None


@dataclass
class _Trouble:
    """Titles that name no page."""

    missing: list[str]
    invalid: list[tuple[str, str]]
    elsewhere: list[tuple[str, str]]


# ---- by title ----


def by_titles(wiki: Wiki, pages: Pages, titles: Sequence[str], *, missing_is_an_error: bool = True) -> list[Chosen]:
    """Choose pages by their titles, following redirects.  SourceError names every title that is none, with those near it.

    Where nothing is kept of the wiki yet, the texts come along, which saves a request.
    """
    found: dict[str, Chosen] = {}
    trouble = _Trouble([], [], [])
    params = {**(CONTENT if not pages.known else {"prop": "info"}), "redirects": "1", "converttitles": "1"}
    for some in batches(titles):
        told = wiki.query({**params, "titles": together(some), **(SITE if some[0] == titles[0] else {})})
        pages.heard(told)
        for written, page in _answers(some, told, trouble):
            title = str(page["title"])
            asked = pages.site().names.title(written)
            if len(some) == 1 and told.get("redirects"):
                asked = str(told["redirects"][0]["from"])
            if title not in found:
                found[title] = _chosen(page, asked if asked != title else "")
            if found[title].page is not None:
                pages.keep(found[title].page)  # type: ignore[arg-type]
    if trouble.missing and not missing_is_an_error:
        surroundings().skipped["missing pages"] += len(trouble.missing)
        surroundings().warn(f"the wiki has no {_named('page', trouble.missing)}")
        trouble.missing.clear()
    _tell(wiki, trouble)
    return list(found.values())


def _chosen(page: Mapping[str, Any], asked: str = "") -> Chosen:
    came = page_of(page) if page.get("revisions") else None
    revision = int(page.get("lastrevid") or (came.revision if came else 0))
    return Chosen(str(page["title"]), revision, asked, came)


def _answers(titles: Sequence[str], told: Mapping[str, Any], trouble: _Trouble) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each title with its page, whatever the wiki calls it; those without one go to `trouble`."""
    steps = {s["from"]: s["to"] for kind in ("normalized", "converted", "redirects") for s in told.get(kind, ())}
    pages = {p["title"]: p for p in told.get("pages", ())}
    elsewhere = {i["title"]: i.get("iw", "") for i in told.get("interwiki", ())}
    for title in titles:
        name, seen = title, set[str]()
        while name in steps and name not in seen:
            seen.add(name)
            name = steps[name]
        page = pages.get(name)
        if page is None and len(titles) == 1 and len(pages) == 1 and not elsewhere:
            page = next(iter(pages.values()))
        if name in elsewhere or title in elsewhere:
            trouble.elsewhere.append((title, elsewhere.get(name) or elsewhere.get(title, "")))
        elif page is not None and page.get("invalid"):
            trouble.invalid.append((title, str(page.get("invalidreason", "invalid"))))
        elif page is None or page.get("missing") or page.get("special"):
            trouble.missing.append(title)
        else:
            yield title, page


def _tell(wiki: Wiki, trouble: _Trouble) -> None:
    if trouble.elsewhere:
        title, prefix = trouble.elsewhere[0]
        raise SourceError(
            f"{wiki.api}: {title!r} is a page of another wiki ({prefix})",
            hint="give that wiki a source of its own, by its address",
        )
    if trouble.invalid:
        title, why = trouble.invalid[0]
        raise SourceError(f"{wiki.api}: {title!r} is no title: {why}")
    if trouble.missing:
        hint = "titles are exact, but for the first letter's case"
        if near := _near(wiki, trouble.missing):
            hint = "did you mean " + ", ".join(map(repr, near)) + "?"
        raise SourceError(f"{wiki.api}: there is no {_named('page', trouble.missing)}", hint=hint)


def _named(noun: str, names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:_SHOWN]))
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{noun} {shown}{more}"


def _near(wiki: Wiki, missing: Sequence[str]) -> list[str]:
    """Return titles of the wiki that are like those that it does not have, as far as it knows any."""
    near: dict[str, bool] = {}
    for title in missing[:3]:
        candidates: list[str] = []
        for letters in sorted({len(title), max(3, len(title) // 2), 2}, reverse=True):
            asked = {
                "list": "prefixsearch|search",
                "pssearch": title[:letters],
                "pslimit": "50",
                "srsearch": title,
                "srlimit": "5",
            }
            try:
                told = wiki.query({**asked, "srinfo": "suggestion", "srprop": ""})
            except SourceError:
                return list(near)
            candidates += [str(c["title"]) for kind in ("prefixsearch", "search") for c in told.get(kind, ()) if "title" in c]
            candidates += filter(None, [told.get("searchinfo", {}).get("suggestion")])
            if close := difflib.get_close_matches(title, candidates, n=2, cutoff=0.6):
                near.update(dict.fromkeys(close, True))
                break
    return list(near)


# ---- by what the wiki knows ----


def by_category(wiki: Wiki, pages: Pages, category: str, *, depth: int, namespaces: Sequence[int], most: int) -> list[Chosen]:
    """Choose the pages of a category and of its subcategories down to a depth, each category once."""
    names = pages.ask_site().names
    found, level, seen = _Found(most), [names.category(category)], set[str]()
    for deep in range(depth + 1):
        below: list[str] = []
        for name in dict.fromkeys(level):
            if name in seen or found.full:
                continue
            seen.add(name)
            wanted = sorted({*namespaces, *((CATEGORY,) if deep < depth else ())})
            params = {"gcmtitle": f"Category:{name}", "gcmnamespace": "|".join(map(str, wanted)), "gcmlimit": "max"}
            for page in _generated(wiki, "categorymembers", params):
                if page.get("ns") == CATEGORY and deep < depth:
                    below.append(names.category(str(page["title"])))
                if page.get("ns", 0) in namespaces and not found.add(page):
                    break
        level = below
    if not found.chosen:
        near = [n for n in _categories_like(wiki, category) if n != names.category(category)]
        hint = "did you mean " + ", ".join(map(repr, near)) + "?" if near else "depth= goes into its subcategories"
        raise SourceError(f"{wiki.api}: the category {category!r} has no pages in namespaces {list(namespaces)}", hint=hint)
    return found.in_order()


def _categories_like(wiki: Wiki, category: str) -> list[str]:
    try:
        told = wiki.query({"list": "allcategories", "acprefix": category[: max(1, len(category) // 2)], "aclimit": "50"})
    except SourceError:
        return []
    return difflib.get_close_matches(category, [str(c.get("category", "")) for c in told.get("allcategories", ())], n=2)


def by_search(wiki: Wiki, pages: Pages, words: str, *, namespaces: Sequence[int], most: int) -> list[Chosen]:
    """Choose the pages that a search finds, the best ones if there are more than `most`."""
    pages.ask_site()
    found = _Found(most)
    params = {
        "gsrsearch": words,
        "gsrnamespace": "|".join(map(str, namespaces)),
        "gsrlimit": str(min(most, 500)),
        "gsrwhat": "text",
    }
    for page in _generated(wiki, "search", params):
        if not found.add(page):
            break
    if not found.chosen:
        raise SourceError(f"{wiki.api}: a search for {words!r} finds nothing", hint="fewer or other words may")
    return found.in_order()


def by_links(wiki: Wiki, pages: Pages, start: str, *, depth: int, namespaces: Sequence[int], most: int) -> list[Chosen]:
    """Choose a page, those that it links to, and so on to a depth; the nearest ones if there are more than `most`."""
    (first,) = by_titles(wiki, pages, [start])
    found = _Found(most)
    found.chosen[first.title] = replace(first, asked="")
    level = [first.title]
    spaces = "|".join(map(str, namespaces))
    for _ in range(depth):
        before = set(found.chosen)
        for some in batches(level):
            params = {"titles": together(some), "gplnamespace": spaces, "gpllimit": "max", "redirects": "1"}
            for page in _generated(wiki, "links", params) if not found.full else ():
                if not found.add(page):
                    break
        level = [title for title in found.chosen if title not in before]
    return found.in_order()


def _generated(wiki: Wiki, generator: str, params: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
    for part in wiki.parts({"generator": generator, "prop": "info", **params}):
        yield from sorted(part.get("pages", ()), key=lambda p: p.get("index", 0))


class _Found:
    """The pages found so far, by title, and no more than are wanted."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.chosen: dict[str, Chosen] = {}
        self.full = False

    def add(self, page: Mapping[str, Any]) -> bool:
        """Add a page, unless it is none, or there already; say no if it is one too many."""
        title = str(page["title"])
        if page.get("missing") or page.get("invalid") or page.get("redirect") or title in self.chosen:
            return True
        if len(self.chosen) >= self.most:
            surroundings().warn(f"there are more than max_pages={self.most} pages; the others are left out")
            self.full = True
            return False
        surroundings().bar(len(self.chosen) + 1, self.most, found=title)
        self.chosen[title] = _chosen(page)
        return True

    def in_order(self) -> list[Chosen]:
        """Return the pages by their titles, so that a page that joins later moves none of the others."""
        return [self.chosen[title] for title in sorted(self.chosen)]


# ---- by revision, and as the lock file has it ----


def with_revisions(chosen: Iterable[Chosen], pinned: Mapping[str, int]) -> list[Chosen]:
    """Return pages with the revisions that the recipe names for some of them.  SourceError for a title that is none of them."""
    all_, left = [], dict(pinned)
    for one in chosen:
        keys = [k for k in (one.title, one.asked) if k in left]
        all_.append(Chosen(one.title, left[keys[0]], one.asked) if keys else one)
        for key in keys:
            del left[key]
    if left:
        raise SourceError(
            f"revisions: {_named('page', list(left))} is not among the pages of this source",
            hint="name a page as its wiki does; the titles are in documents.jsonl",
        )
    return all_


def held_to(chosen: Iterable[Chosen], locked: Mapping[str, str]) -> list[Chosen]:
    """Return pages with the revisions that the lock file names for them.  ConfigError for a page that it does not name."""
    all_ = list(chosen)
    if strange := [one.title for one in all_ if one.title not in locked]:
        raise ConfigError(
            f"locked=true: the lock file names no revision of {_named('page', strange)}",
            hint="build it without locked=true, and commit the lock file with the recipe",
        )
    return [Chosen(one.title, int(locked[one.title]), one.asked) for one in all_]


def as_locked(titles: Sequence[str], locked: Mapping[str, str]) -> list[Chosen] | None:
    """Return pages with the revisions that the lock file names: those of some titles, or all of them.

    None if it takes the wiki to say which page a title means.  A page that a redirect led to is named under both titles.
    """
    if not titles:
        return [Chosen(title, int(revision)) for title, revision in sorted(locked.items())]
    if any(title not in locked for title in titles):
        return None
    chosen: dict[str, Chosen] = {}
    for title in titles:
        revision = locked[title]
        others = [t for t, r in locked.items() if r == revision and t not in titles]
        name = others[0] if others else title
        chosen.setdefault(name, Chosen(name, int(revision), title if name != title else ""))
    return list(chosen.values())
