"""Third step: emphasis, external links, tags, magic words, lists, headings, entities, and the sections of the tail.

In: wikitext without brackets of two characters.  Out: running text with its headings standing as `== … ==`.
"""

from __future__ import annotations

import html
import re

from ftbuild.wikitext.options import Book, Options, released
from ftbuild.wikitext.tables import Table

_BLOCK = frozenset(
    (
        "blockquote", "p", "div", "center", "li", "ul", "ol", "dl", "dt", "dd", "tr", "table", "caption", "poem", "section",
        "aside", "header", "footer", "article", "h1", "h2", "h3", "h4", "h5", "h6", "noinclude", "onlyinclude", "hr",
    )
)  # fmt: skip
_SPACE = frozenset({"br", "td", "th"})
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9-]*)((?:[\s/][^<>]*)?)>")
_HTML_HEADING = re.compile(r"<h([1-6])\b[^<>]*>([^<\n]*(?:<(?!/?h[1-6])[^<\n]*)*)</h\1\s*>", re.IGNORECASE)
_EXTERNAL = re.compile(
    r"\[((?:https?:|ftps?:|mailto:|news:|irc:|git:|svn:)?//[^\s\[\]<>\"]*|mailto:[^\s\[\]<>\"]*)([^\[\]\n]*)\]", re.IGNORECASE
)
_URL = re.compile(r"[hHfF](?:(?<=[hH])ttps?|(?<=[fF])tps?)://[^\s\[\]<>\"|{}]*[^\s\[\]<>\"|{},.;:!?()'。，；：！？（）]")
_QUOTES = re.compile(r"'{2,}")
_MAGIC = re.compile(r"__([^\W_](?:[^\W_]|_(?!_)){1,40})__")
_HEADING_LINE = re.compile(r"\n=[^\n]*=[ \t]*(?=\n|\Z)")
_MARKS = re.compile(r"\n[*#:;]+[ \t]*")
_LIST = re.compile(r"\n[*#:;][^\n]*")
_DEBRIS_LINE = re.compile(r"\n[ \t]*(?:\|[^\n]*|\}+[ \t]*(?=\n|\Z)|!(?=[^\n]*!!)[^\n]*)")
_STRAY = re.compile(
    r"\[\[|\]\]|\{\{+|\}\}+|\{\||\|\}|'{2,}|</?[a-zA-Z][^<>\n]*>|</?(?:ref|nowiki|br|small|div|span|sub|sup)\b/?|<!--|-->|-\{|\}-"
)
_ENTITY = re.compile(r"&(#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")
_SPACES = "\u00a0\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f"
_EMPTY = re.compile(r"\([ \t,;:،、/]*\)|（[ \t,;:,、；：，/]*）|\[[ \t]*\]|「」|『』|“”|«[ \t]*»")
_FIRST_IN_BRACKET = re.compile(r"([(（])[ \t]*(?:[,;،、；，:：][ \t]*)+")
_LAST_IN_BRACKET = re.compile(r"[,;،、；，:：][ \t]*([)）])")
_REPEATED = re.compile(r"[,;،、；，](?<![,;،、；，].)(?:[ \t]{0,2}[,;،、；，]){1,6}+(?=[ \t\n]|(?<=[،、；，]))")


def finish(text: str, table: Table, options: Options, book: Book) -> str:
    """Return running text."""
    text = "\n" + text  # so that every line begins with a line feed, which is quicker to find than `^`
    text = _html_headings(text)
    text = _emphasis(text, book)
    text = _links(text, options, book)
    text = _tags(text, book)
    text = _magic_words(text, table, book)
    text = _lines(text, options, book)
    text = _debris(text, book)
    text = _HEADING_LINE.sub(_heading, text)
    if options.tail == "drop":
        text = _without_tail(text, table, book)
    if "&" in text:
        text = _ENTITY.sub(_character, text)
    for space in _SPACES:
        if space in text:
            text = text.replace(space, " ")
    return released(text[1:])


def _html_headings(text: str) -> str:
    return (
        _HTML_HEADING.sub(lambda m: f"\n{'=' * int(m[1])} {m[2]} {'=' * int(m[1])}\n", text) if "<h" in text.lower() else text
    )


def _emphasis(text: str, book: Book) -> str:
    if "''" not in text:
        return text
    if "'''" in text:
        text = _bold_lines(text)
    text, count = _QUOTES.subn("", text)
    if count:
        book["emphasis"] += ["''"] * count
    return text


def _bold_lines(text: str) -> str:
    out: list[str] = []
    position = 0
    while (found := text.find("'''", position)) >= 0:
        start = text.rfind("\n", position, found) + 1 or position
        end = text.find("\n", found)
        end = len(text) if end < 0 else end
        out += (text[position:start], _apostrophes(text[start:end]))
        position = end
    out.append(text[position:])
    return "".join(out)


def _apostrophes(line: str) -> str:
    """Return a line without its bold and italics, as MediaWiki reads runs of apostrophes (Parser::doQuotes)."""
    pieces = re.split(r"('{2,})", line)
    runs = [len(p) for p in pieces[1::2]]
    for n, run in enumerate(runs):
        if run == 4 or run > 5:  # noqa: PLR2004 - what is too much for bold, or bold and italics, is text
            extra = run - (3 if run == 4 else 5)  # noqa: PLR2004
            pieces[2 * n] += "'" * extra
            runs[n] = run - extra
    bold, italics = sum(r in (3, 5) for r in runs), sum(r in (2, 5) for r in runs)
    if bold % 2 and italics % 2:  # one ''' is an apostrophe and ''
        threes = [n for n, r in enumerate(runs) if r == 3]  # noqa: PLR2004
        before = [pieces[2 * n] for n in threes]
        single = next((n for n, t in zip(threes, before, strict=True) if t[-2:-1] == " " and t[-1:] != " "), None)
        words = next((n for n, t in zip(threes, before, strict=True) if t and t[-1:] != " "), None)
        chosen = single if single is not None else words if words is not None else threes[0] if threes else None
        if chosen is not None:
            pieces[2 * chosen] += "'"
    return "".join(pieces[::2])


def _links(text: str, options: Options, book: Book) -> str:
    if "//" not in text and "mailto:" not in text:
        return text

    def bracketed(match: re.Match[str]) -> str:
        book["urls"].append(match[0])
        return match[2].strip()

    text = _EXTERNAL.sub(bracketed, text)
    if options.urls == "drop":

        def bare(match: re.Match[str]) -> str:
            book["urls"].append(match[0])
            return ""

        text = _URL.sub(bare, text)
    return text


def _tags(text: str, book: Book) -> str:
    if "<" not in text:
        return text
    page = book["tags"]

    def replaced(match: re.Match[str]) -> str:
        name = match[2].lower()
        page.append(match[0])
        return "\n" if name in _BLOCK else " " if name in _SPACE else ""

    return _TAG.sub(replaced, text)


def _magic_words(text: str, table: Table, book: Book) -> str:
    if "__" not in text:
        return text

    def replaced(match: re.Match[str]) -> str:
        word = match[1]
        if word.isupper() or word.casefold() in table.magic or not word.isascii():
            book["magic_words"].append(match[0])
            return ""
        return match[0]

    return _MAGIC.sub(replaced, text)


def _lines(text: str, options: Options, book: Book) -> str:
    text = text.replace("\n----", "\n")
    if options.lists == "drop":
        book["lists"] += _LIST.findall(text)
        return _LIST.sub("", text)
    return _MARKS.sub("\n", text)


def _debris(text: str, book: Book) -> str:
    """Drop what broken markup leaves, and the brackets and commas that were emptied."""
    page: list[str] = []

    def stray(match: re.Match[str]) -> str:
        page.append(match[0])
        return ""

    if "|" in text or "}" in text or "!!" in text:
        text = _DEBRIS_LINE.sub(stray, text)
    text = _STRAY.sub(stray, text)
    if page:
        book["stray"] += page
    text = _EMPTY.sub("", text)
    text = _FIRST_IN_BRACKET.sub(r"\1", text)
    for _ in range(3):
        text = _LAST_IN_BRACKET.sub(r"\1", text)
    text = _REPEATED.sub(lambda m: m[0][0], text)
    return _EMPTY.sub("", text)


def _heading(match: re.Match[str]) -> str:
    line = match[0].strip()
    left, right = len(line) - len(line.lstrip("=")), len(line) - len(line.rstrip("="))
    if left == len(line):
        return match[0] if left < 3 else "\n"  # noqa: PLR2004 - nothing but equals signs
    level = min(left, right, 6)
    inner = " ".join(line[level : len(line) - level].split())
    return f"\n{'=' * level} {inner} {'=' * level}" if inner else "\n"


_ANY_HEADING = re.compile(r"\n(={1,6}) ([^\n]+) ={1,6}(?=\n|\Z)")


def _without_tail(text: str, table: Table, book: Book) -> str:
    """Drop the sections whose headings are those of the tail, with the sections inside them."""
    out: list[str] = []
    position, level = 0, 0
    for match in _ANY_HEADING.finditer(text):
        depth = len(match[1])
        if level and depth > level:
            continue
        if level:
            book["tail"].append(text[position : match.start()])
            position, level = match.start(), 0
        if depth <= 2 and match[2].strip(" :：").casefold() in table.tail:  # noqa: PLR2004 - the sections of an article
            out.append(text[position : match.start()])
            position, level = match.start(), depth
    if level:
        book["tail"].append(text[position:])
    else:
        out.append(text[position:])
    return "".join(out)


def _character(match: re.Match[str]) -> str:
    return html.unescape(match[0])
