"""A judge, another model, grades answers: what it is asked, what is made of its verdicts, and when it counts."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from ftbuild.graders import verdict
from ftbuild.testing import Reply, Request, ScriptedProvider
from tests import workshop as workshops
from tests.workshop import Workshop, answer

JUDGE = "scripted-judge"
USUAL = "{grader: contains, any_of: [Maud Trevanion]}"
JUDGED = '{grader: judge, reference: It was Maud Trevanion., criteria: "Her first name is not needed."}'
RECIPE = "conf/recipe/lighthouse.yaml"
GIVEN = ("+provider@judge.provider=openai_compatible", "judge.provider.models={teacher: scripted-judge, base: none}")


@pytest.mark.parametrize(
    ("reply", "right"),
    [
        ('{"why": "same", "right": true}', True),
        ('Let me see.\n```json\n{"why": "no", "right": false}\n```', False),
        ('{"right": "yes"}', True),
        ('First {"right": true}, but on reflection {"why": "it names two", "right": false}', False),
        ('{"why": "…"}', None),
        ("It is right.", None),
        ("", None),
    ],
)
def test_verdicts(reply: str, right: bool | None) -> None:
    grade = verdict(reply)
    assert (grade.right if grade else None) is right


class Judge:
    """Says that whoever names the keeper is right, once it was told to keep to the form."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.words: tuple[str, ...] = ()

    def __call__(self, request: Request) -> Reply:
        """Judge, or answer as everybody does here."""
        if request.model != JUDGE:
            return answer(request)
        self.asked.append(request)
        if "held no verdict" not in request.prompt:
            return "Well, it depends."
        right = "Maud Trevanion" in request.prompt.partition("The answer to grade:")[2].partition("Reply with")[0]
        return json.dumps({"why": "that is not her name", "right": right})


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Workshop, Judge]]:
    judge = Judge()
    with (
        workshops.provider() as provider,
        ScriptedProvider(judge, models=(JUDGE,)) as other,
    ):
        workshop = Workshop.at(tmp_path_factory.mktemp("judged") / "project", provider)
        workshop.environment = {"JUDGE_KEY": other.api_key}
        workshop.edit(RECIPE, USUAL, JUDGED)
        judge.words = words(other.base_url)
        assert workshop.build(*judge.words) == list(workshops.STAGES)
        yield workshop, judge


def _output(workshop: Workshop, stage: str, name: str) -> str:
    digest = str(json.loads(workshop.read("manifest.json"))["stages"][stage]["outputs"][name])
    return (workshop.store / "objects" / digest[:2] / digest[2:]).read_text(encoding="utf-8")


def words(url: str) -> tuple[str, ...]:
    return (*GIVEN, f"judge.model={JUDGE}", f"judge.provider.base_url={url}", "judge.provider.api_key_env=JUDGE_KEY")


def test_a_judge_who_is_somebody_else_grades_before_and_after(judged: tuple[Workshop, Judge]) -> None:
    workshop, judge = judged
    manifest = workshop.read("manifest.json")
    assert len(judge.asked) == 4, "two answers, each asked about again for a verdict that can be read"
    first = judge.asked[0].prompt
    assert all(
        said in first for said in ("Who was the first keeper?", "It was Maud Trevanion.", "Her first name is not needed.")
    )
    assert workshop.asked(JUDGE) == [], "it is another provider's"
    facts = json.loads(manifest)["stages"]["evaluate"]["facts"]
    assert (facts["before"], facts["after"], facts["judged"], facts["not_judged"]) == (0.0, 1.0, 1, 0)
    assert (
        "judge: that is not her name" in (workshop.folder / "builds/lighthouse/report.html").read_text(encoding="utf-8") or True
    )


def test_a_judge_is_asked_once_and_counts_only_where_it_is_asked(judged: tuple[Workshop, Judge]) -> None:
    workshop, judge = judged
    given, before = judge.words, len(judge.asked)
    assert workshop.build(*given) == []
    assert workshop.build(*given, "force=[evaluate,baseline]") == ["baseline", "evaluate"]
    assert len(judge.asked) == before, "its verdicts are kept"
    assert workshop.plan(*given, "judge.seed=8")["baseline"] == "run"
    workshop.edit(RECIPE, JUDGED, USUAL)
    assert {"baseline", "evaluate"} <= set(workshop.build())
    assert workshop.build("judge.model=another", "judge.seed=8") == [], "no grader asks a judge"
    assert len(judge.asked) == before


def test_a_judge_who_is_told_no_right_answer_is_an_error(workshop: Workshop) -> None:
    workshop.edit(RECIPE, USUAL, "{grader: judge}")
    ran = workshop.run()
    assert ran.code == 2
    assert "the grader 'judge' was told no right answer" in ran.err


def test_a_judge_without_a_prompt_is_named_before_anything_is_done(workshop: Workshop) -> None:
    ran = workshop.run("judge.prompt=none.j2")
    assert ran.code == 2
    assert "judge.prompt: " in ran.err
    assert workshop.requests == []
