"""Units: what one request sees of a section."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import get_args, get_type_hints

import pytest

from ftbuild.recipe import Template
from ftbuild.records import Section
from ftbuild.units import Around, Unit, paragraphs, sentence_spans, sentences, surroundings, units

PARAGRAPHS = ["Dr. Pallas came. He saw Agrippina.", "Nero is lukewarm; he obeys."]
SECTIONS = [
    Section("1", "doc", "Title", ("Act 1",), "\n".join(PARAGRAPHS)),
    Section("2", "doc", "Title", ("Act 2",), "Otho waits."),
]


def test_a_section_is_one_unit() -> None:
    assert list(units(SECTIONS, "section", "en")) == [Unit(section, section.text) for section in SECTIONS]


def test_paragraphs_are_numbered_within_their_section() -> None:
    assert [(u.section.id, u.text, u.index) for u in units(SECTIONS, "paragraph", "en")] == [
        ("1", PARAGRAPHS[0], 0),
        ("1", PARAGRAPHS[1], 1),
        ("2", "Otho waits.", 0),
    ]


def test_sentences_are_numbered_within_their_section() -> None:
    assert [(u.section.id, u.text, u.index) for u in units(SECTIONS, "sentence", "en")] == [
        ("1", "Dr. Pallas came.", 0),
        ("1", "He saw Agrippina.", 1),
        ("1", "Nero is lukewarm; he obeys.", 2),
        ("2", "Otho waits.", 0),
    ]


@pytest.mark.parametrize("kind", [k for k in get_args(get_type_hints(Template)["unit"]) if k != "section"])
def test_every_unit_that_a_template_may_name_is_one_of_its_own(kind: str) -> None:
    assert [u.text for u in units(SECTIONS, kind, "en")] != [s.text for s in SECTIONS]


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "One.  Two!\nThree?\n\n", ["One.", "Two!", "Three?"]),
        ("en", "It cost $3.50 in 1709. Cheap, e.g. for a duke.", ["It cost $3.50 in 1709.", "Cheap, e.g. for a duke."]),
        ("zh", "他来了。他看见了。", ["他来了。", "他看见了。"]),
        ("en", "", []),
    ],
)
def test_sentences_end_where_a_language_ends_them(language: str, text: str, expected: list[str]) -> None:
    assert sentences(text, language) == expected


def test_empty_lines_are_no_paragraphs() -> None:
    assert paragraphs("\n a \n\n  \nb\n") == ["a", "b"]


ENGLISH = [
    ["Mr. Smith met Dr. J. R. Jones at 5 p.m. on Jan. 5.", "They talked."],
    ["He lived in the U.S.", "He liked it."],
    ["The U.S. Army came.", "It left."],
    ["It cost $3.50 (approx. 2.7 euros).", "Cheap!"],
    ['"Stop!" she said.', '"Why?" he asked.'],
    ["He said, “Go away!”", "Then he left."],
    ["Wait... what?", "Yes… no.", "He paused…", "Then he spoke.", "He waited...", "She came."],
    ["See Fig. 3, p. 12, vol. 2, No. 5.", "It shows it."],
    ["J. S. Bach wrote it.", "G. F. Handel did not."],
    ["Is it e.g. this, i.e. that, etc.?", "Yes."],
    ["It happened in 1709.", "In 1710 he left."],
    ["(He came.)", "She left.", "(She was late.)", "They (all of them.) left."],
    ["Version 2.0.1 is out.", "Visit example.com.", "Thanks."],
    ["He was born c. 1680 in St. Louis.", "His wife, b. 1690, d. 1750, was rich."],
    ["Yahoo! is a company.", "It exists."],
    ["What?!", "No way!!", "Really?"],
    ["1. First item.", "2. Second item."],
    ["a) one thing.", "b) another."],
    ["He earned his Ph.D. in 1990.", "Then he taught."],
    ["The company, Acme Inc. was sold.", "Acme Corp. Ltd. bought it."],
    ["He lives on Main St.", "He likes it."],
]
CHINESE = [
    ["他来了。", "她走了！", "真的吗？", "是的；好的。"],
    ["他说：“你好。”", "然后走了。"],
    ["“你来吗？”她问。", "“来！”他答。"],
    ["他说：「真的嗎？」", "她笑了。", "『好！』他說。"],
    ["等等……什么？", "他停了一下……然后说话。"],
    ["价格是3.5元。", "真便宜！！！", "真的？！"],
    ["（他来了。）", "她走了。"],
    ["《红楼梦》是小说。", "作者是曹雪芹（约1715年—约1763年）。"],
    ["电压为220V。", "温度25.5℃；湿度60%。"],
    ["U.S.市场增长3.5%。", "他说Dr. Wang来了。"],
    ["他问：“你是谁？我不认识你。”", "我答：“我是王先生。”"],
    ["1. 第一项。", "2. 第二项。"],
    ["一、概述。", "二、方法。"],
]


@pytest.mark.parametrize("expected", ENGLISH, ids=lambda e: e[0])
def test_hard_sentences_in_english(expected: list[str]) -> None:
    assert sentences(" ".join(expected), "en") == expected


@pytest.mark.parametrize("expected", CHINESE, ids=lambda e: e[0])
def test_hard_sentences_in_chinese(expected: list[str]) -> None:
    given = "".join(f"{e} " if e.isascii() else e for e in expected)
    assert sentences(given, "zh") == expected


@pytest.mark.parametrize("language", ["en", "zh"])
def test_sentences_know_their_places_and_lose_nothing(language: str) -> None:
    text = "  " + "\n ".join(" ".join(s) for s in ENGLISH + CHINESE) + "\n" + "x" * 9000 + "\r\n" + "Long. " * 2000
    spans = sentence_spans(text, language)
    assert [text[a:b] for a, b in spans] == sentences(text, language)
    assert "".join("".join(text[a:b].split()) for a, b in spans) == "".join(text.split())
    assert all(a[1] <= b[0] for a, b in pairwise(spans))


@pytest.mark.parametrize("mark", ["“", '"', ".", "(", "… A", "“”好", "。", "Dr. ", "x"])
def test_no_text_keeps_the_sentences_busy(mark: str) -> None:
    started = time.process_time()
    sentences(mark * (100_000 // len(mark)), "zh" if mark in "“。" else "en")
    assert time.process_time() - started < 10


def test_a_section_knows_what_stands_around_it() -> None:
    made = [
        Section("1", "a", "A", ("Lead",), "First one. Second one."),
        Section("2", "a", "A", ("Plot", "Act 1"), "Anna hides. Otto seeks."),
        Section("3", "a", "A", ("Plot", "Act 2"), "x " * 3000),
        Section("4", "b", "B", ("Lead",), "Another."),
    ]
    first, second, third, other = surroundings(made, "en")
    assert first == Around("", made[1].text, "Lead\nPlot\n  Act 1\n  Act 2", "")
    assert (second.before, second.summary) == (made[0].text, "Lead: First one.")
    assert len(second.after) <= 2002
    assert second.after.endswith("x …")
    assert third.summary == "Lead: First one.\nPlot / Act 1: Anna hides."
    assert (third.after, other) == ("", Around("", "", "Lead", ""))
