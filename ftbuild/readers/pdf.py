"""PDF: the text of its pages, read by pdfium (BSD and Apache-2.0), with its headings, paragraphs, lists and tables found again.

A PDF says where letters stand, and little else.  What is a heading is told by the document's outline, by size and by weight;
running headers, footers and page numbers are known by being on page after page.  A few lines of PDF can ask for more work and
memory than there is, so that it is read in a process apart, which has its limits.
"""

from __future__ import annotations

from collections.abc import Iterator

from ftbuild.errors import SourceError
from ftbuild.readers.apart import apart
from ftbuild.records import Document
from ftbuild.registries import READERS


@READERS("pdf", formats=(".pdf", "application/pdf"))
def pdf(data: bytes, name: str) -> Iterator[Document]:
    """Read a PDF: its headings, paragraphs, lists and tables, in the order of its columns."""
    if b"%PDF-" not in data[:2000]:
        raise SourceError(f"{name}: is no PDF", hint="is it damaged, or of another kind?")
    import pypdfium2  # so that it is named here if it is missing

    assert pypdfium2
    yield apart("pdf", data, name)
