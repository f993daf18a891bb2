"""Archives that come from anywhere: DOCX and EPUB are ZIP files of XML, and either can be a bomb.

Nothing is ever unpacked to the disk, so that a name with `..` in it leads nowhere.
"""

from __future__ import annotations

import io
import zipfile
from typing import Any

from ftbuild.errors import SourceError

_LARGEST = 300_000_000  # bytes in all, unpacked
_LARGEST_PART = 100_000_000
_RATIOS = ((1_000_000, 400), (10_000_000, 100))  # from so many bytes on, how many there may be for each packed one
_NEVER_READ = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".emf", ".wmf", ".bin", ".ttf", ".otf", ".mp3", ".mp4")
_MOST = 20_000


class Archive:
    """The parts of a ZIP file by their names.  SourceError for what is none, is locked, or would grow beyond measure."""

    def __init__(self, data: bytes, name: str, *, what: str) -> None:
        self.name = name
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
            self._parts = {part.filename: part for part in self._zip.infolist()}
        except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError) as error:
            raise SourceError(f"{name}: is no {what}: {error}", hint="is it damaged, or of another kind?") from error
        read = [p for p in self._parts.values() if not p.filename.lower().endswith(_NEVER_READ)]
        sizes = [part.file_size for part in read]
        bomb = any(
            p.file_size > size and p.file_size > ratio * max(1, p.compress_size) for p in read for size, ratio in _RATIOS
        )
        if bomb or sum(sizes) > _LARGEST or max(sizes, default=0) > _LARGEST_PART or len(self._parts) > _MOST:
            raise SourceError(f"{name}: unpacks to {sum(sizes):,} bytes (parts: {len(sizes):,}), which no document does")
        if any(part.flag_bits & 1 for part in self._parts.values()):
            raise SourceError(f"{name}: is protected by a password", hint="save it without one")

    def __contains__(self, part: object) -> bool:
        return part in self._parts

    def __iter__(self) -> Any:
        return iter(self._parts)

    def work(self, ending: str, usual: int = 15) -> float:
        """Return the megabytes in the parts with an ending, as if none were packed better than text usually is."""
        parts = [part for name, part in self._parts.items() if name.endswith(ending)]
        return sum(min(part.file_size, usual * part.compress_size) for part in parts) / 1e6

    def read(self, part: str) -> bytes:
        """Return the bytes of a part.  SourceError if it is not there or is damaged."""
        import zlib

        try:
            return self._zip.read(self._parts[part])
        except KeyError as error:
            raise SourceError(f"{self.name}: holds no {part}", hint="is it damaged?") from error
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
            raise SourceError(f"{self.name}: {part} is damaged: {error}") from error

    def xml(self, part: str) -> Any:
        """Return the root of a part that is XML.  No entity of its own is resolved, and nothing is fetched for it."""
        from lxml import etree

        parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False, recover=True)
        try:
            root = etree.fromstring(self.read(part), parser)
        except etree.XMLSyntaxError as error:
            raise SourceError(f"{self.name}: {part} is no XML: {error}") from error
        if root is None:
            raise SourceError(f"{self.name}: {part} is no XML")
        return root

    def refuse_entities(self) -> None:
        """Refuse parts that declare entities, which other parsers might resolve: no program writes them."""
        for part in self._parts:
            if part.endswith((".xml", ".rels")) and b"<!DOCTYPE" in self.read(part).replace(b"\0", b"")[:10_000_000]:
                raise SourceError(f"{self.name}: {part} declares entities of its own, which no word processor does")
