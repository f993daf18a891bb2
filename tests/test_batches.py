"""Asking by the batch: the same replies kept, no line submitted twice, whatever a batch leaves over asked for again."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from ftbuild.console import Console
from ftbuild.exchange import Once
from ftbuild.exchange import Request as Exchanged
from ftbuild.recipe import Batches, Provider
from ftbuild.services import Services
from ftbuild.store import Store
from ftbuild.testing import Batching, Reply, Request, ScriptedProvider, Status
from tests import workshop as workshops
from tests.workshop import REQUESTS, TEACHER, Workshop, answer, finish, wait_for

BATCH = ("teacher.mode=batch", "provider.batch.poll_seconds=0.01", "until=generate")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Workshop]:
    with workshops.provider() as provider:
        yield Workshop.at(tmp_path, provider)


def scripted(folder: Path, reply: Callable[[Request], Reply]) -> Iterator[Workshop]:
    with workshops.provider(reply) as provider:
        yield Workshop.at(folder, provider)


def created(workshop: Workshop) -> int:
    return sum((r.method, r.path) == ("POST", "/batches") for r in workshop.requests)


def lines(workshop: Workshop) -> list[Any]:
    """Return the lines of all batch files that were uploaded."""
    uploads = [r.body["file"][1] for r in workshop.requests if (r.method, r.path) == ("POST", "/files")]
    return [json.loads(line) for content in uploads for line in content.split(b"\n") if line]


def records(workshop: Workshop) -> list[Path]:
    return list((workshop.store / "batches").glob("*.json"))


def test_a_batch_gives_what_asking_live_gives_and_leaves_nothing_behind(place: Workshop) -> None:
    ran = place.run(*BATCH, "--json")
    assert ran.ran[-1] == "generate"
    assert (created(place), place.asked()) == (1, [])
    assert len({line["custom_id"] for line in lines(place)}) == REQUESTS
    assert all(len(line["custom_id"]) == 64 for line in lines(place))
    assert records(place) == []
    assert place.provider.files == [], "what was uploaded and what came back is removed"
    facts = ran.json["stages"]["generate"]["facts"]
    assert (facts["requests"], facts["cached"], facts["ok"]) == (REQUESTS, 0, REQUESTS)
    assert facts["spent"]["requests"] == REQUESTS

    place.forget()
    live = place.run("until=generate", "force=[generate]", "--json").json["stages"]["generate"]
    assert place.requests == [], "the same replies, and the same key"
    assert live["outputs"] == ran.json["stages"]["generate"]["outputs"]
    assert live["key"] == ran.json["stages"]["generate"]["key"]


def test_batches_are_split_by_requests_and_by_bytes(place: Workshop) -> None:
    place.run(*BATCH, "provider.batch.requests=3")
    assert [b["request_counts"]["total"] for b in place.provider.batches] == [3, 3, 2]
    place.run(*BATCH, "prompts.facts.seed=99", "prompts.reasons.seed=98", "provider.batch.megabytes=0.001")
    assert len(place.provider.batches) > 5
    ran = place.run(*BATCH, "prompts.facts.seed=100", "provider.batch.megabytes=0.0001")
    assert ran.code == 2
    assert "larger than a batch may be" in ran.err
    assert records(place) == []


@pytest.mark.parametrize("rest", [0, 20])
def test_what_expired_is_asked_again_by_the_batch_or_live(place: Workshop, rest: int) -> None:
    place.provider.batching = Batching(expires_after=5)
    ran = place.run(*BATCH, f"provider.batch.rest={rest}", "--json")
    assert ran.json["stages"]["generate"]["facts"]["ok"] == REQUESTS
    assert "5 of 8 answers are kept" in ran.err
    assert (created(place), len(place.asked())) == ((2, 0) if rest == 0 else (1, 3))
    assert Counter(line["custom_id"] for line in lines(place)).most_common(1)[0][1] == (2 if rest == 0 else 1)


def test_a_line_that_fails_is_asked_again_and_then_given_up(tmp_path: Path) -> None:
    def reply(request: Request) -> Reply:
        if "Tower" in request.prompt and "facts" in request.prompt:
            return Status(500, message="out of order")
        return answer(request)

    for place in scripted(tmp_path, reply):
        ran = place.run(*BATCH, "provider.batch.rest=0", "--json")
        facts = ran.json["stages"]["generate"]["facts"]
        assert (facts["ok"], facts["failed"], created(place)) == (REQUESTS - 1, 1, 3)
        assert "HTTP 500: out of order" in ran.err


def test_a_bad_reply_is_repaired_as_it_is_live(tmp_path: Path) -> None:
    def reply(request: Request) -> Reply:
        return answer(request) if "asked before" in request.prompt or "Tower" not in request.prompt else "No pairs today."

    for place in scripted(tmp_path, reply):
        facts = place.run(*BATCH, "provider.batch.rest=0", "--json").json["stages"]["generate"]["facts"]
        assert (facts["ok"], facts["repaired"], created(place), place.asked()) == (REQUESTS - 2, 2, 2, [])


def test_a_batch_that_is_not_valid_says_why(place: Workshop) -> None:
    place.provider.batching = Batching(fails=({"code": "invalid_json_line", "message": "This line is not JSON.", "line": 3},))
    ran = place.run(*BATCH)
    assert ran.code == 1
    assert "was not valid: line 3: This line is not JSON." in ran.err
    assert (records(place), place.provider.files) == ([], [])


def test_a_provider_without_batches_says_how_to_do_without(place: Workshop) -> None:
    place.provider.batching = Batching(refused=Status(404, message="Not Found"))
    ran = place.run(*BATCH)
    assert ran.code == 2
    assert "teacher.mode=live asks without it" in ran.err
    assert records(place) == []


def test_a_batch_that_somebody_cancels_keeps_what_it_answered(place: Workshop) -> None:
    place.provider.batching = Batching(at_once=3)

    def cancelled(_: Request) -> Status | None:
        batch = place.provider.batches[0] if place.provider.batches else None
        if batch and batch["request_counts"]["completed"] >= 3 and batch["status"] == "in_progress":
            place.provider.cancel(batch["id"])
        return None

    place.provider.lost = cancelled
    ran = place.run(*BATCH)
    place.provider.lost = None
    assert ran.code == 1
    assert "was cancelled; 3 of 8 requests were answered, and are kept" in ran.err
    place.provider.batching = Batching()
    assert place.run(*BATCH, "--json").json["stages"]["generate"]["facts"]["ok"] == REQUESTS
    assert len(lines(place)) == REQUESTS + 5


def test_ctrl_c_leaves_the_batch_and_the_same_command_comes_back_to_it(place: Workshop) -> None:
    place.provider.batching = Batching(hold=True)
    with place.start("+recipe=lighthouse", *BATCH) as process:
        wait_for(lambda: place.provider.batches and place.provider.batches[0]["status"] == "in_progress")
        process.send_signal(signal.SIGINT)
        ran = finish(process)
    assert ran.code == 130
    assert "the same command takes its replies when it is done" in ran.err
    assert len(records(place)) == 1
    place.provider.batching = Batching()
    again = place.run(*BATCH, "--json")
    assert again.json["stages"]["generate"]["facts"]["ok"] == REQUESTS
    assert "going on with batch" in again.err
    assert (created(place), records(place)) == (1, [])


@pytest.mark.parametrize("answered", ["/files", "/batches"])
def test_a_kill_between_a_request_and_its_answer_submits_nothing_twice(place: Workshop, answered: str) -> None:
    """The provider does as it was asked, and the process dies before it hears of it."""
    running: list[Any] = []

    def lost(request: Request) -> None:
        if (request.method, request.path) == ("POST", answered):
            running[0].kill()
            running[0].wait()

    place.provider.lost = lost
    running.append(place.start("+recipe=lighthouse", *BATCH))
    assert finish(running[0]).code == -signal.SIGKILL
    place.provider.lost = None
    assert len(records(place)) == 1
    again = place.run(*BATCH, "--json")
    assert again.json["stages"]["generate"]["facts"]["ok"] == REQUESTS
    assert len(place.provider.batches) == 1
    assert (records(place), place.provider.files) == ([], [])


def test_an_answer_that_was_lost_on_the_way_is_looked_for(place: Workshop) -> None:
    place.provider.lost = lambda r: Status(502) if (r.method, r.path) == ("POST", "/batches") else None
    ran = place.run(*BATCH, "provider.retries=1", "--json")
    assert ran.json["stages"]["generate"]["facts"]["ok"] == REQUESTS
    assert len(place.provider.batches) == 1


def test_going_over_to_live_takes_what_the_batch_has_answered(place: Workshop) -> None:
    place.provider.batching = Batching(at_once=3)

    running: list[Any] = []

    def stop(request: Request) -> None:
        if request.path.startswith("/batches/") and place.provider.batches[0]["request_counts"]["completed"] >= 3:
            place.provider.batching = Batching(hold=True)
            running[0].send_signal(signal.SIGINT)

    place.provider.lost = stop
    running.append(place.start("+recipe=lighthouse", *BATCH))
    assert finish(running[0]).code == 130
    place.provider.lost, place.provider.batching = None, Batching()
    answered = place.provider.batches[0]["request_counts"]["completed"]
    assert answered >= 3
    ran = place.run("until=generate", "provider.batch.poll_seconds=0.01", "--json")
    assert ran.json["stages"]["generate"]["facts"]["ok"] == REQUESTS
    assert (place.provider.batches[0]["status"], len(place.asked(TEACHER))) == ("cancelled", REQUESTS - answered)
    assert records(place) == []


def test_two_builds_at_once_share_one_batch(place: Workshop) -> None:
    """Their stages differ in another template, so that neither waits for the other's stage."""
    place.provider.batching = Batching(hold=True)
    with place.start("+recipe=lighthouse", *BATCH, "--json") as one:
        wait_for(lambda: place.provider.batches and place.provider.batches[0]["status"] == "in_progress")
        with place.start("+recipe=lighthouse", *BATCH, "prompts.reasons.seed=99", "--json") as other:
            wait_for(lambda: len(place.provider.batches) == 2)
            place.provider.batching = Batching()
            both = [finish(one), finish(other)]
    assert all(ran.json["stages"]["generate"]["facts"]["ok"] == REQUESTS for ran in both)
    assert [b["request_counts"]["total"] for b in place.provider.batches] == [REQUESTS, REQUESTS // 2]


def test_the_embedded_server_answers_a_batch_as_it_answers_live(
    answering: openai.OpenAI, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMBEDDED_KEY", answering.api_key)
    limits = Batches(requests=4, poll_seconds=0.05)
    provider = Provider(base_url=str(answering.base_url), api_key_env="EMBEDDED_KEY", batch=limits)
    bodies = [{"model": str(tiny_model), "prompt": f"{n} is", "max_tokens": 6, "temperature": 0} for n in range(6)]
    asked = [Once(Exchanged("completion", body)) for body in bodies]
    texts: dict[str, list[str]] = {"live": [], "batch": []}
    before = len(list(answering.files.list()))
    for mode, said in texts.items():
        with Services(Store(tmp_path / mode), Console(quiet=True)) as services:
            teacher = services.teacher(provider, mode=mode)
            teacher.ask(asked, lambda _, replies, said=said: said.append(replies[-1].text))  # type: ignore[misc]
            assert services.spending.tally.requests == len(asked)
    assert texts["batch"] == texts["live"]
    assert all(texts["live"])
    assert len(list(answering.files.list())) == before, "what was uploaded and what came back is removed"


def test_the_scripted_batches_check_what_openai_checks() -> None:
    with (
        ScriptedProvider() as provider,
        openai.OpenAI(base_url=provider.base_url, api_key=provider.api_key, max_retries=0) as client,
    ):
        two = [{"custom_id": "a", "method": "POST", "url": "/v1/completions", "body": {"model": m}} for m in "ab"]
        content = "".join(json.dumps(line) + "\n" for line in two).encode()
        file = client.files.create(file=("a.jsonl", content), purpose="batch")
        batch = client.batches.create(input_file_id=file.id, endpoint="/v1/completions", completion_window="24h")
        batch = client.batches.retrieve(batch.id)
        assert batch.status == "failed"
        assert batch.errors is not None
        assert [e.code for e in batch.errors.data or []] == ["mismatched_model", "duplicate_custom_id"]
        with pytest.raises(openai.BadRequestError):
            client.batches.create(input_file_id="file-none", endpoint="/v1/completions", completion_window="24h")
        with pytest.raises(openai.NotFoundError):
            client.batches.retrieve("batch_none")
