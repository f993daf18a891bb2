"""A page of any wiki that runs MediaWiki, through its Action API.

Source: https://www.mediawiki.org/wiki/API:Revisions, and API:Etiquette for `maxlag`, the User-Agent and one request at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ftbuild.errors import ConfigError, SourceError
from ftbuild.http import Client
from ftbuild.records import Document
from ftbuild.registries import SOURCES

_QUERY = {
    "action": "query",
    "format": "json",
    "formatversion": "2",
    "prop": "revisions|info",
    "rvprop": "ids|timestamp|content",
    "rvslots": "main",
    "inprop": "url",
    "meta": "siteinfo",
    "siprop": "general|rightsinfo",
    "redirects": "1",
    "maxlag": "5",
}
_LATER = frozenset({"maxlag", "ratelimited", "readonly", "internal_api_error_DBQueryError"})


@SOURCES("mediawiki")
def mediawiki(
    *,
    api: str = "https://en.wikipedia.org/w/api.php",
    title: str = "",
    revision: int | None = None,
    contact: str = "",
    attempts: int = 5,
) -> Iterator[Document]:
    """Fetch one page by its title, or one revision of it by its number.

    `contact` (an address) is added to the User-Agent, as the large wikis ask of those who fetch more than a few pages.
    SourceError tells a missing page, a missing revision, an API error and an unreachable wiki apart.
    """
    if bool(title) == (revision is not None):
        raise ConfigError("a mediawiki source needs either a title or a revision")
    client = Client(attempts=attempts)
    if contact:
        client.user_agent += f" {contact}"
    which = {"titles": title} if revision is None else {"revids": str(revision)}
    yield _document(api, title or f"revision {revision}", query(client, api, {**_QUERY, **which}))


def query(client: Client, api: str, params: Mapping[str, str]) -> dict[str, Any]:
    """Ask the API, following `continue` to the end, and return the merged `query` part.  SourceError for an API error."""
    merged: dict[str, Any] = {}
    more: Mapping[str, Any] = {}
    while True:
        reply = client.get_json(api, {**params, **{k: str(v) for k, v in more.items()}}, busy=_busy)
        if not _is_answer(reply):
            raise SourceError(f"{api}: this is not a MediaWiki API", hint="it must be MediaWiki 1.32 or newer")
        if error := reply.get("error"):
            raise SourceError(f"{api}: {error.get('code')}: {error.get('info')}")
        _merge(merged, reply.get("query", {}))
        if "continue" not in reply:
            return merged
        if more == reply["continue"]:
            raise SourceError(f"{api}: the wiki gives the same part of its answer again and again")
        more = reply["continue"]


def _is_answer(reply: Any) -> bool:
    """Say whether a reply has the shape of the Action API's, in `formatversion` 2."""
    if not isinstance(reply, dict):
        return False
    parts = [reply.get(name, {}) for name in ("error", "query", "continue")]
    return all(isinstance(p, dict) for p in parts) and isinstance(parts[1].get("pages", []), list)


def _busy(reply: Any) -> str:
    error = reply.get("error", {}) if _is_answer(reply) else {}
    code = error.get("code", "")
    return f"{code}: {error.get('info', '')}" if code in _LATER else ""


def _merge(into: dict[str, Any], part: Mapping[str, Any]) -> None:
    """Add one batch of a continued query: pages by their id, lists end to end."""
    for key, value in part.items():
        if key == "pages":
            known = {p.get("pageid", p.get("title")): p for p in into.setdefault("pages", [])}
            for page in value:
                if (old := known.get(page.get("pageid", page.get("title")))) is None:
                    into["pages"].append(dict(page))
                else:
                    old.update({k: old[k] + v if isinstance(old.get(k), list) else v for k, v in page.items()})
        elif isinstance(value, list):
            into[key] = [*into.get(key, []), *value]
        else:
            into[key] = value


def _document(api: str, wanted: str, result: Mapping[str, Any]) -> Document:
    if result.get("badrevids"):
        raise SourceError(f"{api}: there is no {wanted}", hint="it may have been deleted, or belong to another wiki")
    pages = result.get("pages") or []
    if not pages:
        raise SourceError(f"{api}: the wiki has nothing under {wanted!r}")
    page = pages[0]
    if page.get("invalid"):
        raise SourceError(f"{api}: {wanted!r} is no title: {page.get('invalidreason', 'invalid')}")
    if page.get("missing"):
        raise SourceError(f"{api}: there is no page {wanted!r}", hint="titles are exact, but for the first letter's case")
    revision = (page.get("revisions") or [{}])[0]
    slot = revision.get("slots", {}).get("main", {})
    if "content" not in slot:
        raise SourceError(f"{api}: {wanted!r} has no readable text", hint="the revision may be hidden")
    general, rights = result.get("general", {}), result.get("rightsinfo", {})
    title, site = page["title"], general.get("sitename", "")
    number = revision.get("revid")
    url = page.get("canonicalurl") or page.get("fullurl") or ""
    meta = {
        "url": url,
        "revision": number,
        "timestamp": revision.get("timestamp"),
        "licence": rights.get("text") or rights.get("url"),
        "licence_url": rights.get("url"),
        "attribution": f"{title}, {site or api}, revision {number}" + (f", {url}" if url else ""),
        "redirected_from": next((r["from"] for r in result.get("redirects", [])), None),
    }
    format_ = "wikitext" if slot.get("contentmodel", "wikitext") == "wikitext" else "text"
    return Document(title, title, slot["content"], format_, {k: v for k, v in meta.items() if v})
