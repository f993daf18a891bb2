"""Text as it is: plain text without structure, and wikitext, which has rules of its own for cleaning."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from ftbuild.errors import SourceError
from ftbuild.readers.decode import decoded
from ftbuild.records import Document
from ftbuild.registries import READERS


@READERS("text", formats=(".txt", ".text", ".log", "text/plain"))
def text(data: bytes, name: str, *, encoding: str = "") -> Iterator[Document]:
    """Read plain text, of any encoding that can be told."""
    yield _whole(decoded(data, name, given=encoding), name, "text")


@READERS("wikitext", formats=(".wikitext", ".wiki", ".mediawiki", "text/x-wiki"))
def wikitext(data: bytes, name: str, *, encoding: str = "") -> Iterator[Document]:
    """Read MediaWiki's markup, to be cleaned by its own rules."""
    yield _whole(decoded(data, name, given=encoding), name, "wikitext")


def _whole(content: str, name: str, format_: str) -> Document:
    if not content.strip():
        raise SourceError(f"{name}: the file is empty")
    content = re.sub(r"[\x00-\x08\x0e-\x1f]", "", content).replace("\f", "\n\n")
    return Document("", PurePosixPath(name.replace("\\", "/")).stem, content, format_, {})
