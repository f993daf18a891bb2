"""A fine-tuning job is created once for a key, whatever becomes of the process that asks for it."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest

from ftbuild.testing import Request, Status, Training
from tests.workshop import JOBS, Ran, Workshop, finish, wait_for

MORE = "train.epochs=3"
AFTER = ["train", "evaluate", "report"]


@pytest.fixture(autouse=True)
def ctrl_c() -> Iterator[None]:
    """Let Ctrl-C interrupt the processes that are started, even if these tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def stopped(workshop: Workshop, when: Callable[[], object], how: signal.Signals, *words: str) -> Ran:
    """Start a build that trains longer, and stop it when something is so."""
    with workshop.start("+recipe=lighthouse", *(words or (MORE,))) as process:
        try:
            wait_for(when)
            process.send_signal(how)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode is not None
    return Ran(process.returncode, out, err)


def client(workshop: Workshop) -> openai.OpenAI:
    """Return a client with which somebody else does something meanwhile."""
    return openai.OpenAI(base_url=workshop.provider.base_url, api_key=workshop.provider.api_key)


def creating(request: Request) -> bool:
    return (request.method, request.path) == ("POST", JOBS)


def uploads(workshop: Workshop) -> int:
    return sum((r.method, r.path) == ("POST", "/files") for r in workshop.requests)


def model(workshop: Workshop) -> Any:
    return json.loads(workshop.read("model.json"))


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_a_build_that_is_stopped_while_its_job_runs_takes_it_up_again(
    workshop: Workshop, how: signal.Signals, code: int
) -> None:
    workshop.provider.training = Training(hold=True)
    ran = stopped(workshop, lambda: workshop.jobs and workshop.jobs[0]["status"] == "running", how)
    assert ran.code == code, ran.err
    workshop.provider.training = Training()
    assert workshop.build(MORE) == AFTER
    assert workshop.created == uploads(workshop) + 1 == 1, "neither the job nor the file is made again"
    assert model(workshop)["job"] == workshop.jobs[0]["id"]


@pytest.mark.parametrize("metadata", [True, False])
def test_a_build_that_is_killed_before_it_hears_of_its_job_finds_it(workshop: Workshop, metadata: bool) -> None:
    """Between the request and its answer the job exists, and nobody has been told its name."""
    hold, created = threading.Event(), threading.Event()

    def lost(request: Request) -> None:
        if creating(request):
            created.set()
            hold.wait(120)

    def without_metadata(request: Request) -> Status | None:
        unknown = creating(request) and "metadata" in request.body
        return Status(400, message="Unknown parameter: 'metadata'.", param="metadata") if unknown else None

    workshop.provider.lost = lost
    workshop.provider.fault = None if metadata else without_metadata
    words = (MORE, f"train.seed={8 + metadata}")
    ran = stopped(workshop, created.is_set, signal.SIGKILL, *words)
    assert ran.code == -signal.SIGKILL
    hold.set()
    workshop.provider.lost = None
    (job,) = workshop.jobs
    assert workshop.build(*words) == AFTER
    assert workshop.jobs == [{**workshop.jobs[0], "id": job["id"]}], "there is still but one"
    assert model(workshop)["job"] == job["id"]


@pytest.mark.slow
def test_a_job_that_was_created_and_answered_with_an_error_is_found(workshop: Workshop) -> None:
    workshop.provider.lost = lambda request: Status(500, message="something broke on the way") if creating(request) else None
    assert workshop.build(MORE, "provider.retries=2") == AFTER
    assert workshop.created == len(workshop.jobs) == 1
    assert model(workshop)["job"] == workshop.jobs[0]["id"]


@pytest.mark.slow
def test_a_killed_build_whose_request_never_arrived_creates_the_job(workshop: Workshop) -> None:
    hold, arrived = threading.Event(), threading.Event()

    def fault(request: Request) -> Status | None:
        if creating(request) and not hold.is_set():
            arrived.set()
            hold.wait(120)
            return Status(503, message="it never came in")
        return None

    workshop.provider.fault = fault
    assert stopped(workshop, arrived.is_set, signal.SIGKILL).code == -signal.SIGKILL
    hold.set()
    assert workshop.build(MORE) == AFTER
    assert len(workshop.jobs) == 1, "the job of the build before it, of the same file, is not taken for this one"
    assert model(workshop)["job"] == workshop.jobs[0]["id"]


@pytest.mark.slow
@pytest.mark.parametrize("how", ["failed", "cancelled"])
def test_a_job_that_failed_or_was_cancelled_is_reported_with_its_reason_and_not_reused(workshop: Workshop, how: str) -> None:
    if how == "failed":
        workshop.provider.training = Training(fails="the rows make no sense")
        ran = workshop.run(MORE)
        assert ran.code == 1
        assert "the rows make no sense" in ran.err
    else:
        workshop.provider.training = Training(hold=True)
        stopped(workshop, lambda: workshop.jobs and workshop.jobs[0]["status"] == "running", signal.SIGKILL)
        with client(workshop) as other:
            other.fine_tuning.jobs.cancel(workshop.jobs[0]["id"])
    workshop.provider.training = Training()
    ran = workshop.run(MORE)
    assert ran.code == 0, ran.err
    assert workshop.jobs[0]["id"] in ran.err
    assert [job["status"] for job in workshop.jobs] == [how, "succeeded"]
    assert model(workshop)["job"] == workshop.jobs[1]["id"]


def test_a_job_of_another_build_is_never_taken_for_a_lost_one(workshop: Workshop) -> None:
    """Without metadata, two jobs of the same rows look alike but for what the store knows of them."""

    def fault(request: Request) -> Status | None:
        unknown = creating(request) and "metadata" in request.body
        return Status(400, message="Unknown parameter: 'metadata'.", param="metadata") if unknown else None

    workshop.provider.fault = fault
    assert workshop.build(MORE, "train.seed=5") == AFTER
    refused = [1]

    def broken_once(request: Request) -> Status | None:
        if creating(request) and refused:
            refused.pop()
            return Status(500, message="it never came in")
        return fault(request)

    workshop.provider.fault = broken_once
    assert workshop.build("train.epochs=4", "train.seed=5", "provider.retries=1") == AFTER
    assert len(workshop.jobs) == 2
    assert model(workshop)["job"] == workshop.jobs[1]["id"]


def test_a_file_is_sent_again_only_when_the_provider_has_it_no_more(workshop: Workshop) -> None:
    assert workshop.build(MORE) == AFTER
    assert uploads(workshop) == 0, "the rows are those of the build before"
    with client(workshop) as other:
        other.files.delete(workshop.jobs[0]["training_file"])
    assert workshop.build("train.epochs=4") == AFTER
    assert uploads(workshop) == 1
    assert workshop.jobs[0]["training_file"] != workshop.jobs[1]["training_file"]
    assert workshop.provider.rows(workshop.jobs[1])


@pytest.mark.slow
@pytest.mark.parametrize("text", ["{", '{"job": null}', '{"job": "ftjob-of-nobody", "file": 3}'])
def test_garbage_in_a_record_of_a_job_or_an_upload_is_as_good_as_none(workshop: Workshop, text: str) -> None:
    for record in [*(workshop.store / "jobs").iterdir(), *(workshop.store / "uploads").iterdir()]:
        record.write_text(text, encoding="utf-8")
    for record in (workshop.store / "actions" / "train").iterdir():
        record.unlink()
    assert "train" in workshop.build()
    assert workshop.created == len(workshop.jobs) == 1


@pytest.mark.slow
def test_two_builds_that_want_one_job_create_it_once(workshop: Workshop) -> None:
    hold = threading.Event()

    def lost(request: Request) -> None:
        if creating(request):
            hold.wait(120)

    workshop.provider.lost = lost
    processes = [workshop.start("+recipe=lighthouse", MORE, "--json") for _ in range(2)]
    try:
        wait_for(lambda: workshop.created)
    finally:
        hold.set()
    both = [finish(process) for process in processes]
    assert sorted(both[0].ran + both[1].ran) == sorted(AFTER)
    assert workshop.created == 1
