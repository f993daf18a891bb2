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
_LONGEST = 20_000  # characters of running text in one piece, beyond which it is no text that a person wrote
_LARGEST = 3_000_000


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
    if len(text) > _LARGEST or max(map(len, text.split("\n")), default=0) > _LONGEST:
        parser.core.ruler.disable("inline")
    env: dict[str, Any] = {}
    tokens = parser.parse(text, env)
    for token in tokens:
        if token.type == "inline" and token.children is not None and not token.children and token.content:
            if len(token.content) <= _LONGEST:
                parser.inline.parse(token.content, parser, env, token.children)
            else:
                token.type, token.content = "html_block", escape(token.content, quote=False)
    return str(parser.renderer.render(tokens, parser.options, env))


def _head(text: str) -> dict[str, Any]:
    import yaml

    try:
        said = yaml.safe_load(text) if "&" not in text and "*" not in text else None  # no anchors: they can be bombs
    except yaml.YAMLError:
        return {}
    told = {str(k).lower(): v for k, v in said.items()} if isinstance(said, dict) else {}
    return meta_of(**{k: str(told[k]) for k in _FACTS if isinstance(told.get(k), str | int | float) or hasattr(told.get(k), "year")})
