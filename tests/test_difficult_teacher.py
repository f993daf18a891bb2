"""What teachers do wrong: replies that are empty, refused, cut off or half broken, and what becomes of the rest.

One build of the shipped recipe with a teacher that does all of it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ftbuild.testing import CutOff, Empty, Refusal, Reply, Request, ScriptedProvider, Status, numbered_pairs
from tests.hosted import PAIRS, SECTIONS, TEACHER, THRONE, Place, Ran, about, teacher

BAD_LINES = ['{"prompt": "What is missing?"}', '{"prompt": "Who said "no"?", "completion": "She did."}', "Here you are:"]


class DifficultTeacher:
    """A script that answers every basic prompt well, and the detailed ones each in its own way."""

    def __init__(self) -> None:
        self.times: dict[str, int] = {}

    def reply(self, request: Request) -> Reply:
        """Answer one request."""
        good = numbered_pairs(PAIRS)(request)
        lines, section = good.split("\n"), about(request)[1]
        if "short question" in request.prompt:
            return good
        self.times[section] = self.times.get(section, 0) + 1
        match section:
            case "Act 1":
                return Empty()
            case "Act 2":
                return Refusal("I must not talk about poison.")
            case "Act 3":
                return "I am sorry, there is nothing to ask."
            case "The story in brief":
                return CutOff("\n".join([*lines[:7], lines[7][:40]]))
            case "The people of the story":
                slow = Status(429, code="rate_limit_exceeded", message="slow down", retry_after=0.05)
                replies: list[Reply] = [slow, Empty(), good]
                return replies[self.times[section] - 1]
            case "Synopsis":
                probe = json.dumps({"prompt": THRONE.upper(), "completion": "Nero."})
                return "\n".join(["```json", BAD_LINES[2], *lines[:3], *BAD_LINES[:2], *lines[3:], probe, "```"])
            case _:
                return good


@dataclass
class Difficult:
    """A build with the difficult teacher."""

    place: Place
    ran: Ran
    times: dict[str, int]

    def rejected(self, *path: str) -> list[Mapping[str, Any]]:
        """Return what was rejected of one section."""
        return [r for r in self.place.records("rejected.jsonl") if r["origin"]["path"] == list(path)]

    def pairs(self, *path: str) -> int:
        """Return how many pairs the detailed prompt gave for a section."""
        origins = [p["origin"] for p in self.place.records("pairs.jsonl")]
        return sum(o["template"] == "detailed" and o["path"] == list(path) for o in origins)

    @property
    def units(self) -> list[Mapping[str, Any]]:
        """How each unit of text ended."""
        return [json.loads(line) for line in self.place.output("generate", "units.jsonl").split("\n") if line]


@pytest.fixture(scope="module")
def difficult(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Difficult]:
    script = DifficultTeacher()
    with ScriptedProvider(teacher(script.reply), tuned_reply="Nero") as provider:
        place = Place(tmp_path_factory.mktemp("difficult"), provider)
        yield Difficult(place, place.run(), dict(script.times))


def test_a_build_gets_along_with_a_difficult_teacher(difficult: Difficult) -> None:
    assert difficult.ran.code == 0, difficult.ran.err
    assert len(difficult.place.asked(TEACHER)) == SECTIONS + sum(difficult.times.values())
    assert (
        len(difficult.place.records("dataset.jsonl")) == (SECTIONS * 2 - 4) * PAIRS + 21
    )  # three gave nothing, one seven, three times


@pytest.mark.parametrize(
    ("act", "why"),
    [("Act 1", "an empty reply"), ("Act 2", "I must not talk about poison."), ("Act 3", "nothing usable")],
    ids=["empty", "refused", "no pairs"],
)
def test_a_reply_without_pairs_is_asked_for_again_and_then_reported(difficult: Difficult, act: str, why: str) -> None:
    assert difficult.times[act] == 3
    assert difficult.pairs("Synopsis", act) == 0
    (reason,) = [r["reason"] for r in difficult.rejected("Synopsis", act) if why in r["reason"]]
    assert "3 attempts" in reason
    assert re.search(rf"warning: detailed for Synopsis / {act} gave nothing: .*{re.escape(why)}", difficult.ran.err)


def test_a_reply_that_is_better_later_is_taken(difficult: Difficult) -> None:
    assert difficult.times["The people of the story"] == 3  # told to wait, answered with nothing, answered
    assert difficult.pairs("Synopsis", "The people of the story") == PAIRS
    assert difficult.rejected("Synopsis", "The people of the story") == []


def test_a_reply_that_is_cut_off_keeps_its_good_lines(difficult: Difficult) -> None:
    lost, *others = difficult.rejected("Synopsis", "The story in brief")
    assert len(others) == 2, "the same befell both replies to the request for the rest"
    assert lost["reason"] == "cut off in the middle (the reply was cut off)"
    assert lost["raw"].startswith('{"prompt": "What is fact 8')
    assert (lost["origin"]["template"], lost["origin"]["line"]) == ("detailed", 8)


def test_pairs_that_are_missing_are_asked_for_and_those_that_exist_are_named(difficult: Difficult) -> None:
    assert difficult.times["The story in brief"] == 3
    assert difficult.pairs("Synopsis", "The story in brief") == 21
    asked = [
        r.prompt
        for r in difficult.place.asked(TEACHER)
        if 'The story in brief"' in r.prompt and "short question" not in r.prompt
    ]
    first, second, third = sorted(asked, key=len)
    assert second.startswith(first)
    assert "Write 13 more" in second
    assert "Write 6 more" in third
    assert len(re.findall(r"^- What is fact", third, re.MULTILINE)) == 14
    (unit,) = [u for u in difficult.units if u["path"][-1] == "The story in brief" and u["template"] == "detailed"]
    assert (unit["end"], unit["pairs"], unit["wanted"], len(unit["requests"])) == ("repaired", 21, 20, 3)


def test_a_reply_of_no_use_is_asked_for_again_with_what_was_wrong(difficult: Difficult) -> None:
    hints = {
        "Act 1": "could not be used: it was empty.",
        "Act 2": "could not be used: it was a refusal.",
        "Act 3": "could not be used: no JSON object. It began: 'I am sorry, there is nothing to ask.'",
    }
    for act, hint in hints.items():
        asked = [r for r in difficult.place.asked(TEACHER) if f'{act}"' in r.prompt and "short question" not in r.prompt]
        first, *others = sorted(asked, key=lambda r: len(r.prompt))
        assert len(others) == 2
        assert all(r.prompt.startswith(first.prompt) and hint in r.prompt for r in others)
        assert len({r.body["seed"] for r in asked}) == 3


def test_every_unit_is_accounted_for(difficult: Difficult) -> None:
    ends = Counter(u["end"] for u in difficult.units)
    assert ends == {"ok": SECTIONS * 2 - 5, "repaired": 2, "rejected": 1, "failed": 2}
    assert f"{SECTIONS * 2} units: {ends['ok']} ok, 2 repaired, 1 rejected, 2 failed" in difficult.ran.err


def test_a_bad_line_costs_that_line_only_and_no_probe_is_trained_on(difficult: Difficult) -> None:
    assert difficult.times["Synopsis"] == 1
    assert difficult.pairs("Synopsis") == PAIRS
    lost = {r["raw"]: r for r in difficult.rejected("Synopsis")}
    assert [lost[b]["origin"]["line"] for b in BAD_LINES] == [6, 7, 2]
    assert "completion" in lost[BAD_LINES[0]]["reason"]
    assert "JSON" in lost[BAD_LINES[1]]["reason"]
    (probe,) = set(lost) - set(BAD_LINES)
    assert lost[probe]["reason"] == "is a probe"
    assert "throne" not in json.dumps(difficult.place.provider.rows(difficult.place.jobs[0])).lower()


def test_what_gave_nothing_is_not_paid_for_by_every_build(difficult: Difficult) -> None:
    sent = len(difficult.place.requests)
    assert "nothing to do" in difficult.place.run().out
    assert len(difficult.place.requests) == sent


@pytest.mark.parametrize(
    ("answer", "code", "told"),
    [
        ({"error": {"message": "but with status 200"}}, 3, "no answer of a model"),
        (b"<html>Welcome</html>", 3, "no answer of a model"),
        ({"object": "chat.completion", "choices": []}, 1, "an empty reply"),
    ],
    ids=["an error as if it were none", "a web page", "no choice"],
)
def test_an_answer_that_is_none_ends_the_build(tmp_path: Path, answer: Any, code: int, told: str) -> None:
    with ScriptedProvider(teacher(), fault=lambda _: answer) as provider:
        ran = Place(tmp_path, provider).run()
    assert ran.code == code
    assert told in ran.err


def test_too_many_that_give_nothing_end_the_build_which_keeps_the_replies(tmp_path: Path) -> None:
    script = DifficultTeacher()
    with ScriptedProvider(teacher(script.reply)) as provider:
        place = Place(tmp_path, provider)
        ran = place.run("teacher.max_failed=0.1", "until=generate")
        assert ran.code == 1
        assert f"nothing usable for 3 of {SECTIONS * 2} units (21%), and 10% may fail" in ran.err
        assert not (tmp_path / "builds").exists()
        before = len(place.asked(TEACHER))
        assert place.run("until=generate").code == 0, "the limit is no part of what is made"
        assert len(place.asked(TEACHER)) == before + 3, "only what gave nothing is asked again, once"


def test_a_teacher_that_never_says_anything_usable_ends_the_build(tmp_path: Path) -> None:
    with ScriptedProvider(teacher(lambda _: Refusal("No."))) as provider:
        ran = Place(tmp_path, provider).run()
        assert ran.code == 1
        assert "refused: No." in ran.err
        assert provider.jobs == []
