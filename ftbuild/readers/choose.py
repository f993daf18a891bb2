"""Which reader is for a file: what its first bytes say without doubt, then its ending or media type, then a look at its text.

A file is what it holds, and not what it is called, where that can be told: a PDF that is served as a web page is a PDF.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

from ftbuild.errors import ConfigError, SourceError
from ftbuild.records import Document
from ftbuild.registries import READERS
from ftbuild.schema import nearest

PACKAGES = ("charset-normalizer", "docutils", "lxml", "mammoth", "markdown-it-py", "pypdfium2", "trafilatura")
"""Those whose version may change what readers give."""

_OLD_OFFICE = b"\xd0\xcf\x11\xe0"
_HTML = re.compile(rb"(?is)\A\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*<(!doctype html|html|head|body)\b")
_PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!", b"\x7fELF", b"MZ\x90")


def suffix_of(name: str) -> str:
    """Return a name's ending in lower case, with its dot; an address's without what is asked for behind it."""
    path = re.split(r"[?#]", name)[0] if "://" in name else name
    return PurePosixPath(path.replace("\\", "/")).suffix.lower()


def readable(name: str) -> bool:
    """Say whether some reader is for files of this name."""
    return _for(suffix_of(name)) != ""


def choose(data: bytes, name: str, *, media: str = "") -> str:
    """Return the name of the reader for some bytes.  SourceError for what none of them reads."""
    if told := _by_first_bytes(data):
        return told
    suffix, media = suffix_of(name), media.partition(";")[0].strip().lower()
    if reader := (_for(media) if media not in ("", "text/plain", "application/octet-stream") else "") or _for(suffix):
        return reader
    if data.startswith(_OLD_OFFICE):
        raise SourceError(
            f"{name}: is a file of an old office program, or protected by a password", hint="save it as .docx or PDF"
        )
    if data.startswith(_PICTURES) or data.startswith(b"PK\x03\x04") or (b"\0" in data[:4096] and not _is_utf_16(data)):
        kind = f"{suffix} files" if suffix else f"{media or 'such'} files"
        raise SourceError(f"{name}: there is no reader for {kind}", hint=f"there are readers for {_endings()}")
    return "html" if _HTML.match(data[:4096]) else "text"


def _by_first_bytes(data: bytes) -> str:
    if data[:1024].lstrip()[:5] == b"%PDF-":
        return "pdf"
    if data.startswith(b"PK\x03\x04"):
        if b"application/epub+zip" in data[:200]:
            return "epub"
        if b"word/" in data[:4_000] or b"word/document.xml" in data[-65_536:]:
            return "docx"
    return ""


def _is_utf_16(data: bytes) -> bool:
    return data.startswith((b"\xff\xfe", b"\xfe\xff"))


def _for(format_: str) -> str:
    return next((name for name in READERS if READERS.suits(name, format_)), "") if format_ else ""


def _endings() -> str:
    return ".txt, .md, .html, .pdf, .docx, .epub, .rst and .wikitext"


def read(
    data: bytes, name: str, *, reader: str = "", media: str = "", options: Mapping[str, Mapping[str, Any]] | None = None
) -> list[Document]:
    """Return the documents that some bytes hold.  SourceError names the file and says what is wrong with it."""
    if not data.strip():
        raise SourceError(f"{name}: the file is empty")
    chosen = reader or choose(data, name, media=media)
    use = READERS.use(chosen, **dict((options or {}).get(chosen, {})))
    try:
        found: Iterable[Document] = use(data, name)
        return list(found)
    except (SourceError, ConfigError):
        raise
    except ImportError as error:
        raise ConfigError(
            f"{name}: reading it as {chosen} needs {error.name}", hint="pip install 'ftbuild[documents]'"
        ) from error
    except MemoryError as error:
        raise SourceError(f"{name}: is too large to be read as {chosen}") from error
    except Exception as error:  # whatever a library trips over, the file is to blame, and is named
        told = f"{type(error).__name__}: {str(error).partition(chr(10))[0][:200]}"
        raise SourceError(f"{name}: cannot be read as {chosen}: {told}", hint="is it damaged, or of another kind?") from error


def problems(readers: Mapping[str, str], options: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return what is wrong with the readers that a recipe names for patterns, and with the options that it gives them."""
    found = []
    for pattern, reader in readers.items():
        if reader not in READERS:
            found.append((f"readers.{pattern}", f"there is no reader {reader!r}; {nearest(reader, READERS)}"))
    for reader, given in options.items():
        if reader not in READERS:
            found.append((f"options.{reader}", f"there is no reader {reader!r}; {nearest(reader, READERS)}"))
            continue
        known = {p.name for p in READERS.parameters(reader)}
        found += [
            (f"options.{reader}.{key}", f"reader {reader!r} has no option {key!r}; {nearest(str(key), known)}")
            for key in given
            if key not in known
        ]
    return found
