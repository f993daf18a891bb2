"""Digests: the same for what is the same, another for what differs in type or shape; what has no part is left out."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from ftbuild.digest import digest, digest_bytes, digest_file, identity
from ftbuild.registry import Use


@dataclass(frozen=True)
class Point:
    """A value with a field that has no part in its identity."""

    x: int
    y: int = 0
    label: str = field(default="", metadata={"identity": False})


@dataclass(frozen=True)
class Pixel:
    """The same fields under another name."""

    x: int
    y: int = 0


DIFFERENT: list[Any] = [
    None,
    True,
    False,
    0,
    1,
    -1,
    10,
    0.0,
    1.0,
    math.inf,
    "",
    "0",
    "1",
    "None",
    "True",
    "i1:1",
    "é",
    "e\u0301",
    b"",
    b"1",
    [],
    [None],
    [1],
    ["1"],
    [[1]],
    [1, 1],
    ["11"],
    ["1", "1"],
    ["a", "bc"],
    ["ab", "c"],
    [["a"], "b"],
    ["a", ["b"]],
    {},
    {"": ""},
    {"a": 1},
    {"a": "1"},
    {"a": None},
    {"a": 1, "b": 2},
    {"a": 2, "b": 1},
    {"a": {"b": 2}},
    ["a", 1],
    Point(1),
    Point(1, 1),
    Pixel(1),
    {"x": 1, "y": 0},
    ["Point", {"x": 1, "y": 0}],
    Use("rule", "regex", {"pattern": "x"}),
    Use("rule", "regex", {"pattern": "y"}),
    Use("rule", "regex", {}),
    Use("filter", "regex", {"pattern": "x"}),
    {"rule": "regex", "pattern": "x"},
    ["rule", "regex", {"pattern": "x"}],
]


def test_no_two_different_values_have_the_same_digest() -> None:
    same = [(a, b) for a, b in combinations(DIFFERENT, 2) if digest(a) == digest(b)]
    assert same == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"a": {"x": 1, "y": [2]}}, MappingProxyType({"a": {"y": (2,), "x": 1}})),
        ([1, 2], (1, 2)),
        (Point(1, 2, "here"), Point(1, 2, "there")),
        ([Point(1, label="a")], [Point(1, label="b")]),
        (Use("rule", "r", {"a": 1, "b": 2}), Use("rule", "r", {"b": 2, "a": 1}, print)),
    ],
)
def test_what_differs_only_in_order_or_in_aside_fields_has_the_same_digest(one: object, other: object) -> None:
    assert digest(one) == digest(other)


def test_a_digest_is_the_same_in_every_process() -> None:
    assert (
        digest({"b": [1, True, None, b"z"], "a": 0.5})
        == hashlib.sha256(b"m51:s1:af20:0x1.0000000000000p-1s1:bl15:i1:1b1:1n0:y1:z").hexdigest()
    )


@pytest.mark.parametrize("value", [{1}, object(), Path("x"), Point, [object()], {"a": {2}}])
def test_a_value_without_a_form_has_no_digest(value: object) -> None:
    with pytest.raises(TypeError, match="has no digest"):
        digest(value)


def test_identity_is_plain_data_without_aside_fields() -> None:
    value = {"p": Point(1, 2, "here"), "u": (Use("rule", "regex", {"pattern": "x", "at": Point(3)}),), 4: None}
    assert identity(value) == {
        "p": {"x": 1, "y": 2},
        "u": [{"rule": "regex", "at": {"x": 3, "y": 0}, "pattern": "x"}],
        "4": None,
    }


def test_files_are_known_by_their_bytes(tmp_path: Path) -> None:
    content = b"line\r\n\xff" * 100_000
    (tmp_path / "a").write_bytes(content)
    assert digest_file(tmp_path / "a") == digest_bytes(content) == hashlib.sha256(content).hexdigest()
