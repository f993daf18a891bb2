"""One wiki's Action API: finding it, logging in, asking, and going on where an answer is continued.

Source: https://www.mediawiki.org/wiki/API:Action_API; API:Etiquette for `maxlag`, the User-Agent and one request at a time;
API:Login for bot passwords; Really Simple Discovery for the link by which a page says where the API is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import unescape
from typing import Any
from urllib.parse import parse_qs, unquote, urljoin, urlsplit

from ftbuild.errors import ConfigError, SourceError
from ftbuild.http import Client
from ftbuild.wikis.names import Names

BATCH = 50
"""As many titles or revisions as a wiki lets anybody ask for at once."""

SITE = {"meta": "siteinfo", "siprop": "general|rightsinfo|namespaces|namespacealiases"}
_COMMON = {"format": "json", "formatversion": "2", "maxlag": "5"}
_LATER = frozenset({"maxlag", "ratelimited", "readonly", "internal_api_error_DBQueryError"})
_LOGGED_OUT = frozenset({"assertuserfailed", "assertnameduserfailed"})
_USUAL = ("/w/api.php", "/api.php", "/wiki/api.php", "/mediawiki/api.php")
_LONG = 4000  # characters of a query that is sent as a form; servers refuse addresses of more than about eight thousand


@dataclass(frozen=True)
class Site:
    """What a wiki says about itself."""

    name: str
    language: str
    licence: str
    licence_url: str
    path: str
    names: Names


def site_of(told: Mapping[str, Any]) -> Site:
    """Return what the `siteinfo` of a query says."""
    general, rights = told.get("general", {}), told.get("rightsinfo", {})
    spaces, preferred = dict[str, int](), dict[int, str]()
    for space in told.get("namespaces", {}).values():
        preferred[int(space["id"])] = str(space.get("name", ""))
        for name in (space.get("name"), space.get("canonical")):
            if name:
                spaces[str(name).casefold()] = int(space["id"])
    for alias in told.get("namespacealiases", ()):
        spaces[str(alias.get("alias", "")).casefold()] = int(alias["id"])
    path = general.get("server", "") + general.get("articlepath", "")
    return Site(
        name=general.get("sitename", ""),
        language=general.get("lang", ""),
        licence=rights.get("text") or rights.get("url") or "",
        licence_url=rights.get("url", ""),
        path=f"https:{path}" if path.startswith("//") else path,
        names=Names(spaces, preferred, general.get("case", "first-letter") == "first-letter"),
    )


@dataclass
class Wiki:
    """A wiki that can be asked.  `user` logs in when first asked, with the password in the variable `password_env`."""

    api: str
    client: Client
    user: str = ""
    password_env: str = ""
    _known: bool = False

    def query(self, params: Mapping[str, str]) -> dict[str, Any]:
        """Return the `query` part of an answer, with all that it is continued by.  SourceError for an API error."""
        merged: dict[str, Any] = {}
        for part in self.parts(params):
            _merge(merged, part)
        return merged

    def parts(self, params: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        """Yield the `query` parts of an answer as they come, following `continue` to the end."""
        more: Mapping[str, Any] = {}
        while True:
            reply = self.ask({"action": "query", **params, **{k: str(v) for k, v in more.items()}})
            yield reply.get("query", {})
            if "continue" not in reply:
                return
            if more == reply["continue"]:
                raise SourceError(f"{self.api}: the wiki gives the same part of its answer again and again")
            more = reply["continue"]

    def ask(self, params: Mapping[str, str]) -> dict[str, Any]:
        """Return one answer.  SourceError for an API error; a session that has ended meanwhile is begun again."""
        self._log_in()
        reply = self._send({**params, **({"assert": "user"} if self.user else {})})
        if self.user and reply.get("error", {}).get("code") in _LOGGED_OUT:
            self._known = False
            self._log_in()
            reply = self._send({**params, "assert": "user"})
        if error := reply.get("error"):
            raise SourceError(f"{self.api}: {error.get('code')}: {error.get('info')}", hint=self._hint(error.get("code")))
        return reply

    def _hint(self, code: Any) -> str:
        if code != "readapidenied":
            return ""
        if self.user:
            return "may this user read the wiki, and does the bot password grant it?"
        return "log in: `user: NAME@BOT`, `password_env:` the variable that holds the bot password (Special:BotPasswords)"

    def _send(self, params: Mapping[str, str], form: Mapping[str, str] | None = None) -> dict[str, Any]:
        asked = {**params, **_COMMON}
        if form is None and sum(len(v.encode()) for v in asked.values()) > _LONG:
            asked, form = {}, asked
        reply = self.client.get_json(self.api, asked, busy=_busy, form=form)
        if not _is_answer(reply):
            raise SourceError(f"{self.api}: this is not a MediaWiki API", hint="it must be MediaWiki 1.32 or newer")
        return reply  # type: ignore[no-any-return]

    def _log_in(self) -> None:
        if not self.user or self._known:
            return
        password = os.environ.get(self.password_env)
        if not password:
            raise ConfigError(
                f"the environment variable {self.password_env} is not set, which is to hold the password of {self.user}",
                hint=f"export {self.password_env}=…",
            )
        told = self._send({"action": "query", "meta": "tokens", "type": "login"})
        token = told.get("query", {}).get("tokens", {}).get("logintoken", "")
        form = {"lgname": self.user, "lgpassword": password, "lgtoken": token}
        reply = self._send({"action": "login"}, form)
        result = reply.get("login", {}) if isinstance(reply.get("login"), dict) else {}
        if result.get("result") != "Success":
            reason = result.get("reason") or reply.get("error", {}).get("info") or result.get("result") or "no reason given"
            reason = reason if isinstance(reason, str) else str(reason.get("text", reason.get("code", "")))
            raise SourceError(
                f"{self.api}: {self.user} cannot log in: {_one_line(reason).replace(password, '…')}",
                hint=f"is it a bot password (NAME@BOT, from Special:BotPasswords), and is {self.password_env} right?",
            )
        self._known = True


def _one_line(text: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", "", text)).split())


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
            into[key] = [*into.get(key, []), *(v for v in value if v not in into.get(key, ()))]
        else:
            into[key] = value


def together(values: Sequence[str]) -> str:
    """Return several values as one parameter."""
    return "\x1f" + "\x1f".join(values) if any("|" in v for v in values) else "|".join(values)


# ---- finding a wiki by the address of one of its pages ----


def is_api(url: str) -> bool:
    """Say whether an address is that of an API, as against that of a page or of a whole wiki."""
    return urlsplit(url).path.endswith("/api.php")


def discover(client: Client, url: str) -> str:
    """Return the address of the API of the wiki that a page belongs to.  SourceError if none is found.

    A page of a wiki says so itself; where it does not, the usual places are tried.
    """
    try:
        final, text = client.get_page(url)
    except SourceError as error:
        if "HTTP 4" not in error.message:  # the page may be missing or hidden, and the wiki be there
            raise
        final, text = url, ""
    if link := re.search(r"<link\b[^<>]{0,500}\brel=[\"']EditURI[\"'][^<>]{0,500}>", text):
        href = re.search(r"href=[\"']([^\"']+)", link[0])
        if href:
            return urljoin(final, unescape(href[1])).partition("?")[0]
    for place in _USUAL:
        api = urljoin(final, place)
        try:
            reply = client.get_json(api, {"action": "query", "meta": "siteinfo", **_COMMON})
        except SourceError:
            continue
        if _is_answer(reply) and ({"query", "error"} & reply.keys()):
            return api
    raise SourceError(f"{url}: there is no wiki here that runs MediaWiki", hint="give the address of its api.php as `api:`")


def title_in(url: str, site: Site) -> str:
    """Return the title of the page that an address names, or nothing if it names none."""
    parts = urlsplit(url)
    if asked := parse_qs(parts.query).get("title"):
        return site.names.title(asked[0])
    before, _, after = urlsplit(site.path).path.partition("$1")
    path = parts.path
    if not path.startswith(before) or not path.endswith(after):
        return ""
    return site.names.title(unquote(path[len(before) : len(path) - len(after)]))
