"""Names in a wiki: its namespaces, titles as the wiki itself writes them, and the categories that a text puts its page into.

In: what `siteinfo` tells, of the API or at the beginning of a dump.  Out: plain values.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

CATEGORY = 14
_CANONICAL = {"category": CATEGORY, "file": 6, "image": 6, "template": 10, "help": 12, "user": 2, "talk": 1, "project": 4}
_LINK = re.compile(r"\[\[[ \t\n]{0,9}+([^\[\]|:\n]{1,80}+):([^\[\]|\n]{1,255}+)(?:\|[^\[\]\n]{0,255}+)?+\]\]")
_HIDDEN = (("<!--", "-->"), ("<nowiki>", "</nowiki>"))


@dataclass(frozen=True)
class Names:
    """The numbers of a wiki's namespaces by their names in small letters, the names that it prefers, how titles begin."""

    namespaces: Mapping[str, int] = field(default_factory=dict)
    preferred: Mapping[int, str] = field(default_factory=dict)
    capital: bool = True

    def number(self, title: str) -> int:
        """Return the number of the namespace that a title is in."""
        name, colon, _ = title.partition(":")
        return self._of(name) if colon else 0

    def _of(self, name: str) -> int:
        plain = _plain(name).casefold()
        return self.namespaces.get(plain, _CANONICAL.get(plain, 0))

    def title(self, written: str) -> str:
        """Return a title as the wiki writes it: spaces for underscores, the first letter a capital, no section."""
        plain = _plain(written.partition("#")[0])
        prefix, colon, rest = plain.partition(":")
        if colon and (number := self._of(prefix)):
            return f"{self.preferred.get(number, _plain(prefix))}:{self._capital(_plain(rest))}"
        return self._capital(plain)

    def _capital(self, name: str) -> str:
        return name[:1].upper() + name[1:] if self.capital and len(name[:1].upper()) == 1 else name

    def category(self, written: str) -> str:
        """Return the name of a category without its namespace, as the wiki writes it."""
        prefix, colon, rest = written.partition(":")
        return self._capital(_plain(rest if colon and self._of(prefix) == CATEGORY else written))

    def categories(self, text: str) -> list[str]:
        """Return the categories that a text names in links of its own, in order; those that come of templates are not in it."""
        found = {}
        for name, rest in _LINK.findall(_visible(text)):
            if self._of(name) == CATEGORY and rest.strip():
                found[self._capital(_plain(rest))] = True
        return list(found)


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").split())


def _visible(text: str) -> str:
    """Return a text without comments and what is not read as markup.  What is not closed goes to the end."""
    for opening, closing in _HIDDEN:
        if opening in text:
            text = "".join(_outside(text, opening, closing))
    return text


def _outside(text: str, opening: str, closing: str) -> Iterator[str]:
    position = 0
    while (start := text.find(opening, position)) >= 0:
        yield text[position:start]
        end = text.find(closing, start + len(opening))
        if end < 0:
            return
        position = end + len(closing)
    yield text[position:]


def address(pattern: str, title: str) -> str:
    """Return a page's address; `pattern` holds `$1` for the title."""
    return pattern.replace("$1", quote(title.replace(" ", "_"), safe=";@$!*(),/~:"))
