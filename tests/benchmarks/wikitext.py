"""Clean real wikitext with ftbuild and with others; print what is left of the markup, what is kept of the text, and how fast.

    python tests/benchmarks/wikitext.py [FOLDER] [--rendered FOLDER] [--only NAME] [--show]

FOLDER holds articles as `LANGUAGE_Title.wikitext`; `--rendered` one with `LANGUAGE_Title.html`, the same articles as a
MediaWiki shows them: `WT_LANG=de php maintenance/parse.php de_Title.wikitext > de_Title.html`, with
`$wgLanguageCode = getenv('WT_LANG')`.
Sentences in which a template of the wiki is missing there are left out.  Peers are measured if they can be imported.

    tokens    {{ }} [[ ]] <ref ''' {| |} File:, per 10,000 characters of clean text
    debris    whatever else a reader would see of markup, per 10,000 characters: see DEBRIS
    kept      sentences of the rendered paragraphs that stand in the clean text, spaces aside
    headings  headings that stand in the clean text in their order, as mwparserfromhell finds them, without those of the tail
    MB/s      megabytes of wikitext (UTF-8) a second of this process's CPU time, the best of three rounds
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path

from ftbuild.registries import RULES
from ftbuild.wikitext.tables import table_for

Cleaner = Callable[[str, str], str]

TOKENS = re.compile(r"\{\{|\}\}|\[\[|\]\]|<ref|'''|\{\||\|\}|File:")
DEBRIS = {
    "tag": re.compile(
        r"</?(?:[a-z][a-z0-9]*\b[^<>\n]{0,80}|!--)/?>|<!--|-->|</?(?:ref|br|small|div|span|nowiki)\b", re.IGNORECASE
    ),
    "italics": re.compile(r"(?<!')''(?!')"),
    "parameter": re.compile(r"(?m)^[ \t]*\|[^\n]*|\|[ \t]*[\w -]{1,30}[ \t]*="),
    "pipe": re.compile(r"\|"),
    "image": re.compile(
        r"\b\d+px\b|\b(?:thumb|thumbnail|upright|miniatur|miniaturadeimagen|vignette)\b\||\.(?:jpe?g|png|svg|gif|webm|ogg)\b",
        re.IGNORECASE,
    ),
    "namespace": re.compile(
        r"\b(?:Image|Datei|Bild|Fichier|Archivo|Imagen|Ficheiro|Immagine|Bestand|Файл|Изображение|Category|Kategorie|Catégorie|Categoría"
        r"|Categoria|Категория|Category|分类|分類|カテゴリ|분류|파일|ملف|تصنيف|קובץ|קטגוריה|ファイル|文件):(?=\S)"
    ),
    "entity": re.compile(r"&(?:[a-zA-Z]{2,8}|#\d{1,6}|#x[0-9a-f]{1,6});"),
    "magic word": re.compile(r"__[^\W\d_a-z]{3,}__"),
    "address": re.compile(r"https?:|\bwww\.\w"),
    "brackets": re.compile(r"\([\s,;:.、，；]*\)|（[\s,;:、，；]*）|\[\s*\]|\([\s]*[,;，；、]|[,;，；、][\s]*\)"),
    "variant": re.compile(r"-\{|\}-|zh-(?:hans|hant|cn|tw|hk):"),
    "attribute": re.compile(
        r"\b(?:style|class|width|align|colspan|rowspan|bgcolor|scope|valign|cellpadding)[ \t]*=[ \t]*[\"'\w#]", re.IGNORECASE
    ),
    "list mark": re.compile(r"(?m)^[*#;:]+(?=[ \w])"),
    "punctuation": re.compile(r"[ \t],(?=[ \n])|,,|;;|、、|，，| \.(?=\s)"),
    "heading": re.compile(r"(?m)^={2,}[ \t]*={0,}$"),
}
HEADING = re.compile(r"(?m)^(={1,6})[ \t]*(.+?)[ \t]*\1[ \t]*$")
MEASURED = re.compile(r"[^\W_]")


def ours(text: str, language: str) -> str:
    """Clean with ftbuild's default rules."""
    for name in ("wikitext", "normalise", "whitespace"):
        rule = RULES.use(name)
        made = rule(text, {"language": language}) if name == "wikitext" else rule(text)
        text = getattr(made, "text", made)
    return text


def tutorial(text: str, language: str) -> str:
    """Clean with the tutorial's regular expressions."""
    del language
    from tests.helpers import cleaned

    return cleaned(text, "tutorial")


def tree(text: str, language: str) -> str:
    """Clean with the rules on mwparserfromhell's tree."""
    del language
    from tests.helpers import cleaned

    return cleaned(text, "wikitext_tree")


def strip_code(text: str, language: str) -> str:
    """Clean with mwparserfromhell's own plain text."""
    del language
    import mwparserfromhell

    return str(mwparserfromhell.parse(text).strip_code())


def parser_plain(text: str, language: str) -> str:
    """Clean with wikitextparser's own plain text (GPL)."""
    del language
    import wikitextparser  # type: ignore[import-not-found, unused-ignore]

    return str(wikitextparser.parse(text).plain_text())


def gensim_filter(text: str, language: str) -> str:
    """Clean with gensim's filter."""
    del language
    from gensim.corpora.wikicorpus import filter_wiki  # type: ignore[import-not-found, unused-ignore]

    return str(filter_wiki(text))


CLEANERS: dict[str, tuple[Cleaner, str]] = {
    "ftbuild": (ours, "ftbuild"),
    "ftbuild, clean=wikitext_tree": (tree, "mwparserfromhell"),
    "ftbuild, clean=tutorial": (tutorial, "ftbuild"),
    "mwparserfromhell strip_code": (strip_code, "mwparserfromhell"),
    "wikitextparser plain_text": (parser_plain, "wikitextparser"),
    "gensim filter_wiki": (gensim_filter, "gensim"),
}


class Sentences(HTMLParser):
    """Collects the paragraphs of a rendered page, without references, formulas, boxes and missing templates."""

    OUTSIDE = ("table", "style", "script", "figure")
    VOID = ("br", "img", "hr", "input", "meta", "link", "wbr", "col", "source", "track", "area")

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.paragraphs: list[str] = []
        self._open: list[tuple[str, bool]] = []
        self._text: list[str] | None = None
        self._link: list[str] | None = None
        self._red = False

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        """Open a tag."""
        if tag in self.VOID:
            if tag == "br" and self._text is not None:
                self._text.append(" ")
            return
        told = dict(attrs)
        kinds = (told.get("class") or "").split()
        out = tag in self.OUTSIDE or bool(
            {"reference", "thumb", "gallery", "toc", "error", "mw-editsection", "references", "mw-highlight"} & set(kinds)
        )
        self._open.append((tag, out))
        if tag == "p" and not any(o for _, o in self._open):
            self._text = []
        if tag == "a" and "new" in kinds and self._text is not None:
            self._link, self._red = [], ":" in (told.get("title") or "")

    def handle_endtag(self, tag: str) -> None:
        """Close a tag, and all that were left open in it."""
        while self._open and self._open.pop()[0] != tag:
            pass
        if tag == "a" and self._link is not None and self._text is not None:
            shown = "".join(self._link)
            self._text.append("\0" if self._red and ":" in shown else shown)
            self._link = None
        if tag == "p" and self._text is not None:
            self.paragraphs.append("".join(self._text))
            self._text = None

    def handle_data(self, data: str) -> None:
        """Take text."""
        if any(o for _, o in self._open):
            return
        if self._link is not None:
            self._link.append(data)
        elif self._text is not None:
            self._text.append(data)


def sentences(html: str) -> Iterator[str]:
    """Yield the sentences of a rendered page that can be looked for in its clean text."""
    page = Sentences()
    page.feed(html)
    for paragraph in page.paragraphs:
        for sentence in re.split(r"(?<=[.!?。！？؟।])\s+|(?<=[。！？])|\n", paragraph):
            words = " ".join(sentence.split())
            if "\0" not in words and len(words) >= 20 and not re.search(r"https?:|<[a-z/]|&lt;|\{\{|\\", words):
                yield words


def bare(text: str) -> str:
    """Return a text without spaces and invisible characters."""
    return re.sub(r"[\s\u00a0\u00ad\u200b-\u200f\u2060\ufeff]+", "", text)


def headings(text: str) -> list[str]:
    """Return the letters of the headings of a wikitext by its tree, without those of the tail."""
    import mwparserfromhell

    found: list[str] = []
    below = 0
    for node in mwparserfromhell.parse(text, skip_style_tags=True).filter_headings(recursive=False):
        level, shown = int(node.level), letters(strip(str(node.title)))
        if below and level > below:
            continue
        below = level if level <= 2 and shown in TAILS else 0
        if not below:
            found.append(shown)
    return found


def strip(title: str) -> str:
    """Return what is shown of a heading's markup."""
    title = re.sub(r"<!--.*?-->|<ref[^>]*/>|<ref.*?</ref>|<[^>]*>", "", title)
    title = re.sub(r"\[\[(?:[^\[\]|]*\|)?([^\[\]|]*)\]\]", r"\1", title)
    return re.sub(r"\{\{[^{}]*\}\}", "", title)


def letters(text: str) -> str:
    """Return the letters and digits of a text."""
    import html

    return "".join(MEASURED.findall(html.unescape(text).casefold()))


TAILS: set[str] = set()


def in_order(wanted: Sequence[str], text: str) -> int:
    """Return how many headings stand in a clean text in their order."""
    found = [letters(m[2]) for m in HEADING.finditer(text)]
    position = count = 0
    for heading in wanted:
        if heading in found[position:]:
            position = found.index(heading, position) + 1
            count += 1
    return count


def main() -> int:
    """Run the benchmark."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder", nargs="?", default="../shared/wikitext", type=Path)
    arguments.add_argument("--rendered", type=Path)
    arguments.add_argument("--only", default="")
    arguments.add_argument("--show", action="store_true", help="each leftover and each sentence that is lost")
    told = arguments.parse_args()
    articles = {f.stem: f.read_text(encoding="utf-8") for f in sorted(told.folder.glob("*.wikitext"))}
    size = sum(len(t.encode()) for t in articles.values())
    print(f"{len(articles)} articles, {size / 1e6:.2f} MB")
    print(f"{'':30} {'tokens':>7} {'debris':>7} {'kept':>7} {'headings':>9} {'failed':>6} {'MB/s':>6} {'ratio':>6}")
    base = 0.0
    for name, (cleaner, module) in CLEANERS.items():
        if told.only and told.only != name:
            continue
        try:
            __import__(module)
        except ImportError:
            print(f"{name:30} is not installed")
            continue
        speed, row = measured(name, cleaner, articles, told.rendered, size, show=told.show)
        base = base or speed
        print(f"{row} {base / speed:5.1f}×", flush=True)
    return 0


def measured(
    name: str, cleaner: Cleaner, articles: dict[str, str], rendered: Path | None, size: int, *, show: bool
) -> tuple[float, str]:
    """Return how fast a cleaner is, and a row of the table."""
    best, made = float("inf"), dict[str, str]()
    failed = 0
    for _ in range(3):
        began, failed = time.process_time(), 0
        for title, text in articles.items():
            try:
                made[title] = cleaner(text, title.partition("_")[0])
            except Exception:  # noqa: BLE001 - of whoever's code; counted
                failed, made[title] = failed + 1, ""
        best = min(best, time.process_time() - began)
    tokens = debris = characters = kept = wanted = standing = all_headings = 0
    for title, text in made.items():
        body = HEADING.sub(r"\2", text)
        characters += len(body)
        tokens += len(TOKENS.findall(body))
        for kind, pattern in DEBRIS.items():
            found = list(pattern.finditer(body))
            debris += len(found)
            if show:
                for match in found:
                    print(f"  {title}: {kind}: {body[max(0, match.start() - 40) : match.end() + 40]!r}")
        if rendered and (page := rendered / f"{title}.html").is_file():
            have = bare(text)
            for sentence in sentences(page.read_text(encoding="utf-8")):
                wanted += 1
                if bare(sentence) in have:
                    kept += 1
                elif show:
                    print(f"  {title}: lost: {sentence}")
        TAILS.clear()
        TAILS.update(letters(h) for h in table_for(title.partition("_")[0]).tail)
        heads = headings(articles[title])
        all_headings += len(heads)
        here = in_order(heads, text)
        standing += here
        if show and here < len(heads):
            print(f"  {title}: headings: {[h for h in heads if h not in {letters(m[2]) for m in HEADING.finditer(text)}]}")
    share = f"{kept / wanted:6.1%}" if wanted else "   ---"
    per = 10_000 / max(1, characters)
    quality = f"{tokens * per:7.2f} {debris * per:7.2f} {share:>7} {standing:>4}/{all_headings:<4}"
    row = f"{name:30} {quality} {failed:>6} {size / 1e6 / best:6.2f}"
    return size / 1e6 / best, row


if __name__ == "__main__":
    sys.exit(main())
