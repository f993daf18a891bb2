"""Word: DOCX read by mammoth (BSD): headings, lists, tables, notes.

A small file can unpack to more than there is memory for, so that it is read in a process apart, which has its limits.
"""

from __future__ import annotations

from collections.abc import Iterator

from ftbuild.errors import SourceError
from ftbuild.readers.apart import apart
from ftbuild.records import Document
from ftbuild.registries import READERS

_OLE = b"\xd0\xcf\x11\xe0"


@READERS("docx", formats=(".docx", ".docm", ".dotx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"))
def docx(data: bytes, name: str) -> Iterator[Document]:
    """Read a Word document: headings, lists, tables; notes after the paragraph that they belong to."""
    if data.startswith(_OLE):
        if "EncryptedPackage".encode("utf-16-le") in data:
            raise SourceError(f"{name}: is protected by a password", hint="save it without one")
        raise SourceError(f"{name}: is a Word document of the old kind (.doc)", hint="save it as .docx")
    import lxml  # so that they are named here if they are missing
    import mammoth

    assert lxml
    assert mammoth
    yield apart("docx", data, name)
