"""The registry: functions by the names that recipes use, with their parameters read off their signatures."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import pytest

from ftbuild import registries
from ftbuild.registry import Parameter, Registry, Use

ALL = [value for value in vars(registries).values() if isinstance(value, Registry)]


def made() -> Registry[str]:
    registry: Registry[str] = Registry("rule", home="ftbuild.errors")

    @registry("shout", files=("word_list",))
    def shout(text: str, *, mark: str = "!", times: int, word_list: str = "") -> str:
        """End the text with a mark.

        More about it.
        """
        return text + mark * times + word_list

    @registry("bare")
    def bare(text: str) -> str:
        return text

    return registry


def test_a_use_is_the_function_with_the_recipe_s_parameters() -> None:
    assert made().use("shout", mark="?", times=2)("who") == "who??"


def test_parameters_are_the_keyword_only_ones_with_types_and_defaults() -> None:
    assert made().parameters("shout") == (
        Parameter("mark", str, "!", required=False),
        Parameter("times", int, inspect.Parameter.empty, required=True),
        Parameter("word_list", str, "", required=False),
    )
    assert made().parameters("bare") == ()


def test_names_come_sorted_and_can_be_asked_for() -> None:
    assert list(made()) == ["bare", "shout"]
    assert "shout" in made()
    assert "whisper" not in made()
    assert 7 not in made()


def test_two_functions_cannot_have_one_name() -> None:
    registry = made()
    with pytest.raises(ValueError, match="two functions are registered as rule 'bare'"):
        registry("bare")(str.strip)


def test_an_unknown_name_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        made().use("whisper")


def test_files_are_those_that_the_parameters_name() -> None:
    registry = made()
    assert registry.files(registry.use("shout", times=1, word_list="words.txt")) == ["words.txt"]
    assert registry.files(registry.use("shout", times=1)) == []
    assert registry.files(registry.use("shout", times=1, word_list="")) == []


def test_what_else_a_result_depends_on_is_asked_with_the_recipe() -> None:
    registry: Registry[str] = Registry("kind", home="ftbuild.errors")

    def depends(recipe: Any) -> Mapping[str, str]:
        return {"parser": recipe}

    registry("parsed", depends=depends)(str.strip)
    registry("plain")(str.strip)
    assert registry.depends("parsed", "3.8") == {"parser": "3.8"}
    assert registry.depends("plain", "3.8") == {}


def test_the_summary_is_the_first_line_of_the_docstring() -> None:
    assert made().summary("shout") == "End the text with a mark."
    assert made().summary("bare") == ""


def test_uses_are_compared_by_what_the_recipe_says() -> None:
    assert made().use("shout", times=1) == Use("rule", "shout", {"times": 1})
    assert made().use("shout", times=1) != made().use("shout", times=2)


@pytest.mark.parametrize("registry", ALL, ids=lambda r: r.noun)
def test_every_registered_function_is_documented_and_its_parameters_have_types(registry: Registry[Any]) -> None:
    names = list(registry)
    assert names
    for name in names:
        assert registry.summary(name), f"{registry.noun} {name} has no docstring"
        for parameter in registry.parameters(name):
            assert parameter.type is not inspect.Parameter.empty
            assert not isinstance(parameter.type, str)


@pytest.mark.parametrize("registry", ALL, ids=lambda r: r.noun)
def test_the_parameters_that_name_files_exist(registry: Registry[Any]) -> None:
    for name in registry:
        assert set(registry._files[name]) <= {p.name for p in registry.parameters(name)}
