"""Rows that tell the text itself, in any language."""

from __future__ import annotations

import pytest

from ftbuild.errors import ConfigError
from ftbuild.grammar.language import Language
from ftbuild.records import Pair, Section
from ftbuild.registries import KINDS

ENGLISH = Section(
    "1", "doc", "The mill", ("History", "Fire"), "It burned in 1804. Nobody was hurt. It was rebuilt.\nThe wheel is new."
)
CHINESE = Section("2", "文", "水磨", ("历史",), "水磨毁于1804年的大火。“没有人受伤。”后来重建。")


def made(kind: str, section: Section, language: str, **params: object) -> list[Pair]:
    return list(KINDS.use(kind, **params)([section], Language(language)))


def test_a_section_is_recalled_by_its_heading() -> None:
    (pair,) = made("recall", ENGLISH, "en", question="{title}: what of {heading} ({path})?")
    assert (pair.prompt, pair.completion) == ("The mill: what of Fire (History / Fire)?", ENGLISH.text)
    assert pair.origin.path == ("History", "Fire")
    assert made("recall", ENGLISH, "en", question="{heading}?", most_characters=20) == []


def test_a_paragraph_is_continued_after_its_first_sentence() -> None:
    (pair,) = made("continue", ENGLISH, "en", question="Go on: {beginning}")
    assert (pair.prompt, pair.completion) == ("Go on: It burned in 1804.", "Nobody was hurt. It was rebuilt.")
    (pair,) = made("continue", ENGLISH, "en", question="{beginning}", sentences_given=2)
    assert (pair.prompt, pair.completion) == ("It burned in 1804. Nobody was hurt.", "It was rebuilt.")


def test_chinese_sentences_are_joined_without_spaces() -> None:
    (pair,) = made("continue", CHINESE, "zh", question="请接着写：{beginning}")
    assert pair.prompt == "请接着写：水磨毁于1804年的大火。"
    assert pair.completion == "“没有人受伤。”后来重建。"


def test_each_sentence_is_followed_by_the_next() -> None:
    pairs = made("next", ENGLISH, "en", question="After {sentence}")
    assert [p.completion for p in pairs] == ["Nobody was hurt.", "It was rebuilt."]


@pytest.mark.parametrize(
    ("question", "message"), [("What of {topic}?", "{topic}"), ("What of {heading?", "cannot be filled in"), ("{}", "{}")]
)
def test_a_question_with_unknown_fields_is_refused(question: str, message: str) -> None:
    with pytest.raises(ConfigError, match="recall") as caught:
        made("recall", ENGLISH, "en", question=question)
    assert message in str(caught.value)
