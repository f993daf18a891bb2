"""The rule for MediaWiki markup: one scan of the text, with one choice for each kind of markup.

What a template means, and how a namespace or a section of the tail is called, is not decided here: names come from the tables
in `conf/wikitext`.  Headings are left standing as `== … ==` for `ftbuild.stages.structure` to read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from ftbuild.cleaned import Cleaned
from ftbuild.registries import RULES


def _depends(_: object) -> dict[str, str]:
    from ftbuild.digest import digest_file
    from ftbuild.wikitext import tables

    return {f"wikitext/{file.name}": digest_file(file) for file in tables.files()}


@RULES("wikitext", formats=("wikitext",), depends=_depends)
def wikitext(
    text: str,
    meta: Mapping[str, Any] = {},
    *,
    language: str = "",
    variant: str = "",
    references: Literal["drop", "keep"] = "drop",
    tables: Literal["drop", "text"] = "drop",
    galleries: Literal["drop", "captions"] = "drop",
    files: Literal["drop", "captions"] = "drop",
    math: Literal["drop", "simple", "latex"] = "simple",
    code: Literal["drop", "keep"] = "drop",
    quotes: Literal["drop", "keep"] = "keep",
    poems: Literal["drop", "keep"] = "keep",
    lists: Literal["drop", "keep"] = "keep",
    urls: Literal["drop", "keep"] = "drop",
    tail: Literal["drop", "keep"] = "drop",
    unknown_templates: Literal["drop", "first"] = "drop",
    templates: Mapping[str, str | int] = {},
) -> Cleaned:
    """Turn MediaWiki markup into running text, in one scan.

    The names in the text are those of the language that the document's `meta` tells, or else of the wiki that its namespaces
    are those of, or else of `language`.
    """
    from ftbuild.wikitext.cleaning import clean
    from ftbuild.wikitext.options import Options
    from ftbuild.wikitext.tables import guess, table_for, with_templates

    told = str(meta.get("language") or "")
    table = table_for(told or guess(text) or language)
    if templates:
        table = with_templates(table, templates)
    options = Options(
        references=references, tables=tables, galleries=galleries, files=files, math=math, code=code, quotes=quotes,
        poems=poems, lists=lists, urls=urls, tail=tail, unknown_templates=unknown_templates,
        variant=variant or told, title=str(meta.get("title") or ""),
    )  # fmt: skip
    return clean(text, table, options)
