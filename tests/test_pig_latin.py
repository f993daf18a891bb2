"""The recipe `pig_latin`: its function, its word list, its rows; and that it is not tested with what it is trained on."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ftbuild.asking import questions
from ftbuild.console import Console
from ftbuild.execute import execute
from ftbuild.plan import Plan, plan
from ftbuild.recipe import Recipe
from ftbuild.records import Pair, read_jsonl, read_pairs
from ftbuild.rows import Formatter
from ftbuild.sources.function import load
from ftbuild.store import Store
from tests.helpers import REPOSITORY, compose

ROW = {"prompt": "Turn the following word into Pig Latin: %s \n\n###\n\n", "completion": "%s [DONE]"}
LIST = REPOSITORY / "conf/texts/pig_latin_words.txt"


@pytest.fixture(scope="module")
def pig_latin() -> Callable[[str], str]:
    """Return the function that makes the rows."""
    return load("functions/pig_latin.py:pig_latin")


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    """Return the recipe as it is shipped."""
    return compose("recipe=pig_latin")


@dataclass(frozen=True)
class Data:
    """What the recipe makes before any model is needed."""

    rows: list[dict[str, Any]]
    pairs: list[Pair]
    held_out: list[Pair]
    rejected: list[dict[str, Any]]


@pytest.fixture(scope="module")
def data(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Data:
    """Build the recipe as far as its training rows."""
    store = Store(tmp_path_factory.mktemp("pig_latin"))
    steps = plan(recipe, store).steps
    until = [s.stage.name for s in steps].index("format") + 1
    done = execute(Plan(steps[:until]), recipe, store, Console(quiet=True)).done

    def made(stage: str, file: str) -> Path:
        return store.object(done[stage].outputs[file])

    return Data(
        list(read_jsonl(made("format", "rows.jsonl"))),
        list(read_pairs(made("curate", "pairs.jsonl"))),
        list(read_pairs(made("curate", "held_out.jsonl"))),
        list(read_jsonl(made("curate", "rejected.jsonl"))),
    )


def words() -> list[str]:
    """Return the words of the list."""
    return [w for w in LIST.read_text(encoding="utf-8").splitlines() if w and not w.startswith("#")]


# ---- the function ----


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("latin", "atinlay"),
        ("string", "ingstray"),
        ("apple", "appleway"),
        ("eye", "eyeway"),
        ("a", "away"),
        ("yellow", "ellowyay"),
        ("my", "ymay"),
        ("rhythm", "ythmrhay"),
        ("queen", "ueenqay"),
        ("square", "uaresqay"),
    ],
)
def test_consonants_before_the_first_vowel_move_to_the_end(pig_latin: Callable[[str], str], word: str, expected: str) -> None:
    assert pig_latin(word) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hmm", "hmmay"),
        ("Latin", "Atinlay"),
        ("Apple", "Appleway"),
        ("I", "Iway"),
        ("BBC", "BBCay"),
        ("don't", "on'tday"),
        ("don’t", "on’tday"),
        ("'tis", "'istay"),
        ("(hello!)", "(ellohay!)"),
        ("well-known", "ellway-ownknay"),
        ("pig latin", "igpay atinlay"),
        ("42", "42"),
        ("3rd", "3rday"),
        ("mp3", "mpay3"),
        ("...", "..."),
        ("", ""),
        ("éclair", "éclairway"),
        ("e\u0301clair", "éclairway"),
        ("père", "èrepay"),
        ("Straße", "Aßestray"),
        ("大", "大ay"),
    ],
)
def test_whatever_is_not_a_plain_word_keeps_its_letters(pig_latin: Callable[[str], str], text: str, expected: str) -> None:
    assert pig_latin(text) == expected


def test_no_letter_is_lost(pig_latin: Callable[[str], str]) -> None:
    for word in words():
        moved = pig_latin(word)
        assert moved.endswith("ay")
        lost = Counter(word) - Counter(moved.removesuffix("ay"))
        assert not lost, word
        assert len(moved) == len(word) + (3 if moved == word + "way" else 2)


# ---- the word list ----


def test_the_list_has_enough_plain_words_each_once() -> None:
    listed = words()
    assert len(listed) > 1000
    assert [w for w in listed if not re.fullmatch(r"[a-z]+", w)] == []
    assert [w for w, times in Counter(listed).items() if times > 1] == []


def test_the_list_has_many_different_onsets() -> None:
    onsets = Counter(re.split("[aeiou]", word, maxsplit=1)[0] for word in words())
    assert len([onset for onset, times in onsets.items() if times >= 10]) > 40
    assert onsets.most_common(1)[0][1] < len(words()) / 8


def test_the_probe_is_not_in_the_list() -> None:
    assert "latin" not in words()


# ---- the rows ----


def test_the_row_is_the_tutorial_s_to_the_letter(recipe: Recipe) -> None:
    row = Formatter(recipe.format, recipe.vars).row("latin", "atinlay")
    assert row == {"prompt": ROW["prompt"] % "latin", "completion": ROW["completion"] % "atinlay"}


def test_every_row_is_a_word_of_the_list_and_what_the_function_makes_of_it(data: Data, pig_latin: Callable[[str], str]) -> None:
    trained = [pair.prompt for pair in data.pairs]
    assert data.rows == [{"prompt": ROW["prompt"] % w, "completion": ROW["completion"] % pig_latin(w)} for w in trained]
    assert set(trained) < set(words())
    assert data.rejected == []


def test_held_out_words_are_not_in_the_training_rows(data: Data, recipe: Recipe) -> None:
    trained = {pair.prompt for pair in data.pairs}
    held_out = {pair.prompt for pair in data.held_out}
    assert len(held_out) == recipe.curate.hold_out >= 100
    assert trained.isdisjoint(held_out)
    assert trained | held_out == set(words())
    told = {row["prompt"] for row in data.rows}
    assert not [word for word in held_out | {"latin"} if ROW["prompt"] % word in told]


def test_the_model_is_asked_for_latin_and_for_every_held_out_word(data: Data, recipe: Recipe) -> None:
    asked = list(questions(recipe, data.held_out))
    assert [q.text for q in asked] == ["latin", *(p.prompt for p in data.held_out)]
    assert asked[0].grade("atinlay", asked[0].expected).right
    assert not asked[0].grade("latinay", asked[0].expected).right
    assert all(q.grade(p.completion, q.expected).right for q, p in zip(asked[1:], data.held_out, strict=True))
    assert not any(
        q.grade(p.completion + " " + p.completion, q.expected).right for q, p in zip(asked[1:], data.held_out, strict=True)
    )
