"""Graders: what counts as a right answer.  They must not flatter: who runs on or names everybody is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from ftbuild.errors import ConfigError
from ftbuild.graders import Grade, normalise, tokens
from ftbuild.registries import GRADERS


def grade(grader: str, answer: str, expected: str = "", **params: Any) -> Grade:
    given = GRADERS.use(grader, **params)(answer, expected)
    assert isinstance(given, Grade)
    return given


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Claudius’s wife, isn't she?", ["claudius's", "wife", "isn't", "she"]),
        ("26 December 1709", ["26", "december", "1709"]),
        ("well-known_words", ["well", "known", "words"]),
        ("柏林 is Berlin", ["柏", "林", "is", "berlin"]),
        ("ベルリン", ["ベ", "ル", "リ", "ン"]),
        ("\uff2e\uff45\uff52\uff4f", ["nero"]),
        ("...", []),
    ],
)
def test_tokens_are_words_or_chinese_characters(text: str, words: list[str]) -> None:
    assert tokens(text) == words


def test_normalise_makes_case_spaces_and_apostrophes_alike() -> None:
    assert normalise("  Straße\n’S ") == "strasse 's"


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("Nero", True),
        ("For NERO, her son.", True),
        ("her son", True),
        ("Claudius", False),
        ("", False),
        ("   ", False),
    ],
)
def test_contains_wants_one_of_any(answer: str, *, right: bool) -> None:
    assert grade("contains", answer, any_of=("Nero", "her son")).right is right


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("Pallas and Narcissus", True),
        ("Narcissus, with the freedman Pallas", True),
        ("Pallas", False),
        ("Narcissus", False),
        ("both freedmen of Pallas's house", False),
        ("Pallas and the other freedman", True),
    ],
)
def test_contains_wants_one_of_each_group_of_all(answer: str, *, right: bool) -> None:
    given = grade("contains", answer, all_of=("Pallas", ("Narcissus", "the other freedman")))
    assert given.right is right


@pytest.mark.parametrize("answer", ["Nero or Otho", "Nero, Otho, Poppaea and Pallas", "not Otho but Nero"])
def test_contains_does_not_accept_who_names_several_people(answer: str) -> None:
    given = grade("contains", answer, any_of=("Nero",), none_of=("Otho", "Poppaea", "Pallas"))
    assert given == Grade(0, right=False, why="holds 'Otho'")


@pytest.mark.parametrize(("words", "right"), [(5, True), (6, False), (60, False)])
def test_contains_does_not_accept_an_answer_that_runs_on(words: int, *, right: bool) -> None:
    answer = " ".join(["Nero"] * words)
    given = grade("contains", answer, any_of=("Nero",), max_words=5)
    assert given.right is right
    assert given.why == ("" if right else f"{words} words, more than 5")


def test_contains_bounds_answers_even_if_the_recipe_does_not() -> None:
    assert grade("contains", "Nero " * 40, any_of=("Nero",)).right
    assert not grade("contains", "Nero " * 41, any_of=("Nero",)).right


@pytest.mark.parametrize(
    ("answer", "phrase", "right"),
    [
        ("he drowned at sea", "drown", True),
        ("drowning", "drown", True),
        ("Clotho", "Otho", False),
        ("un-Otho-like", "Otho", True),
        ("the 1709 season", "709", False),
        ("a_drown", "drown", True),
        ("the throne of Rome", "throne of", True),
        ("the  throne\nof Rome", "the throne of rome", True),
        ("Claudius's wife", "Claudius’s", True),
        ("他是罗马皇帝尼禄", "尼禄", True),
        ("他是罗马皇帝", "尼禄", False),
    ],
)
def test_contains_finds_stems_at_the_beginning_of_a_word(answer: str, phrase: str, *, right: bool) -> None:
    assert grade("contains", answer, any_of=(phrase,)).right is right


def test_contains_counts_chinese_characters_as_words() -> None:
    assert grade("contains", "尼禄是皇帝", any_of=("尼禄",), max_words=5).right
    assert not grade("contains", "尼禄是大皇帝", any_of=("尼禄",), max_words=5).right


def test_contains_falls_back_to_the_held_out_answer() -> None:
    assert grade("contains", "in a garden at night", "a garden").right
    assert not grade("contains", "in a street", "a garden").right
    assert grade("contains", "Nero", "a garden", any_of=("Nero",)).right


@pytest.mark.parametrize(
    ("params", "why"),
    [
        ({"any_of": ("Nero",)}, "lacks 'Nero'"),
        ({"any_of": ("a1", "b1", "c1", "d1")}, "lacks 'a1' or 'b1' or 'c1' …"),
        ({"all_of": (("Nero", "her son"),)}, "lacks 'Nero' or 'her son'"),
    ],
)
def test_contains_says_what_is_missing(params: dict[str, Any], why: str) -> None:
    assert grade("contains", "Claudius", **params) == Grade(0, right=False, why=why)


@pytest.mark.parametrize("grader", ["contains", "exact", "token_f1"])
def test_a_grader_that_was_told_no_answer_is_an_error_and_calls_nothing_right(grader: str) -> None:
    with pytest.raises(ConfigError, match=grader):
        grade(grader, "")


@pytest.mark.parametrize(
    ("pattern", "answer", "right"),
    [
        (r"\bnero\b", "It is NERO.", True),
        (r"^nero", "It is Nero", False),
        (r"\d{4}", "in 1709", True),
        (r"\d{4}", "", False),
        (r"nero", "nero " * 41, False),
    ],
)
def test_regex_searches_and_bounds_the_answer(pattern: str, answer: str, *, right: bool) -> None:
    given = grade("regex", answer, pattern=pattern)
    assert given.right is right
    assert bool(given.why) is not right


def test_regex_takes_a_bound_of_its_own() -> None:
    given = grade("regex", "Nero it is", pattern="nero", max_words=2)
    assert given == Grade(0, right=False, why="3 words, more than 2")
    assert grade("regex", "Nero it is", pattern="nero", max_words=3) == Grade(1, right=True)


def test_regex_says_what_is_wrong_with_an_expression() -> None:
    with pytest.raises(ConfigError, match=r"the grader's regular expression '\('"):
        grade("regex", "x", pattern="(")


@pytest.mark.parametrize(
    ("answer", "expected", "answers", "right"),
    [
        ("atinlay", "atinlay", (), True),
        (" ATINLAY\n", "atinlay", (), True),
        ("atinlay atinlay", "atinlay", (), False),
        ("atinla", "atinlay", (), False),
        ("", "atinlay", (), False),
        ("b", "", ("a", "b"), True),
        ("c", "", ("a", "b"), False),
        ("c", "c", ("a", "b"), False),
    ],
)
def test_exact_is_all_or_nothing(answer: str, expected: str, answers: tuple[str, ...], *, right: bool) -> None:
    given = grade("exact", answer, expected, answers=answers)
    assert (given.right, given.score) == (right, float(right))
    assert bool(given.why) is not right


@pytest.mark.parametrize(
    ("answer", "expected", "score"),
    [
        ("the throne", "the throne", 1.0),
        ("The throne!", "the throne", 1.0),
        ("throne", "the throne", 2 / 3),
        ("the throne of Rome and more", "the throne", 0.5),
        ("the the the", "the throne", 0.4),
        ("a crown", "the throne", 0.0),
        ("", "the throne", 0.0),
        ("罗马皇位", "皇位", 2 / 3),
    ],
)
def test_token_f1_is_that_of_squad(answer: str, expected: str, score: float) -> None:
    assert grade("token_f1", answer, expected).score == pytest.approx(score)


def test_token_f1_takes_the_best_of_several_answers_and_a_threshold() -> None:
    answers = ("a crown", "the throne")
    better = grade("token_f1", "throne", answers=answers, at_least=0.6)
    assert (better.right, better.why) == (True, "")
    assert better.score == pytest.approx(2 / 3)
    worse = grade("token_f1", "throne", answers=answers, at_least=0.7)
    assert (worse.right, worse.why) == (False, "F1 0.67 is below 0.7")


def test_token_f1_does_not_accept_an_answer_that_runs_on() -> None:
    assert not grade("token_f1", "Nero, and also Otho, Poppaea, Pallas and Narcissus", "Nero").right
