"""Cleaning rules: each of them by itself, and the shipped set over articles with markup as bad as it gets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest

from ftbuild.cleaned import Cleaned
from ftbuild.errors import ConfigError
from ftbuild.registries import RULES
from tests.helpers import REPOSITORY, cleaned, option

MARKS = ("[[", "]]", "{{", "}}", "''", "{|", "|}", "<", ">", "|", "==", "&nbsp;", "&ndash;", "__")
"""What must not be left of an article's markup, apart from its headings."""


def apply(rule: str, text: str, **params: Any) -> str:
    made = RULES.use(rule, **params)([text] if RULES.readings(rule) else text)
    made = next(iter(made)) if RULES.readings(rule) else made
    return made.text if isinstance(made, Cleaned) else str(made)


def without_headings(text: str) -> str:
    return re.sub(r"(?m)^(={2,6}) [^=\n]+ \1$", "", text)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("before<!-- a remark -->after", "beforeafter"),
        ("one<!-- \n over\n lines -->two", "onetwo"),
        ("== Plot == <!-- keep me -->", "== Plot == "),
        ("{{lang|it|<!-- inside -->libretto}}", "{{lang|it|libretto}}"),
        ("[[a|<!-- inside -->b]]", "[[a|b]]"),
        ("a -- b --> c", "a -- b --> c"),
        ("<ref>x<!-- y --></ref>", "<ref>x</ref>"),
    ],
)
def test_drop_comments_takes_comments_and_nothing_else(given: str, expected: str) -> None:
    assert apply("drop_comments", given) == expected


@pytest.mark.parametrize(
    ("tags", "given", "expected"),
    [
        (["ref"], "fact.<ref>a book</ref> Next", "fact. Next"),
        (["ref"], 'fact.<ref name="x" /> Next', "fact. Next"),
        (["ref"], "fact.<ref name=x/> Next", "fact. Next"),
        (["ref"], 'fact.<ref name="x">{{cite book|title=[[T]]|url=http://e.org}}</ref> Next', "fact. Next"),
        (["ref"], "fact.<REF>a</REF> Next", "fact. Next"),
        (["REF"], "fact.<ref>a</ref> Next", "fact. Next"),
        (["ref"], "a<ref>1</ref>b<ref>2</ref>c", "abc"),
        (["ref"], "[[File:x.jpg|caption<ref>1</ref> goes on]]", "[[File:x.jpg|caption goes on]]"),
        (["ref"], "''a<ref>1</ref>''", "''a''"),
        (["blockquote"], "a\n<blockquote>\nA ''tune''<ref>1</ref>.\n</blockquote>\nb", "a\n\nb"),
        (["table"], 'a\n{| class="wikitable"\n! H\n|-\n| x || y\n|}\nb', "a\n\nb"),
        (["table"], "a\n{|\n| x\n{|\n| inner\n|}\n| y\n|}\nb", "a\n\nb"),
        (["table"], "a<table><tr><td>x</td></tr></table>b", "ab"),
        (["gallery"], "a<gallery>\nFile:x.jpg|caption\n</gallery>b", "ab"),
        (["ref"], "<small>kept</small>", "<small>kept</small>"),
        (["ref"], 'a<ref\nname="x">b</ref>c', "ac"),
    ],
)
def test_drop_tags_takes_tags_with_all_that_is_in_them(tags: list[str], given: str, expected: str) -> None:
    assert apply("drop_tags", given, tags=tags) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("''it''", "it"),
        ("'''bold'''", "bold"),
        ("'''''both'''''", "both"),
        ("''an '''inner''' one''", "an inner one"),
        ("'''an ''inner'' one'''", "an inner one"),
        ("<small>a <b>b</b></small>", "a b"),
        ("one<br>two<br />three<br/>four", "one two three four"),
        ("one<hr>two", "one two"),
        ("Pallas's ''aria'' isn't", "Pallas's aria isn't"),
        ("<span style='x'>a</span>", "a"),
        ("* item\n# item\n: item", "* item\n# item\n: item"),
    ],
)
def test_unwrap_tags_keeps_what_tags_hold(given: str, expected: str) -> None:
    assert apply("unwrap_tags", given) == expected


@pytest.mark.parametrize(
    ("prefixes", "given", "expected"),
    [
        (["File"], "a [[File:x.jpg]] b", "a  b"),
        (["File"], "a [[File:x.jpg|thumb|A [[link|shown]] in a caption]] b", "a  b"),
        (["File"], "[[File:x.jpg|thumb|alt=a [[b]] c|Deep [[d|[[e]] f]] g]] end", " end"),
        (["File"], "[[file:x.jpg|thumb]]", ""),
        (["file"], "[[File:x.jpg|thumb]]", ""),
        (["File"], "[[ File:x.jpg|thumb]]", ""),
        (["File"], "[[File|thumb]]", "[[File|thumb]]"),
        (["File"], "[[:File:x.jpg|see]]", "[[:File:x.jpg|see]]"),
        (["File", "Category"], "[[Category:Operas]][[File:a]][[Rome]]", "[[Rome]]"),
        (["File"], "[[Profile:x|y]]", "[[Profile:x|y]]"),
        (["File"], "''[[File:x.jpg]]''", "''''"),
    ],
)
def test_drop_links_takes_namespaces_with_captions(prefixes: list[str], given: str, expected: str) -> None:
    assert apply("drop_links", given, prefixes=prefixes) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("[[Rome]]", "Rome"),
        ("[[Ancient Rome|Rome]]", "Rome"),
        ("[[cantata]]s", "cantatas"),
        ("[[#Roles|Roles]]", "Roles"),
        ("[[:Category:Operas]]", "Category:Operas"),
        ("[[a|''b'']]", "''b''"),
        ("[[Datei:Bild.jpg|mini|links|Die Unterschrift]]", "Die Unterschrift"),
        ("[[Datei:Bild.jpg|mini|Die [[Stadt|alte]] Stadt]]", "Die alte Stadt"),
        ("[https://example.org a page]", "a page"),
        ("[https://example.org]", ""),
        ("see https://example.org/x here", "see https://example.org/x here"),
        ("an [unmarked] aside", "an [unmarked] aside"),
    ],
)
def test_unlink_keeps_what_a_reader_sees(given: str, expected: str) -> None:
    assert apply("unlink", given) == expected


@pytest.mark.parametrize(
    ("keep", "given", "expected"),
    [
        ({}, "a {{cite|x=1}} b", "a  b"),
        ({}, "{{outer|{{inner|{{innermost}}}}}}end", "end"),
        ({}, "{{Infobox\n| a = {{b|c}}\n| d = [[e|f]]\n}}text", "text"),
        ({"lang": "2"}, "{{lang|it|libretto}}", "libretto"),
        ({"lang": "2"}, "{{Lang|it|libretto}}", "libretto"),
        ({"not a typo": "1"}, "{{Not_a_typo|teh}}", "teh"),
        ({"not a typo": "1"}, "{{ not a typo |teh}}", "teh"),
        ({"lang": "2"}, "{{lang|it}}", ""),
        ({"lang": "2"}, "{{lang|it|2=libretto}}", "libretto"),
        ({"lang": "2", "nowrap": "1"}, "{{nowrap|{{lang|it|il caro}} x}}", "il caro x"),
        ({"lang": "2"}, "{{box|{{lang|it|gone}}}}", ""),
        ({"lang": "2"}, "{{lang|it|a {{cite|b}} c}}", "a  c"),
        ({"hlist": "*"}, "{{hlist|[[A]]| B |style=x}}", "[[A]], B"),
        ({"abbr": "text"}, "{{abbr|text=shown|other}}", "shown"),
        ({}, "{{{parameter|default}}}x", "x"),
        ({}, "[[File:x.jpg|{{nowrap|y}}]]", "[[File:x.jpg|]]"),
        ({}, "a } b { c", "a } b { c"),
        ({}, "{{quote|loro l'''[[anuttara]]'' e la saggezza.}}end", "end"),
    ],
)
def test_templates_go_but_for_those_whose_text_counts(keep: Mapping[str, str], given: str, expected: str) -> None:
    assert apply("templates", given, keep=keep) == expected


@pytest.mark.parametrize(
    ("params", "given", "expected"),
    [
        ({"pattern": "[0-9]+"}, "a1b22", "ab"),
        ({"pattern": "(a)(b)", "replace": r"\2\1"}, "ab", "ba"),
        ({"pattern": "^x"}, "x\nx", "\n"),
        ({"pattern": "^x", "flags": ""}, "x\nx", "\nx"),
        ({"pattern": "A.B", "flags": "is"}, "a\nb", ""),
        ({"pattern": "a b # comment", "flags": "x"}, "ab", ""),
        ({"pattern": "a.b", "flags": "mm"}, "a\nb", "a\nb"),
    ],
)
def test_regex_replaces_every_match(params: dict[str, str], given: str, expected: str) -> None:
    assert apply("regex", given, **params) == expected


@pytest.mark.parametrize(
    "params",
    [
        {"pattern": "("},
        {"pattern": "a", "replace": r"\3"},
        {"pattern": "a", "flags": "q"},
    ],
)
def test_regex_says_what_is_wrong_with_an_expression(params: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"the regex rule .* does not work"):
        apply("regex", "aaa", **params)


@pytest.mark.parametrize(
    ("headings", "given", "expected"),
    [
        (["References"], "a\n== References ==\nb\n== More ==\nc", "a\n"),
        (["references"], "a\n==References==\nb", "a\n"),
        (["Notes", "References"], "a\n== References ==\nb\n== Notes ==", "a\n"),
        (["References"], "a\n=== References ===\nb", "a\n=== References ===\nb"),
        (["References"], "a\n== References and notes ==\nb", "a\n== References and notes ==\nb"),
        (["Notes (1)"], "a\n== Notes (1) ==\nb", "a\n"),
        (["References"], "as in == References == here", "as in == References == here"),
        (["References"], "== Plot ==\nreferences\n", "== Plot ==\nreferences\n"),
    ],
)
def test_cut_after_heading_ends_the_text(headings: list[str], given: str, expected: str) -> None:
    assert apply("cut_after_heading", given, headings=headings) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("1709&ndash;10", "1709–10"),
        ("a&nbsp;b", "a b"),
        ("a\u2009b\u202fc", "a b c"),
        ("&lt;b&gt; &amp;amp;", "<b> &amp;"),
        ("&#8212;&#x2014;", "——"),
        ("Tom & Jerry", "Tom & Jerry"),
        ("全角\u3000空白", "全角\u3000空白"),
    ],
)
def test_unescape_turns_entities_into_characters(given: str, expected: str) -> None:
    assert apply("unescape", given) == expected


@pytest.mark.parametrize(
    ("form", "given", "expected"),
    [
        ("NFC", "e\u0301", "é"),
        ("NFC", "soft\u00adhyphen zero\u200bwidth \ufeffmark", "softhyphen zerowidth mark"),
        ("NFC", "ﬁ", "ﬁ"),
        ("NFKC", "ﬁ", "fi"),
    ],
)
def test_normalise_brings_unicode_into_one_form(form: str, given: str, expected: str) -> None:
    assert apply("normalise", given, form=form) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("a  b\tc", "a b c"),
        ("a \n b", "a\nb"),
        ("a\n\n\n\nb", "a\n\nb"),
        ("word , word .", "word, word."),
        ("Handel () wrote", "Handel wrote"),
        ("Handel ( ) wrote", "Handel wrote"),
        ("\n  text  \n", "text"),
        ("version .5", "version .5"),
        ("Aristotle (; , ; 384 BC) was", "Aristotle (384 BC) was"),
        ("Quill (Quille; ) is", "Quill (Quille) is"),
        ("a (b) (c, d)", "a (b) (c, d)"),
    ],
)
def test_whitespace_is_one_space_and_one_empty_line(given: str, expected: str) -> None:
    assert apply("whitespace", given) == expected


@pytest.mark.parametrize("rule", sorted(RULES))
def test_every_rule_says_what_it_does_and_leaves_an_empty_text_empty(rule: str) -> None:
    required: dict[str, Any] = {"pattern": "x", "headings": ["x"], "tags": ["x"], "prefixes": ["x"], "keep": ["en"]}
    params = {p.name: required[p.name] for p in RULES.parameters(rule) if p.required}
    assert RULES.summary(rule).endswith((".", "`."))
    assert apply(rule, "", **params) == ""


NASTY = """\
{{Short description|A town}}<!-- one
comment -->
{{Infobox town
| name = Quill
| motto = {{lang|la|Festina ''lente''}}
| image = [[File:Quill.jpg|200px|The [[harbour|old {{nowrap|harbour}}]]]]
| population = {{formatnum:{{#if:{{{pop|}}}|1|2}}}}
}}
[[Image:Q.png|thumb|alt=A [[map]]|The '''town''' in [[1700|'''1700''']]<ref name=m>A [[map]], {{cite|x}}.</ref>]]
'''''Quill''''' ({{lang|fr|''Quille''}}; {{IPA|kwil}}) is a ''town'' on the [[River Inky|Inky]],<ref name="a" /><ref
name="b">See {{cite web|url=https://e.org/?a=1|title=A [[Title|T]]|q=a &lt; b}}, p.&nbsp;3</ref> founded in {{circa|9}}.

It has 3&nbsp;000 people &ndash; &ldquo;inksters&rdquo; &mdash; and [[bridge]]s.{{efn|Two of them {{sic|moveable}}.}}
__TOC__ __NOEDITSECTION__
== History == <!-- sources? -->
=== ''Early'' times ===
The [https://e.org/mill mill] is named by [[John of Quill|John, called ''the [[Blot]]'']], in his
''[[Annals (Quill)|Annals]]''.<ref group="note">Or '''not'''.</ref>
<blockquote>Ink is ''thicker'' than water.<ref>Proverb</ref></blockquote>
* a list with a [[wikt:word|word]]
** a deeper ''item''
# a number
; term : definition
:: an indented [[remark]]<br />in two lines

{| class="wikitable" style="x"
|+ Mayors {{small|(all)}}
! Name !! Years
|-
| [[A. Blot]]<ref>{{cite|y}}</ref> || 1900–1905 {| nested
| inner
|}
|}
<gallery mode="packed">
File:a.jpg|A [[caption]]
</gallery>
<math>\\frac{a}{b}</math> <nowiki>as it [is]</nowiki> <small>small <b>bold</b></small> H<sub>2</sub>O
<div class="note">A note with {{nowrap|kept words}}.</div>
{{Quote box
 | quote = Gone | source = {{lang|fr|parti}}
}}
== People ==
People's ''names'' aren't long. <references group="x" />
== See also ==
* [[Elsewhere]]
== References ==
{{reflist|refs=<ref name="a">A</ref>}}
[[Category:Towns]]
[[de:Quill]]
"""


@pytest.mark.parametrize("engine", ["wikitext", "wikitext_tree"])
def test_a_nasty_article_comes_out_as_running_text(engine: str) -> None:
    text = cleaned(NASTY, engine)
    body = without_headings(text)
    assert [mark for mark in MARKS if mark in body] == []
    assert re.findall(r"(?m)^=+ .*", text) == ["== History ==", "=== Early times ===", "== People =="]
    assert text.startswith(
        ("Quill (Quille; [kwil]) is a town on the Inky, founded in c. 9.", "Quill (Quille) is a town on the Inky, founded in.")
    )
    for kept in (
        "It has 3 000 people – “inksters” — and bridges.",
        "The mill is named by John, called the Blot, in his\nAnnals.",
        "as it [is]",
        "a list with a word",
        "an indented remark in two lines",
        "small bold H2O",
        "A note with kept words.",
        "People's names aren't long.",
    ):
        assert kept in text
    for gone in (
        "comment",
        "Short",
        "Infobox",
        "harbour",
        "cite",
        "Mayors",
        "inner",
        "caption",
        "Elsewhere",
        "de:",
    ):
        assert gone not in text


@pytest.mark.parametrize("engine", ["wikitext", "wikitext_tree"])
def test_cleaning_twice_is_cleaning_once(engine: str) -> None:
    once = cleaned(NASTY, engine)
    assert cleaned(once, engine) == once


@pytest.mark.parametrize("engine", ["wikitext", "wikitext_tree"])
def test_the_sample_article_keeps_its_headings_and_facts_and_no_markup(engine: str) -> None:
    text = cleaned((REPOSITORY / "conf" / "texts" / "agrippina.wikitext").read_text(encoding="utf-8"), engine)
    body = without_headings(text)
    assert [mark for mark in MARKS if mark in body] == []
    headings = re.findall(r"(?m)^==+ (.+?) ==+$", text)
    assert headings[:4] == ["Background", "Handel in Italy", "The libretto", "Roles"]
    assert {"Synopsis", "Act 1", "Act 2", "Act 3", "Music"} <= set(headings)
    assert not {"Notes", "References", "External links"} & set(headings)
    assert "Claudius was saved from drowning by Otho, the commander of his army." in text
    assert "“the dear Saxon” (il caro Sassone)" in text
    assert "Title page of the libretto" not in text


def test_real_articles_keep_their_text_and_no_markup_by_the_tree() -> None:
    """Articles of many hands and languages, where they lie beside the repository; they are not ours to ship."""
    tag = re.compile(r"<[!/]?[a-zA-Z]|/>|-->")
    tail = option("clean", "wikitext_tree")["rules"]["tail"]["headings"]
    heading = re.compile(r"(?m)^(={2,6})[ \t]*(.+?)[ \t]*\1[ \t]*$")
    bad = []
    for file in sorted((REPOSITORY.parent / "shared" / "wikitext").glob("*.wikitext")):
        given = file.read_text(encoding="utf-8")
        if len(given) > 22_000:  # it is slow
            continue
        text = cleaned(given, "wikitext_tree")
        body = heading.sub("", text)
        left = [mark for mark in MARKS if mark not in ("<", ">") and mark in body] + tag.findall(body)
        source = apply("cut_after_heading", apply("drop_comments", given), headings=tail)
        lost = len(heading.findall(source)) - len(heading.findall(text))
        if left or lost:
            bad.append((file.name, left, lost))
    assert bad == []


def test_html_rules_take_a_page_apart() -> None:
    page = (
        "<html><body><nav>Home</nav><div id='cookie-banner'>We use cookies</div><div class='cookies'>Biscuits</div>"
        "<h2>Otters</h2><p>They <b>swim</b>. <span>Share this page</span></p><p hidden>secret</p>"
        "<ul><li>fish</li></ul></body></html>"
    )
    assert cleaned(page, "html") == "## Otters\n\nThey swim.\n\n- fish"
