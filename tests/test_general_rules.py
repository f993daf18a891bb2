"""Cleaning rules for any kind of text: lines, sections, languages, private data, what is repeated; and hostile text."""

from __future__ import annotations

import time
from typing import Any

import pytest

from ftbuild.cleaned import Cleaned
from ftbuild.errors import ConfigError, Unwanted
from ftbuild.patterns import Pattern, TooSlow
from ftbuild.registries import RULES

MARKDOWN = {"format": "markdown"}
ENGLISH = "The lighthouse was built of granite in the year 1811, and a storm took the first tower."
CHINESE = "灯塔建于一八一一年，用的是花岗岩，第一座塔被风暴摧毁了。"
GERMAN = "Der Leuchtturm wurde im Jahr 1811 aus Granit gebaut, und ein Sturm nahm den ersten Turm."


def apply(rule: str, text: str, *meta: Any, **params: Any) -> str:
    made = RULES.use(rule, **params)(text, *meta)
    return made.text if isinstance(made, Cleaned) else str(made)


def over(rule: str, *texts: str, **params: Any) -> list[str]:
    return list(RULES.use(rule, **params)(texts))


@pytest.mark.parametrize(
    ("params", "given", "expected"),
    [
        ({"starting": ["Advert"]}, "a\nadvertisement!\nb", "a\nb"),
        ({"matching": [r"page \d+( of \d+)?"]}, "a\n  Page 3 of 9 \nPage 3 is torn\n", "a\nPage 3 is torn\n"),
        ({"matching": ["Share"], "flags": ""}, "Share\nshare\n", "share\n"),
        ({"starting": ["版权所有"]}, "正文\n版权所有 © 2024", "正文\n"),
    ],
)
def test_drop_lines_takes_what_begins_so_or_matches(params: dict[str, Any], given: str, expected: str) -> None:
    assert apply("drop_lines", given, **params) == expected


BOOK = "# Book\nlead\n## One\na\n### Deep\nb\n## References\nc\n```\n## One\n```\n## Two\nd\n"
WIKI = "lead\n== One ==\na\n=== Deep ===\nb\n== References == <!-- x -->\nc\n== Two ==\nd\n"


@pytest.mark.parametrize(
    ("rule", "params", "text", "meta", "expected"),
    [
        ("cut_after_heading", {"headings": ["references"]}, BOOK, MARKDOWN, "# Book\nlead\n## One\na\n### Deep\nb\n"),
        ("cut_after_heading", {"headings": ["Ref*"]}, WIKI, {}, "lead\n== One ==\na\n=== Deep ===\nb\n"),
        ("cut_after_heading", {"headings": ["Deep"]}, WIKI, {}, WIKI),
        ("cut_after_heading", {"headings": ["Deep"], "deepest": 3}, WIKI, {}, "lead\n== One ==\na\n"),
        ("drop_sections", {"headings": ["One"]}, WIKI, {}, "lead\n== References == <!-- x -->\nc\n== Two ==\nd\n"),
        ("drop_sections", {"headings": ["**/Deep", "Two"]}, WIKI, {}, "lead\n== One ==\na\n== References == <!-- x -->\nc\n"),
        ("drop_sections", {"headings": ["Book/Ref*"]}, BOOK, MARKDOWN, "# Book\nlead\n## One\na\n### Deep\nb\n## Two\nd\n"),
        ("keep_sections", {"headings": ["Two"]}, WIKI, {}, "lead\n== Two ==\nd\n"),
        ("keep_sections", {"headings": ["**/Deep"], "lead": False}, BOOK, MARKDOWN, "# Book\n## One\n### Deep\nb\n"),
        ("keep_sections", {"headings": ["Nothing"], "lead": False}, WIKI, {}, ""),
    ],
)
def test_sections_go_and_stay_by_their_headings(
    rule: str, params: dict[str, Any], text: str, meta: dict[str, str], expected: str
) -> None:
    assert apply(rule, text, meta, **params) == expected


def test_whitespace_keeps_what_markdown_means_by_it() -> None:
    text = "# A\n\n-  one ( )\n    - two  ,\n\n```\nif  x:\n    y  ()\n```\n\n    code   too\n\n\n\nend  .\n"
    assert apply("whitespace", text, MARKDOWN) == (
        "# A\n\n- one\n    - two,\n\n```\nif  x:\n    y  ()\n```\n\n    code   too\n\nend."
    )


@pytest.mark.parametrize(
    ("keep", "text", "wanted"),
    [
        (["en"], ENGLISH, True),
        (["en"], GERMAN, False),
        (["zh"], CHINESE, True),
        (["en"], CHINESE, False),
        (["en", "de"], GERMAN, True),
        (["zh"], "1811, 1814", True),
    ],
)
def test_documents_in_other_languages_are_not_wanted(keep: list[str], text: str, wanted: bool) -> None:
    if wanted:
        assert apply("language", text, keep=keep) == text
    else:
        with pytest.raises(Unwanted, match="is in"):
            apply("language", text, keep=keep)


def test_paragraphs_in_other_languages_go() -> None:
    text = f"# Titel\n{ENGLISH}\n\n{GERMAN}\n{CHINESE}\nno"
    assert apply("language", text, keep=["en"], per="paragraph") == f"# Titel\n{ENGLISH}\n\nno"


def test_what_is_too_short_is_not_wanted() -> None:
    assert apply("min_length", CHINESE, words=20) == CHINESE
    with pytest.raises(Unwanted, match="has 17 words, fewer than 20"):
        apply("min_length", ENGLISH, words=20)
    with pytest.raises(Unwanted, match="has 3 characters, fewer than 4"):
        apply("min_length", " abc ", characters=4)
    assert apply("min_length", "# A\nshort\nlong enough\n", characters=8, per="paragraph") == "# A\nlong enough\n"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("write to Maud.Trevanion+light@saltmere.example.org.", "write to [email]."),
        ("a@b, @home, x@localhost", "a@b, @home, x@localhost"),
        ("请联系 zhang@example.cn，谢谢", "请联系 [email]，谢谢"),
        ("电话13812345678。", "电话[phone]。"),
        ("手机：138 1234 5678，或 010-62751234", "手机：[phone]，或 [phone]"),
        ("+49 30 1234567 or (555) 123-4567 or 555-123-4567", "[phone] or [phone] or [phone]"),
        ("身份证11010519491231002X号", "身份证[id]号"),
        ("11010519491231002x and 110105194912310021", "[id] and 110105194912310021"),
        ("SSN 123-45-6789", "SSN [id]"),
        ("card 4111 1111 1111 1111, not 4111 1111 1111 1112", "card [card], not 4111 1111 1111 1112"),
        ("GB82 WEST 1234 5698 7654 32.", "[iban]."),
        ("from 1709-1710, ISBN 978-3-16-148410-0, 2024-11-25, 3.14159265358, 10,000,000", None),
        ("version 1.38.12345678 and 192.168.100.100", None),
    ],
)
def test_redact_takes_what_tells_who_somebody_is_and_no_other_numbers(given: str, expected: str | None) -> None:
    assert apply("redact", given) == (given if expected is None else expected)


def test_redact_takes_what_it_is_told_to() -> None:
    text = "a@b.example 13812345678"
    assert apply("redact", text, what=["email"], marks={"email": "(address)"}) == "(address) 13812345678"


def test_repeated_lines_are_counted_over_all_documents() -> None:
    pages = [f"Saltmere Gazette\n# News\nstory {n}x\nPage {n} of 9\n" for n in "abc"] + ["Saltmere Gazette\nPage 1 of 9\nend\n"]
    assert over("repeated_lines", *pages, documents=4) == ["# News\nstory ax\nPage a of 9\n", "# News\nstory bx\nPage b of 9\n",
                                                           "# News\nstory cx\nPage c of 9\n", "Page 1 of 9\nend\n"]  # fmt: skip
    numbered = [f"text {n}\nPage {n} of 9\n" for n in range(3)]
    assert over("repeated_lines", *numbered, documents=3, digits=False) == numbered
    assert over("repeated_lines", "head\na\nhead\nb\nhead\n", times=3, documents=9) == ["a\nb\n"]


def test_duplicate_paragraphs_go_wherever_they_stood_before() -> None:
    other = ENGLISH.replace("granite", "marble")
    assert over("duplicate_paragraphs", f"{ENGLISH}\nshort\nshort\n", f"{ENGLISH.upper()}\n{other}\n") == [
        f"{ENGLISH}\nshort\nshort\n",
        f"{other}\n",
    ]
    assert over("duplicate_paragraphs", f"{ENGLISH}\n{ENGLISH}\n", ENGLISH, scope="document") == [f"{ENGLISH}\n", ENGLISH]
    assert over("duplicate_paragraphs", f"{ENGLISH}\n", f"{other}\n{GERMAN}", similarity=0.7) == [f"{ENGLISH}\n", GERMAN]
    assert over("duplicate_paragraphs", f"{ENGLISH}\n", f"{other}\n", similarity=0.95) == [f"{ENGLISH}\n", f"{other}\n"]
    assert over("duplicate_paragraphs", CHINESE, CHINESE.replace("一八", "1八"), min_characters=10, similarity=0.6)[1] == ""


def test_an_expression_that_takes_for_ever_is_stopped() -> None:
    with pytest.raises(TooSlow, match=r"'\(a\|a\)\+b' takes more than 0\.2 s"):
        Pattern("(a|a)+b", seconds=0.2).sub("", "a" * 60)


@pytest.mark.parametrize("flags", ["q", "im-"])
def test_a_flag_that_there_is_not_is_an_error(flags: str) -> None:
    with pytest.raises(ConfigError, match="there is no flag"):
        apply("regex", "a", pattern="a", flags=flags)


LONG = 200_000  # characters
HOSTILE = {
    "one line": "a" * LONG,
    "spaces": " " * LONG,
    "brackets and spaces": "( " * (LONG // 2),
    "commas": "(" + " ," * (LONG // 2),
    "at signs": "@" * LONG,
    "digits": "1" * LONG,
    "digits and spaces": "1 " * (LONG // 2),
    "equals signs": "=" * LONG,
    "unclosed references": "== a ==" + "<ref>" * (LONG // 5),
    "fences": "```\n" * (LONG // 4),
    "headings": "# a\n" * (LONG // 4),
    "underlines": "a\n=\n" * (LONG // 4),
    "entities": "&amp" * (LONG // 4),
    "capitals": "AB12 " * (LONG // 5),
    "empty lines": "\n" * LONG,
}
GENERAL: dict[str, dict[str, Any]] = {
    "regex": {"pattern": r"\s+$"}, "drop_lines": {"matching": [r"page \d+"]}, "unescape": {}, "normalise": {}, "whitespace": {},
    "cut_after_heading": {"headings": ["References"]}, "drop_sections": {"headings": ["x/*"]},
    "keep_sections": {"headings": ["**/x"]}, "redact": {}, "min_length": {"words": 1, "per": "paragraph"},
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_no_text_keeps_a_rule_busy(kind: str) -> None:
    """A rule whose time grows with the square of a text would take hours for these."""
    for rule, params in GENERAL.items():
        for meta in (
            ((), (MARKDOWN,)) if rule in ("whitespace", "cut_after_heading", "drop_sections", "keep_sections") else ((),)
        ):
            started = time.process_time()
            apply(rule, HOSTILE[kind], *meta, **params)
            assert time.process_time() - started < 10, (rule, meta)
