"""Units: what one request sees of a section."""

from __future__ import annotations

from typing import get_args, get_type_hints

import pytest

from ftbuild.recipe import Template
from ftbuild.records import Section
from ftbuild.units import Unit, paragraphs, sentences, units

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
