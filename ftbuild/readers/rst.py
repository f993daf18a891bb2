"""reStructuredText: read by docutils (public domain and BSD), without its directives that reach for other files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ftbuild.errors import SourceError
from ftbuild.readers.blocks import document, meta_of
from ftbuild.readers.decode import decoded
from ftbuild.readers.markup import blocks, parse
from ftbuild.records import Document
from ftbuild.registries import READERS

_SETTINGS = {
    "_disable_config": True,
    "doctitle_xform": False,
    "embed_stylesheet": False,
    "file_insertion_enabled": False,
    "halt_level": 5,
    "initial_header_level": 1,
    "input_encoding": "unicode",
    "line_length_limit": 100_000_000,
    "raw_enabled": False,
    "report_level": 5,
    "sectnum_xform": False,
    "smart_quotes": False,
    "syntax_highlight": "none",
    "math_output": "LaTeX",
    "footnote_references": "brackets",
    "toc_backlinks": False,
}
_LARGEST = 1_000_000
_SHORT = 2000
_MARK = re.compile(r"[*`|_]")
_UNSEEN = ("system-message", "problematic", "contents", "topic", "footnote-reference", "citation-reference", "brackets")


@READERS("rst", formats=(".rst", ".rest", "text/x-rst", "text/prs.fallenstein.rst"))
def rst(data: bytes, name: str, *, encoding: str = "", code: bool = True) -> Iterator[Document]:
    """Read reStructuredText.  Directives and roles that docutils does not know (Sphinx's) leave their text."""
    from docutils.core import publish_parts

    text = decoded(data, name, given=encoding)
    if len(text) > _LARGEST:
        raise SourceError(f"{name}: is {len(text):,} characters of reStructuredText", hint="split it, or use reader: text")
    try:
        parts: Any = publish_parts(_known(text), writer="html5", settings_overrides=_SETTINGS)
    except Exception as error:
        raise SourceError(f"{name}: docutils cannot read it: {str(error).partition(chr(10))[0]}") from error
    root = parse(str(parts["html_body"]))
    if root is not None:
        for element in [e for e in root.iter() if set((e.get("class") or "").split()) & set(_UNSEEN)]:
            element.set("hidden", "")
    yield document(
        blocks(root, code=code), name, meta=meta_of(author=_plain(parts.get("author")), date=_plain(parts.get("date")))
    )


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _calmed(paragraph: str) -> str:
    """Return a paragraph; in one that is mostly marks, which would take docutils for ever, they are letters."""
    dense = len(paragraph) > _SHORT and len(_MARK.findall(paragraph)) > len(paragraph) / 20
    return _MARK.sub(r"\\\g<0>", paragraph) if dense else paragraph


def _known(text: str) -> str:
    """Return a text whose roles and directives are all known: those of Sphinx become plain text and admonitions."""
    text = "\n\n".join(map(_calmed, text.split("\n\n")))
    text = re.sub(r":[a-zA-Z][\w:.+-]*:`([^`<>]*?)\s*<[^`<>]*>`", r"\1", text)
    text = re.sub(r":(?!(?:sup|sub|math|code|strong|emphasis|literal):)[a-zA-Z][\w:.+-]*:`[~!]?([^`]*)`", r"\1", text)
    return re.sub(r"(?m)^([ \t]*)\.\. (?:toctree|index|contents|currentmodule|module|image|figure)::", r"\1..\n\1   x", text)
