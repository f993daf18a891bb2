"""Filters: what is rejected and why; and `curate`, which runs them and keeps the probes out of the training data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ftbuild.errors import ConfigError
from ftbuild.filters import same_question
from ftbuild.recipe import Curate, Evaluate, Probe
from ftbuild.records import Origin, Pair, Rejected
from ftbuild.registries import FILTERS, GRADERS
from ftbuild.stages.curate import _held_out
from tests.helpers import run_stage


def judge(filter: str, *pairs: tuple[str, str], **params: Any) -> list[str]:
    given = [Pair(str(n), prompt, completion) for n, (prompt, completion) in enumerate(pairs)]
    judged = list(FILTERS.use(filter, **params)(given))
    assert [pair for pair, _ in judged] == given
    return [reason for _, reason in judged]


def test_questions_are_the_same_but_for_case_and_punctuation() -> None:
    assert same_question("Who, then, IS it?") == same_question("who then is it")
    assert same_question("Who is it?") != same_question("Who was it?")


def test_duplicates_are_rejected_after_the_first() -> None:
    assert judge(
        "duplicates",
        ("Who is it?", "Nero."),
        ("who is it", "nero"),
        ("Who is it?", "Otho"),
        ("Who was it?", "Nero."),
        ("WHO IS IT?!", "Nero"),
    ) == ["", "occurred before", "", "", "occurred before"]


@pytest.mark.parametrize(
    ("pair", "params", "reason"),
    [
        (("one two", "three"), {"most_words": 2}, ""),
        (("one two three", "four"), {"most_words": 2}, "3 words"),
        (("one", "two three four"), {"most_words": 2}, "3 words"),
        (("one", ""), {}, "0 words"),
        (("one", "..."), {}, "0 words"),
        (("one two", "three"), {"fewest_words": 2}, "1 words"),
        (("w " * 400, "a"), {}, ""),
        (("w " * 401, "a"), {}, "401 words"),
        (("皇帝是谁", "尼禄"), {"most_words": 3}, "4 words"),
    ],
)
def test_length_bounds_question_and_answer(pair: tuple[str, str], params: dict[str, int], reason: str) -> None:
    assert judge("length", pair, **params) == [reason]


def test_reject_finds_an_expression_in_question_or_answer() -> None:
    pairs = [("As stated in the TEXT?", "yes"), ("Who?", "the passage says so"), ("Who?", "Nero")]
    assert judge("reject", *pairs, pattern=r"the (text|passage)") == ["holds 'the TEXT'", "holds 'the passage'", ""]


def test_reject_says_what_is_wrong_with_an_expression() -> None:
    with pytest.raises(ConfigError, match=r"regular expression '\('"):
        judge("reject", ("a", "b"), pattern="(")


@pytest.mark.parametrize(
    ("prompt", "completion", "rejected"),
    [
        ("Who is Nero?", "who is nero", True),
        ("Is Nero the son of Agrippina?", "the son of Agrippina.", True),
        ("What did the Emperor promise?", "The Emperor", True),
        ("Who is Nero?", "The son of Agrippina", False),
        ("Does Nero know of the plan?", "No", False),
        ("Who sings Otho's aria?", "Otho", False),
        ("Who is older?", "Old Claudius", False),
        ("皇帝是尼禄吗？", "尼禄", True),
        ("皇帝是谁？", "尼禄", False),
    ],
)
def test_echo_rejects_an_answer_that_stands_in_the_question(prompt: str, completion: str, *, rejected: bool) -> None:
    assert judge("echo", (prompt, completion)) == ["the answer stands in the question" if rejected else ""]


def test_filters_stream() -> None:
    def endless() -> Any:
        while True:
            yield Pair("1", "Who?", "Nero")

    for name in FILTERS:
        params = {"pattern": "x"} if name == "reject" else {}
        judged = iter(FILTERS.use(name, **params)(endless()))
        assert [next(judged)[0].id for _ in range(3)] == ["1", "1", "1"]


def test_what_is_held_out_does_not_depend_on_the_order() -> None:
    pairs = [Pair(f"id{n}", "q", "a") for n in range(20)]
    held = _held_out(pairs, 5)
    assert len(held) == 5
    assert _held_out(pairs[::-1], 5) == held
    assert _held_out(pairs, 4) < held


def test_holding_everything_out_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"curate\.hold_out: 2 of 2 pairs"):
        _held_out([Pair("1", "q", "a"), Pair("2", "q", "a")], 2)
    assert _held_out([], 0) == set()


def curated(folder: Path, *pairs: Pair, hold_out: int = 0) -> tuple[dict[str, list[dict[str, Any]]], dict[str, Any]]:
    probe = Probe("Who is the emperor?", GRADERS.use("contains", any_of=("Claudius",)))
    filters = {"twice": FILTERS.use("duplicates"), "words": FILTERS.use("reject", pattern="the text")}
    return run_stage(
        "curate",
        folder,
        {"curate": Curate(filters, hold_out), "evaluate": Evaluate({"emperor": probe})},
        {
            "fetch/pairs.jsonl": pairs[:1],
            "generate/pairs.jsonl": pairs[1:],
            "generate/rejected.jsonl": [Rejected("not JSON", "{", Origin("doc", line=3))],
        },
    )


PAIRS = [
    Pair("a", "Who is Nero?", "Her son", Origin("doc", ("Plot", "Act 1"), "basic", "d1", "r1", 2)),
    Pair("b", "who is nero", "her son"),
    Pair("c", "WHO is the Emperor?!", "Claudius"),
    Pair("d", "What does the text say?", "Nothing"),
    Pair("e", "Who is Otho?", "A general"),
]


def test_what_is_filtered_out_is_kept_with_the_filter_s_name_and_reason(tmp_path: Path) -> None:
    made, facts = curated(tmp_path, *PAIRS)
    assert [p["id"] for p in made["pairs.jsonl"]] == ["a", "e"]
    assert [(r["reason"], r["raw"]) for r in made["rejected.jsonl"]] == [
        ("not JSON", "{"),
        ("twice: occurred before", "who is nero → her son"),
        ("is a probe", "WHO is the Emperor?! → Claudius"),
        ("words: holds 'the text'", "What does the text say? → Nothing"),
    ]
    assert facts == {"pairs": 2, "held_out": 0, "rejected": 4}


def test_a_pair_keeps_its_origin_through_the_filters(tmp_path: Path) -> None:
    made, _ = curated(tmp_path, *PAIRS)
    origin = {"document": "doc", "path": ["Plot", "Act 1"], "template": "basic", "template_digest": "d1"}
    where = {"revision": "", "start": 0, "end": 0}
    assert made["pairs.jsonl"][0]["origin"] == {**origin, "request": "r1", "line": 2, "passage": "", **where}


def test_a_pair_is_trained_on_or_held_out_never_both(tmp_path: Path) -> None:
    made, facts = curated(tmp_path, *PAIRS, hold_out=1)
    trained, held = ({p["id"] for p in made[f]} for f in ("pairs.jsonl", "held_out.jsonl"))
    assert (len(trained), len(held)) == (1, 1)
    assert trained | held == {"a", "e"}
    assert (facts["pairs"], facts["held_out"]) == (1, 1)
