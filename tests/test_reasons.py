"""Reasons: what differs between two runs of a stage, said so that somebody who did not write the code understands it."""

from __future__ import annotations

from typing import Any

import pytest

from ftbuild.reasons import changes, reasons
from ftbuild.stage import STAGES
from tests.workshop import Workshop

ONE, TWO = {"file": "a.j2", "seed": 1}, {"file": "b.j2", "seed": 2}


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ({"epochs": 2}, {"epochs": 3}, [("epochs", "2", "3")]),
        ({"epochs": 2}, {"epochs": None}, [("epochs", "2", "null")]),
        ({"rules": {}}, {"rules": {"quotes": ONE}}, [("rules.quotes", "–", "{…}")]),
        ({"a": ONE, "b": TWO, "(order)": ["a", "b"]}, {"a": ONE}, [("b", "{…}", "–")]),
        ({"stop": ["a"]}, {"stop": ("a",)}, []),
        ({"stop": "\n"}, {"stop": "x"}, [("stop", "\\n", "x")]),
        ({"a": ONE}, {"a": 3}, [("a", "{…}", "3")]),
    ],
)
def test_a_difference_is_told_once(old: Any, new: Any, told: list[tuple[str, str, str]]) -> None:
    assert list(changes(old, new)) == told


def test_another_order_is_told_by_the_name_of_what_is_in_order() -> None:
    old, new = ({"rules": {"a": 1, "b": 2, "(order)": list(order)}} for order in ("ab", "ba"))
    assert list(changes(old, new)) == [("the order of rules", "a, b", "b, a")]


def test_another_address_is_told_once(workshop: Workshop) -> None:
    ran = workshop.run("provider.base_url=http://localhost:1/v1", "--json", verb="plan")
    (reason,) = next(step["reasons"] for step in ran.json["stages"] if step["stage"] == "generate")
    assert reason["name"] == "teacher.provider.base_url"


def test_a_template_that_was_taken_away_is_one_reason(workshop: Workshop) -> None:
    ran = workshop.run("~prompts.reasons", verb="plan")
    assert ran.code == 0
    assert "prompts.reasons {…} → –" in ran.out
    assert "(order)" not in ran.out
    assert "endpoint" not in ran.out


def test_a_stage_without_a_record_was_not_built_before() -> None:
    (stage, *_) = STAGES.values()
    assert [str(r) for r in reasons(stage, {}, {}, {}, None)] == ["not built before"]
