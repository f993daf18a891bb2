"""All steps in their order: what the rule `wikitext` does to one text."""

from __future__ import annotations

from ftbuild.cleaned import Cleaned
from ftbuild.wikitext.brackets import Scanner
from ftbuild.wikitext.inline import finish
from ftbuild.wikitext.opaque import settle
from ftbuild.wikitext.options import Options, new_book, without_stand_ins
from ftbuild.wikitext.tables import Table


def clean(text: str, table: Table, options: Options) -> Cleaned:
    """Return wikitext as running text with its headings, and what was removed by kind."""
    book = new_book()
    text = settle(without_stand_ins(text).replace("\r\n", "\n").replace("\0", ""), table, options, book)
    text = Scanner(table, options, book).run(text)
    text = finish(text, table, options, book)
    return Cleaned(text, {kind: pieces for kind, pieces in book.items() if pieces})
