"""The index of a multistream dump: at which byte the stream with a page begins, so that a few pages are read in a moment.

Lines are `byte:page id:title`, packed as the dump is.  A dump `…-multistream.xml.bz2` has its index beside it, as
`…-multistream-index.txt.bz2`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from ftbuild.errors import SourceError
from ftbuild.wikis.streams import opened
from ftbuild.wikis.unpacking import Damaged


def beside(file: Path) -> Path | None:
    """Return the index that lies beside a dump, if one does."""
    name = file.name
    for ending in (".xml.bz2", ".bz2"):
        if "multistream" in name and name.endswith(ending):
            for index in (f"{name.removesuffix(ending)}-index.txt.bz2", f"{name.removesuffix(ending)}-index.txt"):
                if (found := file.with_name(index)).is_file():
                    return found
            head, _, parts = name.removesuffix(ending).partition("multistream")  # …-multistream1.xml-p1p41242.bz2
            parts = parts.replace(".xml", ".txt", 1)
            if (found := file.with_name(f"{head}multistream-index{parts}.bz2")).is_file():
                return found
    return None


def places(index: Path | str, wanted: Callable[[str], bool]) -> list[int]:
    """Return where the streams begin that hold wanted pages, in order.  SourceError if the index cannot be read."""
    found: dict[int, bool] = {}
    for number, line in enumerate(_lines(index), start=1):
        where, _, rest = line.partition(":")
        _, colon, title = rest.partition(":")
        if not colon or not where.isdigit():
            raise SourceError(f"{index}:{number}: `byte:page id:title` belongs here", hint="is this the index of a dump?")
        if wanted(title):
            found[int(where)] = True
    return sorted(found)


def _lines(index: Path | str) -> Iterator[str]:
    rest = b""
    with opened(index) as stream:
        try:
            for piece in stream.pieces():
                *lines, rest = (rest + piece).split(b"\n")
                yield from (line.decode("utf-8", "replace") for line in lines if line)
        except Damaged as error:
            raise SourceError(f"{stream.name}: damaged at byte {error.position:,}: {error.what}") from error
    if rest:
        yield rest.decode("utf-8", "replace")
