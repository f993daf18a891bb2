"""The schema: every problem of a recipe at once, each with its key, what is wrong and what to write instead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import pytest
import yaml

from ftbuild.registry import Registry, Use
from ftbuild.schema import Problem, build, nearest

RULES: Registry[str] = Registry("rule", home="ftbuild.errors")


@RULES("replace")
def replace(text: str, *, old: str, new: str = "", times: int | None = None) -> str:
    """Replace a part of the text."""
    return text.replace(old, new, -1 if times is None else times)


@RULES("keep")
def keep(text: str, *, names: tuple[tuple[str, ...] | str, ...] = ()) -> str:
    """Keep the text."""
    return f"{text}{names}"


@dataclass(frozen=True)
class Inner:
    """A part of a recipe, which checks its fields against each other."""

    kind: Literal["full", "lora"] = "full"
    rank: int | None = None

    def __post_init__(self) -> None:
        if self.kind == "lora" and self.rank is None:
            raise ValueError("rank: lora needs one")


@dataclass(frozen=True)
class Outer:
    """A recipe with every kind of field that there is."""

    name: str
    epochs: int = 3
    rate: float = 1e-4
    resume: bool = False
    levels: tuple[int, ...] = ()
    inner: Inner = field(default_factory=Inner)
    parts: Mapping[str, Inner] = field(default_factory=dict)
    words: dict[str, tuple[str, ...]] = field(default_factory=dict)
    rules: Mapping[str, Annotated[Use[str], RULES]] = field(default_factory=dict)
    favourite: Annotated[str, RULES] = "keep"
    options: Mapping[str, Any] = field(default_factory=dict)


def check(text: str) -> Outer:
    problems: list[Problem] = []
    made = build(Outer, yaml.safe_load(text), problems)
    assert problems == []
    return made


def problems_of(text: str) -> list[str]:
    problems: list[Problem] = []
    build(Outer, yaml.safe_load(text), problems)
    return [str(p) for p in problems]


def test_what_is_right_becomes_dataclasses() -> None:
    made = check("""
        name: a
        rate: 1
        levels: [1, 2]
        inner: {kind: lora, rank: 8}
        parts: {one: {}, two: {rank: 3}}
        words: {be: [was, been]}
        rules: {first: {rule: replace, old: x, times: 2}}
        options: {anything: [goes, {here: null}]}
        """)
    assert made == Outer(
        "a",
        rate=1.0,
        levels=(1, 2),
        inner=Inner("lora", 8),
        parts={"one": Inner(), "two": Inner(rank=3)},
        words={"be": ("was", "been")},
        rules={"first": Use("rule", "replace", {"old": "x", "times": 2})},
        options={"anything": ["goes", {"here": None}]},
    )
    assert isinstance(made.rate, float)
    assert made.rules["first"]("xxx") == "x"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{name: a, epocs: 2}", "epocs: unknown key; did you mean 'epochs'?"),
        ("{name: a, inner: {rnak: 2}}", "inner.rnak: unknown key; did you mean 'rank'?"),
        ("{name: a, inner: {zzz: 2}}", "inner.zzz: unknown key; one of: kind, rank"),
        ("{name: a, parts: {x: {rnak: 2}}}", "parts.x.rnak: unknown key; did you mean 'rank'?"),
        ("{}", "name: missing"),
        (
            "{name: no}",
            "name: expected text (put it in quotes: YAML reads words such as no, on and 12:30 as something else)",
        ),
        ("{name: 12:30:45}", "name: expected text (put it in quotes: "),
        ("{name: null}", "name: expected text, got nothing"),
        ("{name: [a]}", "name: expected text, got ['a']"),
        ("{name: a, epochs: two}", "epochs: expected a whole number, got 'two'"),
        ("{name: a, epochs: 2.5}", "epochs: expected a whole number, got 2.5"),
        ("{name: a, epochs: true}", "epochs: expected a whole number, got True"),
        ("{name: a, rate: 1e-4}", "rate: expected a number (YAML reads 1e-4 as text: write 1.0e-4), got '1e-4'"),
        ("{name: a, rate: yes}", "rate: expected a number, got True"),
        ("{name: a, resume: 1}", "resume: expected true or false, got 1"),
        ("{name: a, levels: 2}", "levels: expected a list, got 2"),
        ("{name: a, levels: [1, x]}", "levels[1]: expected a whole number, got 'x'"),
        ("{name: a, inner: full}", "inner: expected a mapping, got 'full'"),
        ("{name: a, inner: {kind: ful}}", "inner.kind: 'ful' is not a choice here; did you mean 'full'?"),
        ("{name: a, inner: {kind: 7}}", "inner.kind: 7 is not a choice here; one of: full, lora"),
        ("{name: a, inner: {rank: x}}", "inner.rank: expected a whole number, got 'x'"),
        ("{name: a, inner: {kind: lora}}", "inner.rank: lora needs one"),
        ("{name: a, parts: [x]}", "parts: expected a mapping of names to values, got ['x']"),
        ("{name: a, words: {be: was}}", "words.be: expected a list, got 'was'"),
        ("{name: a, words: {be: [no]}}", "words.be[0]: expected text (put it in quotes: "),
        ("{name: a, rules: {r: {}}}", "rules.r: expected a mapping with a key 'rule' (one of: keep, replace), got {}"),
        (
            "{name: a, rules: {r: keep}}",
            "rules.r: expected a mapping with a key 'rule' (one of: keep, replace), got 'keep'",
        ),
        ("{name: a, rules: {r: {rule: kep}}}", "rules.r.rule: there is no rule 'kep'; did you mean 'keep'?"),
        (
            "{name: a, rules: {r: {rule: keep, nmes: []}}}",
            "rules.r.nmes: rule 'keep' has no parameter 'nmes'; did you mean",
        ),
        ("{name: a, rules: {r: {rule: replace}}}", "rules.r.old: missing: rule 'replace' needs it"),
        ("{name: a, rules: {r: {rule: replace, old: 1}}}", "rules.r.old: expected text (put it in quotes: "),
        ("{name: a, rules: {r: {rule: keep, names: [[1]]}}}", "rules.r.names[0]"),
        ("{name: a, favourite: kep}", "favourite: there is no rule 'kep'; did you mean 'keep'?"),
        ("{name: a, favourite: [keep]}", "favourite: there is no rule ['keep']; "),
        ("[a]", "expected a mapping, got ['a']"),
    ],
)
def test_what_is_wrong_is_named_with_its_key_and_the_nearest_right_name(text: str, problem: str) -> None:
    (found,) = problems_of(text)
    assert found.startswith(problem)


def test_every_problem_is_told_at_once() -> None:
    assert problems_of("{epocs: 2, rate: x, inner: {kind: ful, rank: y}, rules: {r: {rule: replace, odl: x}}}") == [
        "epocs: unknown key; did you mean 'epochs'?",
        "name: missing",
        "rate: expected a number (YAML reads 1e-4 as text: write 1.0e-4), got 'x'",
        "inner.kind: 'ful' is not a choice here; did you mean 'full'?",
        "inner.rank: expected a whole number, got 'y'",
        "rules.r.odl: rule 'replace' has no parameter 'odl'; did you mean 'old'?",
        "rules.r.old: missing: rule 'replace' needs it",
    ]


def test_null_switches_a_named_entry_off() -> None:
    made = check("{name: a, rules: {one: null, two: {rule: keep}}, parts: {x: null}}")
    assert (list(made.rules), dict(made.parts)) == (["two"], {})


def test_null_stands_for_nothing_only_where_nothing_may_stand() -> None:
    assert check("{name: a, inner: {rank: null}}").inner.rank is None
    assert problems_of("{name: a, epochs: null}") == ["epochs: expected a whole number, got nothing"]


def test_a_list_of_texts_and_lists_takes_both() -> None:
    assert check("{name: a, rules: {r: {rule: keep, names: [x, [y, z]]}}}").rules["r"]("") == "('x', ('y', 'z'))"


def test_long_values_are_shortened() -> None:
    (problem,) = problems_of(f"{{name: a, epochs: {'x' * 500}}}")
    assert problem.endswith("xxx...")
    assert len(problem) < 120


@pytest.mark.parametrize(
    ("name", "names", "hint"),
    [
        ("epocs", ["epochs", "rate"], "did you mean 'epochs'?"),
        ("zzz", ["b", "a"], "one of: a, b"),
        ("zzz", [], "nothing may stand here"),
    ],
)
def test_the_hint_is_the_nearest_name_or_all_names(name: str, names: list[str], hint: str) -> None:
    assert nearest(name, names) == hint
