"""Rules for MediaWiki markup on the parse tree of mwparserfromhell (`pip install ftbuild[wikitext]`), one a kind of markup.

They are what the scanner of `ftbuild.rules.wikitext` is tested against, and an engine of their own: `clean=wikitext_tree`.
What a template means, and how a namespace is called, is in the recipe.  Headings are left standing as `== … ==`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from ftbuild.errors import ConfigError
from ftbuild.registries import RULES
from ftbuild.versions import versions


def _depends(_: object) -> dict[str, str]:
    return versions("mwparserfromhell")


Change = Callable[[Any], str | None]

_FORMATS = ("wikitext",)

_BROKEN_TAG = re.compile(r"(<[a-zA-Z]+)\n")
"""A tag whose name ends its line, which MediaWiki reads and the parser does not."""


def rewrite(text: str, change: Change, *, emphasis: bool = False) -> str:
    """Return wikitext in which every node for which `change` gives a string is replaced by it, the innermost first.

    Italics and bold are nodes only with `emphasis`: an apostrophe before them can keep the parser from seeing what is around.
    """
    try:
        import mwparserfromhell
    except ImportError as error:
        raise ConfigError(
            "the rules of clean=wikitext_tree need mwparserfromhell, which is not installed",
            hint="pip install 'ftbuild[wikitext]', or clean=wikitext, which needs nothing",
        ) from error

    text = _BROKEN_TAG.sub(r"\1 ", text)
    code = mwparserfromhell.parse(text, skip_style_tags=not emphasis)
    _apply(code, change)
    return str(code)


def _apply(code: Any, change: Change) -> None:
    from mwparserfromhell.nodes import Text

    nodes = []
    for node in code.nodes:
        for child in node.__children__():
            _apply(child, change)
        replacement = change(node)
        nodes.append(node if replacement is None else Text(replacement))
    code.nodes = nodes


def _kind(node: Any) -> str:
    return type(node).__name__


def _tag(node: Any) -> str:
    return str(node.tag).strip().lower() if _kind(node) == "Tag" else ""


@RULES("drop_comments", formats=_FORMATS, depends=_depends)
def drop_comments(text: str) -> str:
    """Drop `<!-- … -->`."""
    return rewrite(text, lambda node: "" if _kind(node) == "Comment" else None)


@RULES("drop_tags", formats=_FORMATS, depends=_depends)
def drop_tags(text: str, *, tags: tuple[str, ...]) -> str:
    """Drop these HTML-like tags with everything in them; wiki tables count as `table`."""
    names = {t.lower() for t in tags}
    return rewrite(text, lambda node: "" if _tag(node) in names else None)


@RULES("unwrap_tags", formats=_FORMATS, depends=_depends)
def unwrap_tags(text: str) -> str:
    """Replace every other tag by what it holds: italics, bold, `<small>`; line breaks by a space."""

    def change(node: Any) -> str | None:
        if not _tag(node):
            return None
        if _tag(node) in ("li", "dd", "dt"):  # the list markers * # : ; are tags without content
            return None
        return " " if _tag(node) in ("br", "hr") else str(node.contents or "")

    return rewrite(text, change, emphasis=True)


@RULES("drop_links", formats=_FORMATS, depends=_depends)
def drop_links(text: str, *, prefixes: tuple[str, ...]) -> str:
    """Drop links into these namespaces whole, captions and all: files, categories, other languages."""
    starts = tuple(f"{p.lower()}:" for p in prefixes)

    def change(node: Any) -> str | None:
        return "" if _kind(node) == "Wikilink" and str(node.title).strip().lower().startswith(starts) else None

    return rewrite(text, change)


@RULES("unlink", formats=_FORMATS, depends=_depends)
def unlink(text: str) -> str:
    """Replace `[[a|b]]` and `[url b]` by b, and `[[a]]` by a; a file that no rule dropped, by its caption."""

    def change(node: Any) -> str | None:
        if _kind(node) == "Wikilink":
            return str(node.title if node.text is None else node.text).rpartition("|")[2].lstrip(":")
        if _kind(node) == "ExternalLink":
            return str(node.title or "") if node.brackets else str(node.url)
        return None

    return rewrite(text, change)


@RULES("templates", formats=_FORMATS, depends=_depends)
def templates(text: str, *, keep: Mapping[str, str] = {}) -> str:
    """Drop every `{{…}}`, but put a parameter in the place of those whose text counts: `keep: {lang: "2"}`.

    `keep` maps a template's name to the name or number of its parameter; `"*"` joins all unnamed ones with commas.
    """
    wanted = {_template(name): parameter for name, parameter in keep.items()}

    def change(node: Any) -> str | None:
        if _kind(node) == "Argument":
            return ""
        if _kind(node) != "Template":
            return None
        parameter = wanted.get(_template(str(node.name)))
        if parameter is None:
            return ""
        if parameter == "*":
            return ", ".join(str(p.value).strip() for p in node.params if not p.showkey)
        return str(node.get(parameter).value).strip() if node.has(parameter) else ""

    return rewrite(text, change)


def _template(name: str) -> str:
    name = name.strip().replace("_", " ")
    return name[:1].lower() + name[1:]
