"""Markdown: parsed with markdown-it-py, its marks taken away, its structure kept."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ftbuild.readers.blocks import document, meta_of
from ftbuild.readers.decode import decoded
from ftbuild.readers.markup import blocks, parse
from ftbuild.records import Document
from ftbuild.registries import READERS

_FRONT = re.compile(r"\A---[ \t]*\n(.*?)\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_FACTS = ("title", "author", "date", "language")
_MARK = re.compile(r"[*_`\[\]<>~!&\\]")
_LONGEST = 50_000  # characters of running text in one piece, beyond which it is no text that a person wrote
_SHORT = 2000
_WIDEST = 300


@READERS("markdown", formats=(".md", ".markdown", ".mdown", ".mkd", "text/markdown"))
def markdown(data: bytes, name: str, *, encoding: str = "", code: bool = True, marks: bool = False) -> Iterator[Document]:
    """Read Markdown, with tables and a head in YAML.  `code` keeps blocks of code; `marks` leaves the whole text as it is."""
    text = decoded(data, name, given=encoding)
    facts: dict[str, Any] = {}
    if head := _FRONT.match(text):
        facts, text = _head(head[1]), text[head.end() :]
    if marks:
        title = facts.pop("title", "")
        (plain,) = [document(_read(text, code=code), name, title=title, meta=facts)]
        yield Document("", plain.title, text, "markdown", plain.meta)
        return
    yield document(_read(text, code=code), name, title=facts.pop("title", ""), meta=facts)


def _read(text: str, *, code: bool) -> Any:
    return blocks(parse(rendered(text)), code=code)


def rendered(text: str) -> str:
    """Return Markdown as HTML.  What is too long to be prose is not searched for marks."""
    from html import escape

    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    parser.core.ruler.disable("inline")
    if any(line.count("|") > _WIDEST for line in text.split("\n")):
        parser.disable("table")
    env: dict[str, Any] = {}
    tokens = parser.parse(_shallow(text), env)
    for token in tokens:
        if token.type == "inline" and token.children is not None and token.content:
            if _is_prose(token.content):
                parser.inline.parse(token.content, parser, env, token.children)
            else:
                token.type, token.content = "html_block", escape(token.content, quote=False)
    return str(parser.renderer.render(tokens, parser.options, env))


def _is_prose(text: str) -> bool:
    """Say whether a paragraph may be searched for marks, which takes long where there is little else."""
    return len(text) <= _SHORT or (len(text) <= _LONGEST and len(_MARK.findall(text)) < len(text) / 10)


def _shallow(text: str) -> str:
    """Return Markdown without quotations and lists that are nested deeper than anybody reads; the parser would drop them."""
    text = re.sub(r"(?m)^[ \t]*(?:>[ \t]?){10,}", "> ", text)
    return re.sub(r"(?m)^[ \t]{30,}(?=(?:[-*+]|\d{1,9}[.)])[ \t])", " " * 8, text)


def _head(text: str) -> dict[str, Any]:
    import yaml

    try:
        said = yaml.safe_load(text) if "&" not in text and "*" not in text else None  # no anchors: they can be bombs
    except yaml.YAMLError:
        return {}
    told = {str(k).lower(): v for k, v in said.items()} if isinstance(said, dict) else {}
    return meta_of(
        **{k: str(told[k]) for k in _FACTS if isinstance(told.get(k), str | int | float) or hasattr(told.get(k), "year")}
    )
