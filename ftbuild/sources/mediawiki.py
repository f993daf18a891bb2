"""Pages of any wiki that runs MediaWiki, through its Action API: one, a list, a category, a search, or what a page links to.

Which pages, and which revisions of them, is found out first; then the texts that are not kept yet are fetched, fifty at once,
and kept at once, so that a build that is stopped goes on where it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from ftbuild.errors import ConfigError, SourceError
from ftbuild.fetching import surroundings
from ftbuild.http import Client
from ftbuild.records import Document
from ftbuild.registries import SOURCES
from ftbuild.schema import AtLeast
from ftbuild.wikis import choosing
from ftbuild.wikis.api import BATCH, Site, Wiki, discover, is_api, title_in
from ftbuild.wikis.choosing import Chosen
from ftbuild.wikis.names import address
from ftbuild.wikis.pages import Page, Pages, batches, known_api

_USUAL = "https://en.wikipedia.org/w/api.php"
_WAYS = ("title", "titles", "category", "search", "links", "revision")
_FORMATS = {"wikitext": "wikitext", "text": "text", "markdown": "markdown"}


def _wrong(given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with parameters that do not go together."""
    ways = [way for way in _WAYS if given[way]]
    chosen = [way for way in ways if way != "revision" or "title" not in ways]  # a revision of a title is one way
    if not chosen and not given["url"]:
        yield "title", f"a mediawiki source needs one of {', '.join(_WAYS)}, or the url of a page"
    if len(chosen) > 1:
        yield chosen[1], f"{chosen[0]} and {chosen[1]} are two ways to say which pages; keep one, or make two sources of them"
    if given["url"] and given["api"]:
        yield "api", "the wiki is found by its url or by its api; keep one"
    if given["titles"] and not all(str(t).strip() for t in given["titles"]):
        yield "titles", "one of the titles is empty"
    if given["depth"] and not (given["category"] or given["links"]):
        yield "depth", "only a category or links have a depth"
    if bool(given["user"]) != bool(given["password_env"]):
        lacking = "password_env" if given["user"] else "user"
        yield lacking, "logging in takes a user and password_env, the name of the variable that holds the bot password"


@SOURCES("mediawiki", aside=("password_env", "contact", "attempts"), check=_wrong)
def mediawiki(
    *,
    api: str = "",
    url: str = "",
    title: str = "",
    titles: tuple[str, ...] = (),
    category: str = "",
    search: str = "",
    links: str = "",
    depth: Annotated[int, AtLeast(0)] | None = None,
    namespaces: tuple[int, ...] = (0,),
    max_pages: Annotated[int, AtLeast(1)] = 500,
    revision: Annotated[int, AtLeast(1)] | None = None,
    revisions: Mapping[str, Annotated[int, AtLeast(1)]] | None = None,
    missing: Literal["error", "skip"] = "error",
    user: str = "",
    password_env: str = "",
    contact: str = "",
    attempts: Annotated[int, AtLeast(1)] = 5,
) -> Iterator[Document]:
    """Fetch pages of a wiki: by `title`, `titles`, `category`, `search`, `links` from a page, or by the number of a `revision`.

    The wiki is given by its `api`, or by the `url` of any of its pages, which is the page to fetch if nothing else is said.
    `depth` is how far subcategories (0 unless told) or links (1) are followed, `revisions` pins pages by their titles.  `user`
    and `password_env` log in with a bot password; `contact` (an address) is added to the User-Agent, as large wikis ask.
    SourceError tells missing pages and revisions, an API error and an unreachable wiki apart.
    """
    given = dict(locals())
    for _, message in _wrong(given):
        raise ConfigError(message)
    client = Client(attempts=attempts)
    if contact:
        client.user_agent += f" {contact}"
    with client:
        folder = surroundings().folder
        place = api or url or _USUAL
        api = place if is_api(place) else known_api(folder, place, lambda: discover(client, place))
        pages = Pages(wiki := Wiki(api, client, user, password_env), folder)
        yield from _documents(api, pages, _chosen(wiki, pages, given), named=not (category or search or links))


def _chosen(wiki: Wiki, pages: Pages, given: Mapping[str, Any]) -> list[Chosen]:
    """Return the pages that the recipe means, at the revisions that it or the lock file names, or at the latest."""
    locked, pinned = surroundings().locked, given["revisions"] or {}
    titles = [given["title"]] if given["title"] else list(given["titles"])
    if not any(given[way] for way in _WAYS):
        titles = [_titled(given["url"], pages.site())]
    if locked:
        held = choosing.as_locked([pages.site().names.title(t) for t in titles], locked)
        return held or choosing.held_to(_looked_up(wiki, pages, titles, given), locked)
    if given["revision"]:
        return [Chosen(given["title"], given["revision"])]
    if titles and not set(titles) - set(pinned):
        return [Chosen(title, pinned[title]) for title in titles]
    return choosing.with_revisions(_looked_up(wiki, pages, titles, given), pinned)


def _looked_up(wiki: Wiki, pages: Pages, titles: Sequence[str], given: Mapping[str, Any]) -> list[Chosen]:
    """Ask the wiki which pages are meant, and for their latest revisions."""
    depth, where = given["depth"], {"namespaces": given["namespaces"], "most": given["max_pages"]}
    if titles:
        return choosing.by_titles(wiki, pages, titles, missing_is_an_error=given["missing"] == "error")
    if given["category"]:
        return choosing.by_category(wiki, pages, given["category"], depth=depth or 0, **where)
    if given["search"]:
        return choosing.by_search(wiki, pages, given["search"], **where)
    return choosing.by_links(wiki, pages, given["links"], depth=1 if depth is None else depth, **where)


def _titled(url: str, site: Site) -> str:
    if not (title := title_in(url, site)):
        raise ConfigError(
            f"{url}: this address names no page of {site.name or 'the wiki'}", hint="say which by title:, category:, …"
        )
    return title


def _documents(api: str, pages: Pages, chosen: Sequence[Chosen], *, named: bool) -> Iterator[Document]:
    """Yield pages as documents, fetching as many at once as a wiki allows.  `named` ones have to be there."""
    now = surroundings()
    for number, some in enumerate(batches(chosen)):
        found = pages.at([one.revision for one in some if one.page is None and one.revision])
        for done, one in enumerate(some, start=1 + number * BATCH):
            now.bar(done, len(chosen), page=one.title)
            page = one.page or found.get(one.revision)
            if why := _unfit(page, one, named=named):
                if named or (page is None and now.locked):
                    what = f"there is no revision {one.revision}" if page is None else f"{page.title!r} {why}"
                    raise SourceError(f"{api}: {what}", hint=_HINTS.get(why, ""))
                now.skipped[why] += 1
                now.note(f"{one.title}: left out, it {why}")
                continue
            assert page is not None
            yield _document(api, pages.site(), page, one)


_GONE, _HIDDEN, _EMPTY = "is not there any more", "has no readable text", "is empty"
_HINTS = {
    _GONE: "it may have been deleted, or belong to another wiki",
    _HIDDEN: "the revision may be hidden",
    _EMPTY: "is this the right page?",
}


def _unfit(page: Page | None, chosen: Chosen, *, named: bool) -> str:
    """Say why a page is of no use, if it is of none.  A page that is not for reading is, if somebody names it."""
    if page is None:
        return _GONE if chosen.revision else _HIDDEN
    if page.text is None:
        return _HIDDEN
    if not page.text.strip():
        return _EMPTY
    if page.model not in _FORMATS and not named:
        return f"is no text but {page.model}"
    return ""


def _document(api: str, site: Site, page: Page, chosen: Chosen) -> Document:
    assert page.text is not None
    now, title = surroundings(), page.title
    url = page.url or (address(site.path, title) if site.path else "")
    if chosen.title and chosen.title != title:
        if now.locked:  # it was moved since; what is built has to be what was built
            title, url = chosen.title, address(site.path, chosen.title)
        elif site.names.title(chosen.title) != title:
            now.warn(f"revision {chosen.revision} is one of {title!r}, which the recipe calls {chosen.title!r}")
    number = page.revision or None
    told = ", ".join([title, site.name or api, *([f"revision {number}"] if number else []), *([url] if url else [])])
    meta = {
        "url": url,
        "revision": number,
        "timestamp": page.timestamp,
        "licence": site.licence,
        "licence_url": site.licence_url,
        "attribution": told,
        "redirected_from": chosen.asked,
        "language": page.language or site.language,
        "site": site.name,
        "categories": site.names.categories(page.text) if page.model == "wikitext" else [],
    }
    return Document(title, title, page.text, _FORMATS.get(page.model, "text"), {k: v for k, v in meta.items() if v})
