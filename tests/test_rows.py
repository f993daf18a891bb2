"""Training rows, and the question as it is asked later: both laid out in one place, so that they cannot differ."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ftbuild.errors import ConfigError
from ftbuild.recipe import Format
from ftbuild.rows import Formatter
from ftbuild.schema import Problem, build
from tests.helpers import option


def formatter(name: str, values: dict[str, Any] | None = None, **changes: Any) -> Formatter:
    problems: list[Problem] = []
    made = build(Format, {**option("format", name), **changes}, problems)
    assert problems == []
    return Formatter(made, values or {})


def opera(**changes: Any) -> Formatter:
    recipe = option("recipe", "agrippina")
    return formatter("completion", recipe["vars"], **{**recipe["format"], **changes})


def test_the_tutorial_s_row_is_reproduced_to_the_letter() -> None:
    row = opera().row("Who hails Nero?", "Pallas and Narcissus.", ("Synopsis", "Act 1"), "Agrippina (opera)")
    assert row == {
        "prompt": "Answer the following question about the Opera Agrippina, Section Synopsis, subsection Act 1: \n"
        "Who hails Nero? \n ### \n",
        "completion": "Pallas and Narcissus. [DONE]",
    }


def test_a_section_without_subsections_stands_in_both_places() -> None:
    row = opera().row("Who?", "Nero", ("Synopsis",))
    assert "Section Synopsis, subsection Synopsis: \n" in row["prompt"]


def test_the_innermost_heading_is_the_subsection() -> None:
    assert "Section A, subsection C: \n" in opera().row("Who?", "Nero", ("A", "B", "C"))["prompt"]


def test_a_question_without_a_place_takes_the_one_that_the_format_says() -> None:
    asked = opera(asked={"section": "Synopsis", "subsection": "Act 3"})
    assert "Section Synopsis, subsection Act 3: \n" in asked.body("Who?")["prompt"]
    assert "Section Music, subsection Music: \n" in asked.body("Who?", ("Music",))["prompt"]


@pytest.mark.parametrize("made", [opera(), formatter("completion")])
def test_a_question_is_asked_with_the_very_prompt_of_its_row(made: Formatter) -> None:
    place = ("Synopsis", "Act 1")
    assert made.body("Who?", place) == {"prompt": made.row("Who?", "Nero", place)["prompt"], "stop": [made.format.stop]}


def test_the_plain_completion_row_is_question_separator_answer_stop() -> None:
    assert formatter("completion").row("latin", "atinlay") == {
        "prompt": "latin\n\n###\n\n",
        "completion": "atinlay [DONE]",
    }


@pytest.mark.parametrize(
    ("question", "answer", "key"),
    [
        ("What does ### mean?", "Nothing", "separator"),
        ("Who?###", "Nero", "separator"),
        ("Who?", "Nero [DONE] Otho", "stop"),
        ("Who is [DONE]?", "Nero", "stop"),
    ],
)
def test_separator_or_stop_inside_the_data_is_an_error(question: str, answer: str, key: str) -> None:
    with pytest.raises(ConfigError, match=rf"format\.{key}: ") as caught:
        opera().row(question, answer, ("Synopsis",))
    assert "choose a" in caught.value.hint


def test_a_separator_in_the_answer_is_harmless() -> None:
    assert opera().row("Who?", "### Nero", ("Synopsis",))["completion"] == "### Nero [DONE]"


def test_chat_rows_are_messages_without_separator_and_stop() -> None:
    assert formatter("chat").row("Who is ###?", "Nero [DONE]", ("Synopsis",)) == {
        "messages": [{"role": "user", "content": "Who is ###?"}, {"role": "assistant", "content": "Nero [DONE]"}]
    }


def test_chat_rows_begin_with_the_system_prompt_and_are_asked_with_it() -> None:
    chat = formatter("chat", {"subject": "ink"}, system="You know all about {{ subject }} ({{ section }}).")
    system = {"role": "system", "content": "You know all about ink (Plot)."}
    user = {"role": "user", "content": "Who?"}
    assert chat.body("Who?", ("Plot",)) == {"messages": [system, user]}
    assert chat.row("Who?", "Nero", ("Plot",))["messages"] == [system, user, {"role": "assistant", "content": "Nero"}]


def test_a_row_knows_title_and_path() -> None:
    made = formatter("chat", prompt="{{ title }} > {{ path }}: {{ question }}")
    row = made.row("Who?", "Nero", ("Synopsis", "Act 1"), "Agrippina")
    assert row["messages"][0]["content"] == "Agrippina > Synopsis / Act 1: Who?"


def test_a_question_without_a_document_takes_the_recipe_s_title() -> None:
    made = formatter("chat", {"title": "Agrippina"}, prompt="{{ title }}: {{ question }}")
    assert made.body("Who?") == {"messages": [{"role": "user", "content": "Agrippina: Who?"}]}
    assert made.row("Who?", "Nero", (), "Otho")["messages"][0]["content"] == "Otho: Who?"


def test_data_is_never_rendered_as_a_template() -> None:
    row = formatter("completion").row("What is {{ 7*7 }}?", "{% raw %}49")
    assert row == {"prompt": "What is {{ 7*7 }}?\n\n###\n\n", "completion": "{% raw %}49 [DONE]"}


def test_an_unknown_variable_is_an_error_that_names_the_key_and_what_there_is() -> None:
    with pytest.raises(ConfigError, match=r"format\.prompt:1: 'chapter' is undefined") as caught:
        formatter("chat", {"subject": "ink"}, prompt="{{ chapter }}").row("Who?", "Nero")
    assert caught.value.hint == "it may use: path, question, section, subject, subsection, title"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"separator": r"\n\n###"}, "separator: holds a backslash and an n"),
        ({"stop": r"\n"}, "stop: holds a backslash and an n"),
        ({"separator": ""}, "separator: a completion row needs a separator and a stop token"),
        ({"stop": ""}, "separator: a completion row needs a separator and a stop token"),
    ],
)
def test_a_format_that_cannot_work_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(Format("completion", "{{ question }}", separator="#", stop="!"), **changes)
