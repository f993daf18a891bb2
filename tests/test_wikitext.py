# ruff: noqa: E501 - markup is shown as it is written, on one line
"""The wikitext scanner: what a reader sees, in many languages; tables that a user extends; markup as bad as it gets."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ftbuild.cleaned import Cleaned
from ftbuild.errors import ConfigError
from ftbuild.registries import RULES
from ftbuild.rules.general import whitespace
from ftbuild.wikitext.forms import form
from ftbuild.wikitext.tables import guess, table_for
from tests.helpers import REPOSITORY, cleaned, rules

SHARED = REPOSITORY.parent / "shared" / "wikitext"


def scan(text: str, language: str = "en", **params: Any) -> Cleaned:
    made = RULES.use("wikitext", **params)(text, {"language": language, "title": "A Title"})
    assert isinstance(made, Cleaned)
    return made


def shown(text: str, language: str = "en", **params: Any) -> str:
    return str(whitespace(scan(text, language, **params).text))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            "[[Rome]] [[Ancient Rome|old Rome]] [[cantata]]s [[#Roles|roles]] [[:Category:X]]",
            "Rome old Rome cantatas roles Category:X",
        ),
        ("a [[File:x.jpg|thumb|A [[b|c {{lang|fr|d}}]]<ref>e</ref> f]] g", "a g"),
        ("[[Image:x.jpg|200px]][[Category:X]][[de:Y]]z", "z"),
        ("[[Unknown space:x.jpg|thumb|200px|a caption]]z", "z"),
        ("[[Foo (bar)|]] and [[Foo, Bar|]]", "Foo and Foo"),
        (
            "[https://e.org a ''page''] [https://e.org] [//e.org/x y] [mailto:a@b.c mail] [not a link]",
            "a page y mail [not a link]",
        ),
        ("see https://e.org/a_(b)?c=d#e here", "see here"),
        ("''a'' '''b''' '''''c''''' d'e l'''amour'' x'", "a b c d'e l'amour x'"),
        ("one<ref>x</ref> two<ref name=a/> three<ref name='b'>[[c]] {{d}}</ref>.", "one two three."),
        ("one <ref>never closed\nnext line <ref>closed</ref> goes on", "one\nnext line goes on"),
        ("a<!-- b -->c <!-- to the end", "ac"),
        ("one\n<!-- a line -->\ntwo", "one\ntwo"),
        ("<nowiki>[[a]] ''b'' {{c}}</nowiki> d", "[[a]] ''b'' {{c}} d"),
        ("a<br>b<br/>c <div class='x'>d</div> <span>e</span> H<sub>2</sub>O", "a b c\nd\ne H2O"),
        ("&amp; &ndash; &nbsp; &#8212; &#x2014; &lt;b&gt; &unknown; R&D", "& – — — <b> &unknown; R&D"),
        ("* a\n** b\n# c\n; d : e\n:: f\n----\ng", "a\nb\nc\nd : e\nf\n\ng"),
        ("a\n{|\n! x !! y\n|-\n| [[z]] || {{w\n| v}}\n{|\n| inner\n|}\n|}\nb", "a\n\nb"),
        (":{| class=x\n|y\n|}\nb", "b"),
        ("{{outer|\n{|\n| x\n|}}}a", "a"),
        ("a\n{|\n| never closed\n== B ==\nc", "a\n== B ==\nc"),
        ("a<table><tr><td>x<table>y</table></td></tr></table>b", "ab"),
        ("<gallery>\nFile:a.jpg|x\n</gallery><timeline>y</timeline><score>z</score>a", "a"),
        ("<blockquote>Said ''here''.</blockquote><poem>\none\ntwo\n</poem>", "Said here.\n\none\ntwo"),
        ("<math>x_1 = \\alpha</math>, <math>\\frac{a}{b}</math> <chem>H2O</chem>z", "x_1 = α, z"),
        ("{{a|{{b|{{c}}}}}} {{{p|q}}} {{d|[[e]] {{{f}}}}}z", "z"),
        ("{{lang|fr|{{nowrap|deux ''mots''}} [[a|b]]}}", "deux mots b"),
        ("[[a|{{lang|fr|b|c}} {{!}} d]]", "b | d"),
        ("{{quote|1=a = b, [[c|d]]}} {{abbr|e|f}} {{small|1=g}}", "a = b, d e g"),
        ("__TOC__ __NOTOC__ __init__ a__b__c", "__init__ a__b__c"),
        (
            "{{#if:x|yes|no}} {{#if: |yes|no}} {{#switch:a|b=c}} {{PAGENAME}} {{DEFAULTSORT:x}} {{formatnum:1234567}}",
            "yes no A Title 1,234,567",
        ),
        ("Handel ({{IPAc-en}}; {{x}}) was ({{lang|la|y}}, {{x}}) here", "Handel was (y) here"),
        ("{{Infobox x\n| a = b\n| c\nnever closed", "never closed"),
        ("text [[never closed\nnext ]] x }} y |} z", "text never closed\nnext x y z"),
        ("'''A''' ({{circa|1900}}&nbsp;– {{lang-de|B}})", "A (c. 1900 – German: B)"),
    ],
)
def test_what_a_reader_sees_stays(given: str, expected: str) -> None:
    assert shown(given) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("{{convert|5|km|mi}}", "5 kilometres (3.1 mi)"),
        ("{{convert|5|mi|km|abbr=on}}", "5 mi (8.0 km)"),
        ("{{convert|1|ft}}", "1 foot (0.30 m)"),
        ("{{convert|20|C|F}}", "20 °C (68 °F)"),
        ("{{convert|-40|F}}", "−40 °F (−40 °C)"),
        ("{{convert|8|to|12|km|mi}}", "8 to 12 kilometres (5.0 to 7.5 mi)"),
        ("{{convert|5|x|6|m|ft}}", "5 × 6 metres (16 × 20 ft)"),
        ("{{convert|5|mm|in|adj=on}}", "5-millimetre (0.20 in)"),
        ("{{convert|5|km|mi|sp=us}}", "5 kilometers (3.1 mi)"),
        ("{{convert|1000|sqmi|km2|0}}", "1,000 square miles (2,590 km2)"),
        ("{{convert|7|parsec}}", "7 parsec"),
        ("{{cvt|6|ft}}", "6 ft (1.8 m)"),
        ("{{convert|x|km}} {{convert|1}} {{convert|" + "9" * 400 + "|km}}", "x kilometres 1 " + "9" * 400 + " kilometres"),
    ],
)
def test_measures_are_converted_as_their_readers_see_them(given: str, expected: str) -> None:
    assert shown(given) == expected


@pytest.mark.parametrize(
    ("language", "given", "expected"),
    [
        (
            "de",
            "[[Datei:x.jpg|mini|Text]][[Kategorie:x]]{{enS|hello}}, {{Zitat|Wort}} {{Anker|x}}A",
            "englisch hello, „Wort“ A",
        ),
        (
            "fr",
            "au {{s|XIX}}, {{s-|XVII}}, {{XVIIIe siècle}}, {{84e|congrès}} [[Fichier:x.jpg|vignette|y]]",
            "au XIXe siècle, XVIIe siècle, XVIIIe siècle, 84e congrès",
        ),
        (
            "fr",
            "{{unité|814|km|2}} ; {{nobr|4,4|millions}} ; {{heure|4|30}} : {{lien|lang=de|Eine}}",
            "814 km2 ; 4,4 millions ; 4 h 30 : Eine",
        ),
        (
            "es",
            "[[Archivo:x.jpg|thumb|y]]{{siglo|XIX||s}} {{lang-de|Berlin}} {{esd|12 km}}",
            "siglo XIX en alemán: Berlin 12 km",
        ),
        ("it", "[[Immagine:x|y]]{{citazione necessaria|detto}} {{M|5|ul=km}} {{lang|en|word}}", "detto 5 km word"),
        ("pt", "[[Ficheiro:x|thumb|y]]{{séc|XIX}} {{fmtn|1000|km}}", "século XIX 1.000 km"),
        (
            "ru",
            "({{lang-de|Berlin}}; {{lang-la|x}}) {{нп5|Здесь|Текст|en|There}} {{s|15 %}} [[Файл:x|мини|y]]",
            "(нем. Berlin; лат. x) Текст 15 %",
        ),
        ("uk", "{{lang-en|Foo}} [[Файл:x|міні|y]][[Категорія:x]]{{нп|Тут||en|There}}", "англ. Foo Тут"),
        ("pl", "[[Plik:x|thumb|y]]{{link-interwiki|Tu|tekst=tam}} [[Kategoria:x]]", "tam"),
        (
            "zh",
            "-{zh-hans:计算机;zh-hant:電腦}- -{A|zh-cn:甲;zh-tw:乙}- -{H|zh-cn:x}--{丙}- [[文件:x|缩略图|y]]",
            "计算机 甲 丙",
        ),
        (
            "zh",
            "{{link-en|中文|English}}{{le|甲|A|乙}}{{tsl|en|Foo|巴}}（{{lang-en|Bar}}，{{x}}）[[分类:y]]",
            "中文乙巴（英语：Bar）",
        ),
        (
            "ja",
            "{{仮リンク|甲|en|A}}{{仮リンク|甲|en|A|label=乙}}{{読み仮名|東京|とうきょう}}{{ruby|漢|かん}}[[ファイル:x|y]]",
            "甲乙東京（とうきょう）漢(かん)",
        ),
        ("ko", "{{llang|de|Berlin}} [[파일:x|섬네일|y]]{{국기나라|영국}}[[분류:x]]", "독일어: Berlin 영국"),
        ("ar", "{{إنج|Foo}} {{وإو|تر=Foo|عر=فو|لغ=en}}[[ملف:x|تصغير|y]][[تصنيف:x]]", "بالإنجليزية: Foo فو"),
        ("he", "[[קובץ:x|ממוזער|y]]ב{{ה|אצטדיון}}{{הערה|x}}[[קטגוריה:x]]", "באצטדיון"),
        ("fa", "{{به انگلیسی|Foo}}[[پرونده:x|y]][[رده:x]]", "به انگلیسی: Foo"),
        ("hi", "[[चित्र:x|y]]क [[श्रेणी:x]]", "क"),
        ("th", "[[ไฟล์:x|y]]ก[[หมวดหมู่:x]]", "ก"),
        ("vi", "[[Tập tin:x|nhỏ|y]]a[[Thể loại:x]]", "a"),
        ("el", "[[Αρχείο:x|y]]α[[Κατηγορία:x]] {{lang-en|Foo}}", "α Αγγλικά: Foo"),
        ("sr", "-{sr-ec:ћир; sr-el:lat}- -{САД}- [[Датотека:x|мини|y]]", "ћир САД"),
        ("xx", "[[Datei:x|mini|y]]a [[Файл:x|y]]b {{enS|c}}", "a b englisch c"),
    ],
)
def test_names_are_those_of_the_language(language: str, given: str, expected: str) -> None:
    assert shown(given, language) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("== A == <!-- b -->", "== A =="),
        ("==A==<ref>b</ref>", "== A =="),
        ("=== {{anchor|x}} ''A'' [[b|c]] ===", "=== A c ==="),
        ("== {{Unheard of|A}} ==", "== A =="),
        ("== {{Unheard of}} ==", "== Unheard of =="),
        ("== <math>\\frac{a}{b}</math> ==", "== frac a b =="),
        ("== a = b == ", "== a = b =="),
        ("= A =", "= A ="),
        ("== A ===", "== A = =="),
        ("======= A =======", "====== = A = ======"),
        ("<h3>A</h3>", "=== A ==="),
        ("== {{lang|fr|Été}} &amp; co ==", "== Été & co =="),
        ("== A == b ==", "== A == b =="),
    ],
)
def test_every_heading_stays_in_place(given: str, expected: str) -> None:
    text = f"before\n{given}\nafter"
    assert shown(text).split() == ["before", *expected.split(), "after"]
    assert expected in shown(text).split("\n")


@pytest.mark.parametrize("language", ["en", "de", "fr", "ja", "ru", "zh", "ar"])
def test_sections_of_the_tail_go_and_what_stands_behind_them_stays(language: str) -> None:
    tail = {
        "en": "See also",
        "de": "Weblinks",
        "fr": "Voir aussi",
        "ja": "脚注",
        "ru": "Примечания",
        "zh": "参考文献",
        "ar": "مراجع",
    }
    text = f"a\n== {tail[language]} ==\n* x\n=== y ===\nz\n== B ==\nc\n=== {tail[language]} ===\nd"
    assert shown(text, language) == f"a\n== B ==\nc\n=== {tail[language]} ===\nd"
    assert f"== {tail[language]} ==\nx" in shown(text, language, tail="keep")
    assert scan(text, language).removed["tail"]


@pytest.mark.parametrize(
    ("params", "given", "expected"),
    [
        ({"references": "keep"}, "a<ref>b</ref>.", "a (b)."),
        ({"tables": "text"}, "{|\n|+ T\n! a !! b\n|-\n| style='x' | [[c|d]] || e\n|}", "T\na | b\nd | e"),
        ({"galleries": "captions"}, "<gallery>\nFile:a.jpg|alt=x|A ''b''\nFile:c.jpg\n</gallery>", "A b"),
        ({"files": "captions"}, "a[[File:x.jpg|thumb|left|A [[b|c]]]]d[[File:y.jpg|thumb]]", "a\nA c\nd"),
        ({"math": "drop"}, "a <math>x</math>b", "a b"),
        ({"math": "latex"}, "<math>\\frac{a}{b}</math>", "\\frac{a}{b}"),
        ({"code": "keep"}, "<pre>''a'' [[b]]</pre>", "''a'' [[b]]"),
        ({"quotes": "drop"}, "a<blockquote>''b''</blockquote>c", "ac"),
        ({"poems": "drop"}, "a<poem>b</poem>c", "ac"),
        ({"lists": "drop"}, "a\n* b\n: c\nd", "a\nd"),
        ({"urls": "keep"}, "see https://e.org/x", "see https://e.org/x"),
        ({"unknown_templates": "first"}, "{{what|a|b}}{{cite|x=y}}", "a"),
        ({"templates": {"my box": "{title}: {1}"}}, "{{My_box|a|title=b}}", "b: a"),
        ({"templates": {"lang": "", "box *": "{#}"}}, "{{lang|fr|a}}{{box seven}}", "seven"),
        ({"templates": {"x": 2}}, "{{x|a|b}}", "b"),
        ({"variant": "zh-tw"}, "-{zh-hans:计;zh-hant:計;zh-tw:電}-", "電"),
    ],
)
def test_each_kind_of_markup_has_a_choice(params: dict[str, Any], given: str, expected: str) -> None:
    assert shown(given, **params) == expected


def test_what_was_removed_is_told_by_kind() -> None:
    text = "'''A''' [[File:x.jpg|thumb|b]]<ref>c</ref><ref name=d/> {{cite|e}} [[Category:F]]<!-- g -->\n{|\n|h\n|}\n__TOC__ ]]"
    removed = scan(text).removed
    assert removed["references"] == ["<ref>c</ref>", "<ref name=d/>"]
    assert (removed["files"], removed["categories"]) == (["[[File:x.jpg|thumb|b]]"], ["[[Category:F]]"])
    assert (removed["templates"], removed["tables"]) == (["{{cite|e}}"], ["{|\n|h\n|}"])
    assert (removed["comments"], removed["magic_words"], removed["stray"]) == (["<!-- g -->"], ["__TOC__"], ["]]"])


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("[[Kategorie:A]] [[Datei:b|c]]", "de"),
        ("[[Категорія:A]]", "uk"),
        ("[[カテゴリ:x]] [[Category:y]]", "ja"),
        ("[[Category:A]]", "en"),
        ("柏林是德国的首都。[[Category:柏林]]", "zh"),
        ("ベルリンはドイツの首都である。[[Category:独]]", "ja"),
        ("Берлин — столица, крупный и старый город.", "ru"),
        ("Софія — це місто, а також ім'я.", ""),
        ("Αθήνα is the Greek name of Athens, the capital of Greece. [[Category:Athens]]", "en"),
        ("a", ""),
    ],
)
def test_a_text_that_does_not_tell_its_language_is_known_by_its_namespaces_and_letters(text: str, language: str) -> None:
    assert guess(text) == language


def test_a_language_without_a_name_leaves_no_mark_behind() -> None:
    assert shown("({{lang-grc-gre|Ἀ}}, {{lang-qqq|B}})") == "(Ancient Greek: Ἀ, B)"


def test_forms_say_what_stands_in_a_templates_place() -> None:
    table = table_for("en")
    params = {"1": "a", "2": "", "3": "c", "x": "d", "~": "de"}
    told = {
        "{1}": "a", "{2|x}": "d", "{1}[ ({2})]": "a", "{1}[ ({3}[, {2}])]": "a (c)", "{*}": "a, c", "{2*:/}": "c",
        "{~}": "German", "{##}": "DE", " – ": " – ", "[{2}]": "", "{none}": "",
    }  # fmt: skip
    assert {text: form(text, "here")(params, table) for text in told} == told


@pytest.mark.parametrize(
    ("text", "problem"),
    [("[{1}", "does not close"), ("{1}]", "does not open"), ("{@convrt}", "no function"), ("[" * 20, "too many")],
)
def test_a_form_without_meaning_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=rf"templates\.x: .*{problem}"):
        form(text, "templates.x")


def test_a_users_table_adds_to_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "conf" / "wikitext"
    folder.mkdir(parents=True)
    (folder / "en.yaml").write_text(
        'tail: [Colophon]\nfile: [Plate]\ntags: {quiz: drop}\ntemplates: {seal: "Seal of {1}", lang: null}\n', encoding="utf-8"
    )
    (folder / "tlh.yaml").write_text('tail: [Mu]\ntemplates: {"sov *": "{#} {1}"}\n', encoding="utf-8")
    text = "{{seal|A}} {{lang|fr|x}} {{nowrap|b}}[[Plate:x|y]][[File:z]]<quiz>q</quiz>\n== Colophon ==\nc\n== See also ==\nd"
    assert shown(text) == "Seal of A b"
    assert shown("{{sov wa|B}}\n== Mu ==\nx", "tlh") == "wa B"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("templates: [a]", "templates: expected a mapping"),
        ("tail: {a: b}", "tail: expected a list"),
        ("tials: [a]", "unknown key 'tials'"),
        ("tags: {x: away}", "'away' is no kind of tag"),
        ('templates: {x: "[{1}"}', "does not close"),
        ("a: [", "not YAML"),
        ("- a", "expected a mapping"),
    ],
)
def test_a_table_that_is_wrong_is_refused_by_file(
    content: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf" / "wikitext").mkdir(parents=True)
    (tmp_path / "conf" / "wikitext" / "en.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"conf/wikitext/en\.yaml: .*{re.escape(problem)}"):
        shown("a")


def test_every_shipped_table_can_be_read() -> None:
    languages = {f.stem for f in (REPOSITORY / "conf" / "wikitext").glob("*.yaml")} - {"any", "names"}
    assert len(languages) >= 43
    for language in languages:
        assert table_for(language).tail
        assert table_for(language).lookup("lang")[0] is not None


def test_the_tables_and_packages_that_a_rule_depends_on_are_told() -> None:
    assert {"wikitext/en.yaml", "wikitext/any.yaml", "wikitext/names.yaml"} <= set(RULES.depends("wikitext", None))
    assert set(RULES.depends("drop_tags", None)) == {"package mwparserfromhell"}


def test_the_tree_rules_say_what_they_miss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mwparserfromhell", None)
    with pytest.raises(ConfigError, match="need mwparserfromhell") as caught:
        RULES.use("unlink")("[[a]]")
    assert "ftbuild[wikitext]" in caught.value.hint


def test_the_tutorials_regexes_are_a_rule_set() -> None:
    assert len(rules("tutorial")) == 7
    text = "[[File:a.jpg|thumb]]''[[b|c]]''<ref>d</ref><ref name=e/> {{f}}<blockquote>g</blockquote> [[h]]\n== References ==\ni"
    assert cleaned(text, "tutorial").split() == ["c", "h"]


WORDS = ["opera", "town", "river", "été", "柏林", "Москва", "القاهرة"]


def markup(source: random.Random, depth: int = 0) -> str:
    """Return well-formed wikitext of kinds that both engines know."""
    word = source.choice(WORDS)
    if depth > 3:
        return word
    inner = " ".join(markup(source, depth + 1) for _ in range(source.randint(1, 3)))
    return source.choice(
        [
            word, word, f"''{word}''", f"'''{word}'''", f"[[{word}]]", f"[[{word}|{word} {word}]]", f"<small>{inner}</small>",
            f"<ref>{word}</ref>{word}", f"<!-- {word} -->{word}", f"{{{{unheard|{inner}|x={word}}}}}{word}", f"{{{{nowrap|{inner}}}}}",
            f"[[File:{word}.jpg|thumb|{inner}]]{word}", f"[https://e.org/ {word}]", f"<ref name=x/>{word}",
            f"{word}\n\n{{|\n! {word}\n|-\n| {word} || {word}\n|}}\n\n{word}", f"{word}\n\n== {word} ==\n\n{word}",
        ]
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(60))
def test_both_engines_see_the_same_in_markup_that_is_right(seed: int) -> None:
    source = random.Random(seed)
    text = "\n\n".join(" ".join(markup(source) for _ in range(6)) for _ in range(5))
    assert re.sub(r"\s+", " ", cleaned(text)) == re.sub(r"\s+", " ", cleaned(text, "wikitext_tree"))


SOUP = [
    "[[",
    "]]",
    "{{",
    "}}",
    "{{{",
    "}}}",
    "{|",
    "|}",
    "|",
    "=",
    "\n",
    "\n=",
    "==",
    "''",
    "'''",
    "'''''",
    "<ref>",
    "</ref>",
    "<ref/>",
    "<!--",
    "-->",
    "-{",
    "}-",
    "<nowiki>",
    "</nowiki>",
    "<math>",
    "</math>",
    "[http://x",
    "]",
    "*",
    ":",
    ";",
    "#",
    "__TOC__",
    "&amp;",
    "&",
    "<",
    ">",
    "<br>",
    "<div",
    "</div>",
    "<table>",
    "</table>",
    "[[File:",
    "[[a|",
    "{{lang|fr|",
    "{{convert|1|km}}",
    "{{quote|",
    "(",
    ")",
    ",",
    "（",
    "）",
    "、",
    "a",
    "柏",
    "\t",
    "{{!}}",
    "{{#if:",
    "http://a",
    "<poem>",
    "</poem>",
    "<h2>",
    "</h2>",
    "~",
]


@pytest.mark.parametrize("seed", range(40))
def test_no_soup_of_marks_raises_or_grows(seed: int) -> None:
    source = random.Random(seed)
    for _ in range(25):
        text = "".join(source.choice(SOUP) for _ in range(source.randint(1, 120)))
        for language in ("en", "zh"):
            for params in (
                {},
                {
                    "tables": "text",
                    "files": "captions",
                    "galleries": "captions",
                    "references": "keep",
                    "unknown_templates": "first",
                },
            ):
                made = scan(text, language, **params)
                assert len(made.text) <= 4 * len(text) + 100, text
                assert all(made.removed.values())


HOSTILE = r"""
import sys
from ftbuild.registries import RULES
clean, space = RULES.use("wikitext"), RULES.use("whitespace")
for mark in sys.argv[1:]:
    for text in (mark * 20_000, mark + "a" * 200_000, (mark + "\n") * 5_000):
        made = clean(text, {"language": "zh"}).text
        assert len(made) <= 4 * len(text) + 100
for open_, close in (("[[", "]]"), ("{{", "}}"), ("[[a|", "]]"), ("{{lang|en|", "}}"), ("<ref>", "</ref>"), ("\n{|\n|", "\n|}"), ("-{", "}-"),
                     ("[[File:x|", "]]"), ("{{lang|en|[[a|", "]]}}"), ("{{{x|", "}}}"), ("<table>", "</table>"), ("-{zh:{{quote|", "}}}-")):
    for depth in (1_000, 20_000):
        clean(open_ * depth + "x" + close * depth, {"language": "zh"})
    clean(open_ * 1_000 + "x " * 100_000 + close * 1_000, {"language": "zh"})
"""
MARKS = [
    "<ref>", "<ref", '<ref name="x', "[http", "[http://x ", "[[", "{{", "\n{|", "<!--", "-{", "-{zh:", "{{{", "[[File:", "{{lang|en|", "{{cite|", "<nowiki>",
    "<math>", "<table>", "<div", "<", "''", "'''", "''''' '", "&", "&#", "==", "\n= ", "\n|", "*", "__A", "((", "( ", ", ", ",", "（，", "]]", "}}", "|}", "|",
    "http://", "{{!}}", "[[a|", "<poem>", "<h2>", "{{#if:", "[[a|{{lang|en|", "{{lang|en|[[", "[[{{", "<ref>{{", "{|{{", " ", "\t", "\n ", "<a ", "-->",
]  # fmt: skip


def test_hostile_markup_takes_time_in_proportion_to_its_length() -> None:
    """What grows with the square of 20,000 marks would take hours; a minute is for a busy machine."""
    subprocess.run([sys.executable, "-c", HOSTILE, *MARKS], check=True, timeout=60, cwd=REPOSITORY)


@pytest.mark.skipif(not SHARED.is_dir(), reason="articles by others, which are not ours to ship, lie beside the repository")
def test_real_articles_keep_their_headings_and_no_marks() -> None:
    heading = re.compile(r"(?m)^(={1,6})[ \t]*(.+?)[ \t]*\1[ \t]*$")
    mark = re.compile(r"\{\{|\}\}|\[\[|\]\]|<ref|'''|\{\||\|\}|File:|</?[a-z]+>|^\|", re.MULTILINE)
    for file in sorted(SHARED.glob("*.wikitext")):
        given = re.sub(r"(?s)<!--.*?-->", "", file.read_text(encoding="utf-8"))
        text = whitespace(scan(given, file.stem.partition("_")[0], tail="keep").text)
        assert len(heading.findall(text)) >= len(heading.findall(given)), file.name
        assert mark.findall(heading.sub("", text)) == [], file.name
