"""The stage `clean`: accounts of what each rule took, documents that cannot be cleaned, all cores; and the verb."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from ftbuild.cleaning import cleaned, differences, of_document, refuse
from ftbuild.errors import ConfigError, FtbuildError, SourceError
from ftbuild.limits import OutOfTime, limit
from ftbuild.pool import mapped
from ftbuild.recipe import Clean, CleanTest
from ftbuild.records import Document, write_jsonl
from ftbuild.registries import RULES
from ftbuild.registry import Use
from ftbuild.ruletests import failures
from tests.helpers import compose, run_stage
from tests.workshop import Workshop

GOOD = Document("good", "Good", "One  line.\n\nWrite to a@b.example.", "text")
SLOW = Document("slow", "Slow", "a" * 60, "text")
EMPTY = Document("empty", "Empty", "  \n", "text")
SHORT = Document("short", "Short", "No.", "text")


def use(rule: str, **params: Any) -> Use[Any]:
    return RULES.use(rule, **params)


RULES_ = {"private": use("redact"), "length": use("min_length", characters=10), "space": use("whitespace")}


def stage(folder: Path, *documents: Document, **wanted: Any) -> tuple[dict[str, list[dict[str, Any]]], dict[str, Any]]:
    return run_stage("clean", folder, {"clean": Clean(**{"rules": RULES_, **wanted})}, {"fetch/documents.jsonl": documents})


def test_an_account_is_kept_of_what_each_rule_took(tmp_path: Path) -> None:
    made, facts = stage(tmp_path, GOOD, SHORT)
    assert [d["text"] for d in made["documents.jsonl"]] == ["One line.\n\nWrite to [email]."]
    assert made["rules.jsonl"] == [
        {"document": "Good", "before": 33, "after": 28, "removed": {"private": 4, "space": 1}},
        {"document": "Short", "before": 3, "after": 0, "removed": {}},
    ]
    assert made["dropped.jsonl"] == [{"document": "Short", "rule": "length", "reason": "has 3 characters, fewer than 10"}]
    (effects,) = made["effects.json"]
    assert effects["rules"]["private"] == {
        "removed": 4,
        "documents": 1,
        "examples": [{"document": "Good", "text": "a@b.example"}],
    }
    assert (effects["documents"], effects["before"], effects["after"]) == (2, 36, 28)
    assert effects["samples"][0] == {"document": "Good", "before": GOOD.text, "after": "One line.\n\nWrite to [email]."}
    assert facts == {"removed": {"private": 4, "space": 1}, "characters": 28, "dropped": 1}


def test_a_document_that_cannot_be_cleaned_is_left_out_and_the_others_go_on(tmp_path: Path) -> None:
    rules = {"slow": use("regex", pattern="(a|a)+b"), "space": use("whitespace")}
    made, _ = stage(tmp_path, SLOW, EMPTY, GOOD, rules=rules, seconds=0.3)
    assert [d["id"] for d in made["documents.jsonl"]] == ["good"]
    slow, empty = made["dropped.jsonl"]
    assert (slow["document"], slow["rule"]) == ("Slow", "slow")
    assert "takes" in slow["reason"]
    assert empty == {"document": "Empty", "rule": "slow", "reason": "nothing is left of it"}


def test_or_ends_the_build(tmp_path: Path) -> None:
    rules = {"slow": use("regex", pattern="(a|a)+b")}
    with pytest.raises(SourceError, match=r"^Slow: slow: ") as caught:
        stage(tmp_path, GOOD, SLOW, rules=rules, seconds=0.3, on_error="stop")
    assert caught.value.hint == "if it is the document's fault, clean.on_error=skip goes on without it"


def test_a_rule_that_fails_with_all_documents_is_not_tried_for_hours(tmp_path: Path) -> None:
    documents = [Document(f"{n}", f"Page {n}", "a" * 60, "text") for n in range(1, 100)]
    with pytest.raises(SourceError, match=r"^Page 20: slow: "):
        stage(tmp_path, *documents, rules={"slow": use("regex", pattern="(a|a)+b")}, seconds=0.02, jobs=1)


def test_that_nothing_is_left_of_any_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"Short: the cleaning rules left nothing of it \(length: .*, nor of 1 others"):
        stage(tmp_path, SHORT, EMPTY)


def test_a_rule_that_can_work_on_no_document_is_an_error_of_the_recipe(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not work"):
        stage(tmp_path, GOOD, rules={"bad": use("regex", pattern="(")})


def test_what_a_rule_does_wrong_is_told_with_its_name_and_the_document() -> None:
    def broken(text: str) -> str:
        raise KeyError(text[:3])

    (item,) = cleaned([json.dumps(vars(GOOD))], {}, seconds=1, jobs=1)
    item = of_document(item, [("broken", Use("rule", "whitespace", {}, broken))], 1)
    with pytest.raises(SourceError, match="Good: broken: KeyError: 'One'"):
        refuse(item)


def test_rules_that_look_at_all_documents_stand_anywhere_among_the_others(tmp_path: Path) -> None:
    texts = ["Saltmere  Gazette\nA storm took the first tower of the light.\nno", "Saltmere Gazette\nx y\n",
             "A storm took the  FIRST tower of the light.", "Saltmere Gazette\nend"]  # fmt: skip
    documents = [Document(f"{n}", f"{n}", text, "text") for n, text in enumerate(texts)]
    rules = {
        "doubles": use("duplicate_paragraphs", min_characters=20),
        "space": use("whitespace"),
        "heads": use("repeated_lines", documents=3),
        "length": use("min_length", characters=3),
        "wiki": use("drop_comments"),
    }
    made, _ = stage(tmp_path, *documents, rules=rules)
    assert [(d["id"], d["text"]) for d in made["documents.jsonl"]] == [
        ("0", "A storm took the first tower of the light.\nno"),
        ("1", "x y"),
        ("3", "end"),
    ]
    assert made["dropped.jsonl"] == [{"document": "2", "rule": "doubles", "reason": "nothing is left of it"}]
    assert made["rules.jsonl"][0]["removed"] == {"space": 1, "heads": 17}


def _double(start: int, number: int) -> int:
    return start + 2 * number


def _begin(start: int) -> int:
    return start


def test_any_number_of_processes_gives_the_same_in_the_same_order() -> None:
    given = iter(range(300))
    made = mapped(_double, given, setup=_begin, given=1, jobs=2, alone=0)
    assert next(made) == 1
    assert next(made) == 3
    assert next(given) < 20, "no more is read than is worked on"
    rest = list(made)
    assert rest[-1] == 599
    assert rest == sorted(rest)


def test_documents_are_cleaned_alike_by_one_process_and_by_several(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ftbuild.pool.ALONE", 0.0)
    monkeypatch.setattr("ftbuild.pool.BATCH", 2000)
    lines = [json.dumps(vars(Document(f"{n}", f"{n}", f"Line  {n}\n" * 50, "text"))) for n in range(40)]
    one, two = (list(cleaned(lines, {"space": use("whitespace")}, seconds=2, jobs=jobs)) for jobs in (1, 2))
    assert one == two
    assert json.loads(one[-1].line)["text"].endswith("Line 39")


def test_a_limit_stops_what_is_in_the_middle_of_an_expression() -> None:
    with pytest.raises(OutOfTime), limit(0.1):
        re.match(r"(a|a)+b", "a" * 60)
    with limit(0.1):
        pass


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ("same", "same", []),
        ("One line that goes on. Two. Three more words.", "One line that goes on. Three more words.", ["Two. "]),
        ("A long beginning. gone", "A long beginning.", [" gone"]),
        ("gone A long ending.", "A long ending.", ["gone "]),
        ("All of it", "", ["All of it"]),
    ],
)
def test_differences_are_what_a_rule_took(before: str, after: str, found: list[str]) -> None:
    assert differences(before, after, 2) == found


# ---- tests that a recipe carries ----


def test_the_tests_of_a_recipe_say_what_came_instead() -> None:
    tests = {
        "right": CleanTest("a  b", "a b"),
        "wrong": CleanTest("a  b\nc", "a  b\nc", rules=("space",), format="text"),
        "several": CleanTest(("a@b.example and so on", "x"), ("[email] and so on", ""), format="text"),
    }
    rules = {"private": use("redact"), "space": use("whitespace"), "length": use("min_length", characters=3)}
    (failure,) = failures(Clean(rules=rules, tests=tests))
    assert failure.test == "wrong"
    assert [line for line in failure.diff() if "?" not in line] == ["  - a  b", "  + a b", "    c"]


def test_a_test_that_names_a_rule_that_there_is_not_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"clean\.tests\.x\.rules: there is no rule 'spaces'; did you mean 'space'\?"):
        list(failures(Clean(rules={"space": use("whitespace")}, tests={"x": CleanTest("a", "a", rules=("spaces",))})))


def test_tests_of_a_rule_that_was_switched_off_do_not_keep_a_build_from_going_on(tmp_path: Path) -> None:
    made, _ = stage(tmp_path, GOOD, tests={"off": CleanTest("a", "b", rules=("another",))})
    assert len(made["documents.jsonl"]) == 1


@pytest.mark.parametrize(
    "overrides", [("recipe=agrippina",), ("recipe=agrippina", "clean=text"), ("recipe=pig_latin", "clean=private")]
)
def test_the_tests_that_are_shipped_pass(overrides: tuple[str, ...]) -> None:
    wanted = compose(*overrides).clean
    assert wanted.tests
    assert list(failures(wanted, lenient=True)) == []
    assert any(set(test.rules) <= set(wanted.rules) for test in wanted.tests.values())


def test_documents_are_not_cleaned_by_rules_that_fail_their_tests(tmp_path: Path) -> None:
    with pytest.raises(FtbuildError, match=r"clean\.tests\.wrong: the rules do not make of it what is expected"):
        stage(tmp_path, GOOD, tests={"wrong": CleanTest("a  b c d e f", "a")})


# ---- the command line ----


@pytest.fixture
def article(workshop: Workshop) -> Workshop:
    recipe = workshop.folder / "conf" / "recipe"
    file = next(recipe.glob("*.yaml"))
    file.write_text(file.read_text(encoding="utf-8") + "\nclean:\n  tests:\n    bold: {given: \"a '''b'''\", expect: a b}\n")
    return workshop


def test_ftbuild_clean_shows_what_each_rule_took_and_asks_nobody(article: Workshop) -> None:
    ran = article.call("clean", "+recipe=lighthouse", "--diff")
    assert ran.code == 0, ran.err
    assert "1 document: " in ran.out
    assert re.search(r"a comment of the editors", ran.out)
    assert "-The '''Saltmere Light''' is a lighthouse.<!-- a comment of the editors -->" in ran.out
    assert "+The Saltmere Light is a lighthouse." in ran.out
    told = json.loads(article.call("clean", "+recipe=lighthouse", "--document", "salt", "--json").out)
    assert told["document"]["title"] == "Saltmere Light"
    assert told["document"]["after"].startswith("The Saltmere Light is a lighthouse.")
    assert told["dropped"] == []
    assert article.requests == []
    assert "did you mean" in article.call("clean", "+recipe=lighthouse", "--document", "Saltmere Ligth").err


def test_ftbuild_check_runs_the_tests_of_a_recipe(article: Workshop) -> None:
    good = article.call("check", "+recipe=lighthouse")
    assert (good.code, "1 of 1 tests of rules passed" in good.out) == (0, True), good.err
    bad = article.call("check", "+recipe=lighthouse", "clean.tests.bold.expect=ab")
    assert bad.code == 1
    assert "- ab" in bad.out
    assert "+ a b" in bad.out


def test_the_stage_writes_what_it_read(tmp_path: Path) -> None:
    """Documents come out as they went in but for their text."""
    document = Document("x", "X", "text  here", "markdown", {"revision": 7, "url": "https://example.org"})
    write_jsonl(tmp_path / "one.jsonl", [document])
    (item,) = cleaned((tmp_path / "one.jsonl").read_text(encoding="utf-8").splitlines(), {}, seconds=1)
    assert json.loads(item.line) == vars(document)
