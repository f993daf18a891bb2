"""Every reply is asked for once: counted at the server, over reruns, edits, kills, sweeps and processes at once."""

from __future__ import annotations

import json
import signal
import threading
from collections import Counter
from pathlib import Path

import pytest

from ftbuild.testing import Reply, Request
from tests import workshop as workshops
from tests.workshop import ARTICLE, REQUESTS, SECTIONS, TEACHER, Workshop, answer, finish, sections, wait_for

SENTENCES = 500
ONE_EACH = ("~prompts.reasons", "prompts.facts.unit=sentence", "structure.select=[Log]", "until=curate")


def test_five_hundred_requests_are_asked_once_through_kills_reruns_and_edits(tmp_path: Path) -> None:
    seen, enough, go_on = [0], threading.Event(), threading.Event()
    lock = threading.Lock()

    def reply(request: Request) -> Reply:
        with lock:
            seen[0] += 1
            held = seen[0] > SENTENCES // 2 and not go_on.is_set()
        if held:
            enough.set()
            go_on.wait(120)
        return answer(request)

    log = "\n== Log ==\n" + " ".join(f"On day {n} the lamp was lit." for n in range(SENTENCES)) + "\n"
    with workshops.provider(reply) as provider:
        workshop = Workshop.at(tmp_path, provider, ARTICLE + log)
        with workshop.start("+recipe=lighthouse", *ONE_EACH, "provider.concurrency=4") as process:
            assert enough.wait(120)
            wait_for(lambda: seen[0] == SENTENCES // 2 + 4)
            process.kill()
            process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
        go_on.set()
        assert workshop.process(*ONE_EACH).ran[0] == "generate"
        assert len(workshop.prompts) == SENTENCES
        assert len(workshop.asked()) <= SENTENCES + 4, "the rest, and at most what was in flight"

        workshop.forget()
        assert workshop.build(*ONE_EACH) == []
        assert workshop.requests == [], "again: none"

        workshop.edit("texts/article.wikitext", "On day 77 ", "On the night of day 77 ")
        workshop.build(*ONE_EACH)
        (request,) = workshop.requests
        assert "On the night of day 77 the lamp was lit." in request.prompt


def test_one_word_in_one_prompt_asks_again_exactly_what_is_rendered_from_it(workshop: Workshop) -> None:
    workshop.edit("prompts/reasons.j2", "reasons", "good reasons")
    workshop.build("until=generate")
    assert sections(workshop.prompts) == {"Introduction", "History", "Tower", "Keepers"}
    assert all(p.startswith("Write 3 good reasons") for p in workshop.prompts)
    assert len(workshop.asked()) == SECTIONS


def test_one_section_of_the_article_asks_again_about_that_section(workshop: Workshop) -> None:
    workshop.edit("texts/article.wikitext", "forty years", "forty-one years")
    workshop.build("until=generate")
    assert sections(workshop.prompts) == {"Keepers"}
    assert Counter(p.split()[2] for p in workshop.prompts) == {"facts,": 1, "reasons,": 1}


def test_one_template_more_asks_for_its_own_replies_alone(workshop: Workshop) -> None:
    workshop.write("prompts/dates.j2", "Write {{ pairs }} dates, as pairs, about the section {{ section }}:\n{{ text }}\n")
    workshop.build("until=generate", "+prompts.dates={file: dates.j2, pairs: 3}")
    assert all(p.startswith("Write 3 dates") for p in workshop.prompts)
    assert len(workshop.asked()) == SECTIONS
    workshop.forget()
    workshop.build("until=generate", "~prompts.facts", "train.suffix=other")
    assert workshop.requests == [], "one template less asks nothing"


def test_two_processes_that_want_the_same_replies_ask_once(tmp_path: Path) -> None:
    """Their stages differ in another template, so that neither waits for the other's stage."""
    go_on, others = threading.Event(), threading.Event()

    def reply(request: Request) -> Reply:
        if request.model == TEACHER:
            if request.body["seed"] == 99:
                others.set()
            elif request.prompt.startswith("Write 3 facts"):
                go_on.wait(120)
        return answer(request)

    with workshops.provider(reply) as provider:
        workshop = Workshop.at(tmp_path, provider)
        with workshop.start("+recipe=lighthouse", "until=curate", "--json") as one:
            wait_for(lambda: len(workshop.prompts) == REQUESTS)  # all it asks at once
            with workshop.start("+recipe=lighthouse", "until=curate", "prompts.reasons.seed=99", "--json") as other:
                assert others.wait(60)  # it asks at once, too, what nobody else asks
                go_on.set()
                both = [finish(one), finish(other)]
        assert all("generate" in ran.ran for ran in both)
        facts = {p: n for p, n in workshop.prompts.items() if p.startswith("Write 3 facts")}
        assert facts == dict.fromkeys(facts, 1)
        assert len(workshop.asked()) == REQUESTS + SECTIONS
        generated = [ran.json["stages"]["generate"]["facts"] for ran in both]
        assert sum(g["cached"] for g in generated) == SECTIONS, "each reply is paid for in one of the two"


def swept(workshop: Workshop, *words: str) -> list[dict[str, object]]:
    jobs = workshop.run("-m", *words, "--json").json["jobs"]
    assert [job["error"] for job in jobs] == [""] * len(jobs)
    return list(jobs)


def test_a_sweep_sends_only_distinct_requests_and_then_none(workshop: Workshop) -> None:
    words = ("prompts.facts.seed=1,11", "until=train")
    assert len(swept(workshop, *words)) == 2
    assert len(workshop.asked()) == SECTIONS, "what the other seed is asked, and all else is known"
    assert workshop.created == 0, "the rows are the same whatever the seed"
    workshop.forget()
    assert len(swept(workshop, *words)) == 2
    assert workshop.requests == []


@pytest.mark.slow
def test_a_sweep_of_forty_jobs_sends_only_distinct_requests(built_workshop: Workshop, tmp_path: Path) -> None:
    workshop = Workshop.at(tmp_path, built_workshop.provider)
    seeds, epochs, held_out = (1, 11), (1, 2, 3, 4, 5), (0, 1, 2, 3)
    values = [",".join(map(str, v)) for v in (seeds, epochs, held_out)]
    jobs = swept(workshop, f"prompts.facts.seed={values[0]}", f"train.epochs={values[1]}", f"curate.hold_out={values[2]}")
    assert len(jobs) == 40
    bodies = Counter(json.dumps(r.body, sort_keys=True) for r in workshop.asked())
    assert set(bodies.values()) == {1}
    assert len(bodies) == REQUESTS + SECTIONS
    uploads = [r.body["file"][1] for r in workshop.requests if (r.method, r.path) == ("POST", "/files")]
    assert len(uploads) == len(set(uploads)), "each file is sent once"
    assert workshop.created == len(uploads) * len(epochs)
