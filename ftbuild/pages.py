"""Pages of the web, fetched as a guest should: robots.txt is obeyed, hosts have pauses, what is unchanged is not sent again.

In: an address.  Out: a `Page`: its bytes, and what the server says they are.  Where there is a folder, each page is kept there
with its ETag and date; asked for again, it is sent only if it has changed (RFC 9110, 13.1), and a build that is offline has it
still.

Source: RFC 9309 for robots.txt: a client error there means that nothing is forbidden, a server's error that everything is.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from ftbuild import http
from ftbuild.digest import digest, digest_bytes
from ftbuild.errors import SourceError
from ftbuild.store import aside, read_json, used, write_json

if TYPE_CHECKING:
    import httpx2

_MOST_REDIRECTS = 10
_LONGEST_DELAY = 60.0
_LARGEST_ROBOTS = 500_000
_UNCHANGED, _NOT_FOUND, _GONE = 304, 404, 410
_MOVED = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True)
class Page:
    """What an address gave: where it led to, the bytes, their media type and charset if told, and when they were changed."""

    url: str
    address: str
    content: bytes
    media: str = ""
    charset: str = ""
    changed: str = ""


@dataclass
class Pages:
    """Fetches pages.  `pause` is in seconds between two requests to one host, `largest` in bytes, unpacked."""

    client: http.Client
    folder: Path | None = None
    pause: float = 1.0
    largest: int = 20_000_000
    obey: bool = True
    _robots: dict[str, Any] = field(default_factory=dict)
    _asked: dict[str, float] = field(default_factory=dict)

    def get(self, url: str) -> Page:
        """Return a page.  SourceError for what cannot be had, may not be asked for, or is too large."""
        kept = self._kept(url)
        if http.is_forbidden():
            if kept:
                return kept[0]
            http.refuse_if_forbidden(url)
        told = {name: kept[1][name] for name in ("etag", "last-modified") if kept and kept[1].get(name)}
        address = url
        for _ in range(_MOST_REDIRECTS):
            if urlsplit(address).scheme not in ("http", "https") or not urlsplit(address).netloc:
                raise SourceError(
                    f"{url}: {address!r} is no address of the web", hint="addresses begin with https:// or http://"
                )
            self._may(address)
            status, headers, content = self._ask(address, _conditions(told))
            if status == _UNCHANGED and kept:
                return kept[0]
            if status in _MOVED and headers.get("location"):
                address = urljoin(address, headers["location"])
                continue
            if status >= 400 or status in _MOVED or status == _UNCHANGED:  # noqa: PLR2004
                hint = "is the address right?" if status in (_NOT_FOUND, _GONE) else ""
                raise SourceError(f"{url}: HTTP {status}", hint=hint)
            return self._keep(url, address, headers, content)
        raise SourceError(f"{url}: leads from one address to another without end")

    def sitemaps(self, url: str) -> list[str]:
        """Return the sitemaps that the robots.txt of a site names."""
        return list(self._rules(url).sitemaps)

    def _may(self, url: str) -> None:
        if self.obey and not self._rules(url).can_fetch(url, self.client.user_agent):
            raise SourceError(
                f"{url}: its robots.txt asks not to fetch it", hint="ask the owner; for a site of your own: robots: ignore"
            )

    def _rules(self, url: str) -> Any:
        from protego import Protego

        parts = urlsplit(url)
        site = f"{parts.scheme}://{parts.netloc}"
        if site not in self._robots:
            address, text = f"{site}/robots.txt", ""
            for _ in range(_MOST_REDIRECTS):
                status, headers, content = self._ask(address, {})
                if status in _MOVED and headers.get("location"):
                    address = urljoin(address, headers["location"])
                    continue
                text = content[:_LARGEST_ROBOTS].decode("utf-8", "replace") if status < 300 else ""  # noqa: PLR2004
                break
            self._robots[site] = Protego.parse(text)
        return self._robots[site]

    def _wait(self, url: str) -> None:
        host = urlsplit(url).netloc
        rules = self._robots.get(f"{urlsplit(url).scheme}://{host}")
        delay = rules.crawl_delay(self.client.user_agent) if rules and self.obey else None
        pause = max(self.pause, min(float(delay or 0), _LONGEST_DELAY))
        if host in self._asked and (left := self._asked[host] + pause - time.monotonic()) > 0:
            self.client.wait(left)
        self._asked[host] = time.monotonic()

    def _ask(self, url: str, headers: Mapping[str, str]) -> tuple[int, dict[str, str], bytes]:
        """Ask once for what is there, as often as it takes a busy server; its redirects are not followed."""
        import httpx2

        http.refuse_if_forbidden(url)
        problem, client = "", self.client
        told = {
            "User-Agent": client.user_agent,
            "Accept": "text/html,application/xhtml+xml,application/pdf,*/*;q=0.8",
            **headers,
        }
        with httpx2.Client(timeout=client.timeout, follow_redirects=False, headers=told) as session:
            for attempt in range(client.attempts):
                reply: httpx2.Response | None = None
                self._wait(url)
                try:
                    with session.stream("GET", url) as reply:
                        if reply.status_code not in http.BUSY:
                            content = self._content(url, reply)
                            return reply.status_code, {k.lower(): v for k, v in reply.headers.items()}, content
                        problem = f"HTTP {reply.status_code}"
                except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
                    raise SourceError(f"{url}: {error}", hint="is the address right?") from error
                except httpx2.RequestError as error:
                    problem = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
                if attempt + 1 < client.attempts:
                    client.wait(client.pause(attempt, reply))
        raise SourceError(f"{url}: {problem} ({client.attempts} attempts)", hint="is the network up, and the address right?")

    def _content(self, url: str, reply: httpx2.Response) -> bytes:
        parts, size = list[bytes](), 0
        for part in reply.iter_bytes(65_536):
            size += len(part)
            if size > self.largest:
                raise SourceError(f"{url}: has more than {self.largest / 1e6:g} MB", hint="max_megabytes: allows more")
            parts.append(part)
        return b"".join(parts)

    # ---- what was fetched before ----

    def _file(self, url: str) -> Path | None:
        return self.folder / "web" / f"{digest(url)[:40]}.json" if self.folder else None

    def _kept(self, url: str) -> tuple[Page, dict[str, str]] | None:
        file = self._file(url)
        told = read_json(file) if file else None
        if not isinstance(told, dict) or not file:
            return None
        try:
            content = file.with_suffix(".page").read_bytes()
            page = Page(url, told["address"], content, told["media"], told["charset"], told["changed"])
        except (OSError, KeyError):
            return None
        if digest_bytes(content) != told.get("sha256"):
            return None
        used(file)
        used(file.with_suffix(".page"))
        return page, told["headers"]

    def _keep(self, url: str, address: str, headers: Mapping[str, str], content: bytes) -> Page:
        media, charset = _media(headers.get("content-type", ""))
        page = Page(url, address, content, media, charset, headers.get("last-modified", ""))
        if file := self._file(url):
            marks = {name: headers[name] for name in ("etag", "last-modified") if headers.get(name)}
            record = {"url": url, "address": address, "media": media, "charset": charset, "changed": page.changed}
            with contextlib.suppress(OSError):  # a full disk costs the next build some time
                with aside(file.with_suffix(".page")) as into:
                    into.write(content)
                write_json(file, {**record, "headers": marks, "sha256": digest_bytes(content)})
        return page


def _conditions(told: Mapping[str, str]) -> dict[str, str]:
    names = {"etag": "If-None-Match", "last-modified": "If-Modified-Since"}
    return {names[name]: value for name, value in told.items()}


def _media(content_type: str) -> tuple[str, str]:
    from email.message import Message

    message = Message()
    message["Content-Type"] = content_type
    charset = message.get_content_charset("") if content_type else ""
    return (message.get_content_type() if content_type else ""), str(charset or "")
