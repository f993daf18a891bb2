"""All steps in their order: what the rule `wikitext` does to one text."""

from __future__ import annotations

import re
from dataclasses import replace

from ftbuild.cleaned import Cleaned
from ftbuild.wikitext.inline import finish
from ftbuild.wikitext.opaque import settle
from ftbuild.wikitext.options import Options, new_book, without_stand_ins
from ftbuild.wikitext.scanning import Scanner
from ftbuild.wikitext.tables import Table

_HEADING = re.compile(r"\n={1,6}[^\n{}]{0,200}\{\{[^\n]{0,1000}=[ \t]*(?=\n|\Z)")


def _named(line: str, table: Table, options: Options) -> str:
    """Return a heading with templates such that something is left of it: what the first one holds, or else its name."""
    for choice in (options, replace(options, unknown_templates="first")):
        if any(map(str.isalnum, Scanner(table, choice, new_book()).run(line))):
            return line if choice is options else Scanner(table, choice, new_book()).run(line)
    return re.sub(r"\{\{([^{}|\n]*)[^\n]*\}\}", r"\1", line)


def clean(text: str, table: Table, options: Options) -> Cleaned:
    """Return wikitext as running text with its headings, and what was removed by kind."""
    book = new_book()
    text = settle(without_stand_ins(text).replace("\r\n", "\n").replace("\0", ""), table, options, book)
    text = _HEADING.sub(lambda match: _named(match[0], table, options), text)
    text = Scanner(table, options, book).run(text)
    text = finish(text, table, options, book)
    return Cleaned(text, {kind: pieces for kind, pieces in book.items() if pieces})
