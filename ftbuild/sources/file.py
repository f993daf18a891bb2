"""A text that lies in a file: the snapshot of an article that a recipe pins, or the user's own document."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ftbuild.errors import SourceError
from ftbuild.paths import find_file, shown
from ftbuild.records import Document
from ftbuild.registries import SOURCES


def read_text(path: Path) -> str:
    """Return a UTF-8 file's text with line feeds as its line ends.  SourceError if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise SourceError(f"{shown(path)}: is not UTF-8 (byte {error.start})", hint="save the file as UTF-8") from error
    except OSError as error:
        raise SourceError(f"{shown(path)}: {error.strerror}") from error


@SOURCES("file", files=("path",))
def file(
    *, path: str, title: str = "", format: str = "wikitext", licence: str = "", attribution: str = ""
) -> Iterator[Document]:
    """Read one text file, looked for in the working directory, then in the configuration folders."""
    text = read_text(find_file(path))
    if not text.strip():
        raise SourceError(f"{path}: the file is empty")
    meta = {"path": path, "licence": licence, "attribution": attribution}
    yield Document(
        id=title or Path(path).stem,
        title=title or Path(path).stem,
        text=text,
        format=format,
        meta={k: v for k, v in meta.items() if v},
    )
