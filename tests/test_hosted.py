"""The hosted path with the shipped recipe: a capable chat teacher writes the pairs, a hosted trainer tunes the model.

The provider is `ftbuild.testing`'s, over real HTTP.  One build is made for all tests; those that go on from it do so in a copy
of its directory.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import openai
import pytest

from ftbuild.testing import (
    INSUFFICIENT_QUOTA,
    TRAINING_NOT_AVAILABLE,
    Reply,
    Request,
    Script,
    ScriptedProvider,
    Status,
    Training,
    numbered_pairs,
)
from tests.hosted import BASE, JOBS, KEY, PAIRS, SECTIONS, TEACHER, THRONE, Place, about, teacher


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Build the recipe once; tests only look at it."""
    with ScriptedProvider(teacher(), tuned_reply="Nero, her son [DONE] and more") as provider:
        place = Place(tmp_path_factory.mktemp("built"), provider)
        ran = place.run()
        assert ran.code == 0, ran.err
        place.printed = ran.out
        yield replace(place, its_requests=(0, len(place.requests)), its_jobs=(0, len(place.jobs)))


@pytest.fixture
def place(built: Place, tmp_path: Path) -> Iterator[Place]:
    """Return a copy of the built directory; requests and jobs count from here on."""
    provider = built.provider
    folder = shutil.copytree(built.folder, tmp_path / "copy")
    yield Place(folder, provider, (len(provider.requests), None), (len(provider.jobs), None))
    provider.training, provider.fault = Training(), None


@pytest.fixture(autouse=True)
def ctrl_c() -> Iterator[None]:
    """Let Ctrl-C interrupt, here and in the processes that are started, even if these tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def scripted(tmp_path: Path) -> Iterator[Callable[[Script], Place]]:
    """Return a function from a script to an empty directory with a provider of its own."""
    with contextlib.ExitStack() as stack:
        yield lambda script: Place(tmp_path, stack.enter_context(ScriptedProvider(script, tuned_reply="Nero")))


# ---- from the recipe to the tuned model ----


def tutorial_row(where: tuple[str, str], question: str, answer: str) -> dict[str, Any]:
    place = f"Answer the following question about the Opera Agrippina, Section {where[0]}, subsection {where[1]}: \n"
    return {"prompt": f"{place}{question} \n ### \n", "completion": f"{answer} [DONE]"}


def chat_row(where: tuple[str, str], question: str, answer: str) -> dict[str, Any]:
    told = tutorial_row(where, question, answer)["prompt"].removesuffix(" \n ### \n")
    return {"messages": [{"role": "user", "content": told}, {"role": "assistant", "content": answer}]}


def expected_rows(built: Place, row: Callable[[tuple[str, str], str, str], dict[str, Any]]) -> list[str]:
    """Return the rows that the teacher's replies must become, as sorted JSON."""
    written = [(about(r), json.loads(line)) for r in built.asked(TEACHER) for line in numbered_pairs(PAIRS)(r).split("\n")]
    return sorted(json.dumps(row(where, pair["prompt"], pair["completion"])) for where, pair in written)


def test_each_section_is_asked_about_twice(built: Place) -> None:
    asked = built.asked(TEACHER)
    assert len(asked) == SECTIONS * 2
    assert len({about(r) for r in asked}) == SECTIONS
    assert len({r.prompt for r in asked}) == SECTIONS * 2
    assert {r.path for r in asked} == {"/chat/completions"}
    assert all(f"Write {PAIRS} " in r.prompt for r in asked)


def test_the_uploaded_rows_are_the_pairs_in_the_recipe_s_format(built: Place) -> None:
    (job,) = built.jobs
    uploaded = built.provider.rows(job)
    assert len(uploaded) == SECTIONS * 2 * PAIRS
    assert sorted(map(json.dumps, uploaded)) == expected_rows(built, tutorial_row)
    assert built.records("dataset.jsonl") == uploaded


def test_the_upload_and_the_job_come_once_and_last(built: Place) -> None:
    paths = [(r.method, r.path) for r in built.requests]
    last_question = max(n for n, r in enumerate(built.requests) if r in built.asked(TEACHER))
    assert last_question < paths.index(("POST", "/files")) < paths.index(("POST", JOBS))
    assert paths.count(("POST", "/files")) == built.created == 1
    upload = next(r for r in built.requests if r.path == "/files")
    assert upload.body["purpose"] == "fine-tune"


def test_the_job_and_the_model_are_what_the_recipe_says(built: Place) -> None:
    (job,) = built.jobs
    assert job["model"] == BASE
    assert job["seed"] == 7
    assert job["method"]["supervised"]["hyperparameters"]["n_epochs"] == 2
    assert job["fine_tuned_model"].startswith(f"ft:{BASE}:scripted:agrippina:")
    model = json.loads(built.read("model.json"))
    assert (model["model"], model["base_model"], model["job"]) == (job["fine_tuned_model"], BASE, job["id"])
    assert model["trained_tokens"] == job["trained_tokens"] > 0
    assert built.read("metrics.csv").startswith("step,train_loss")


def test_both_models_answer_and_are_graded(built: Place) -> None:
    before, after = built.records("baseline.jsonl"), built.records("answers.jsonl")
    assert [a["question"] for a in before] == [a["question"] for a in after]
    assert {a["answer"] for a in before} == {"Otho, of course"}
    assert {a["answer"] for a in after} == {"Nero, her son"}
    assert [a["right"] for a in (*before, *after) if a["question"] == THRONE] == [False, True]
    score = json.loads(built.read("score.json"))
    assert score["questions"] == len(after) > 0
    assert score["after"] == sum(a["right"] for a in after) / len(after)


def test_both_models_are_asked_the_same_in_the_words_of_the_rows(built: Place) -> None:
    before, after = built.asked(BASE), built.asked(built.jobs[0]["fine_tuned_model"])
    assert len(before) == len(after) == len(built.records("answers.jsonl"))
    bodies = [sorted(json.dumps({**r.body, "model": ""}, sort_keys=True) for r in asked) for asked in (before, after)]
    assert bodies[0] == bodies[1]
    for request in before:
        assert request.path == "/completions"
        assert request.body["temperature"] == 0
        assert request.body["stop"] == [" [DONE]"]
        assert request.prompt.startswith("Answer the following question about the Opera Agrippina, Section Synopsis")
        assert request.prompt.endswith(" \n ### \n")


def test_the_report_and_the_output_name_model_and_question(built: Place) -> None:
    model = built.jobs[0]["fine_tuned_model"]
    for text in (built.read("report.html"), built.printed):
        assert model in text
        assert THRONE in text


def test_a_second_run_sends_and_writes_nothing(place: Place) -> None:
    before = place.files()
    ran = place.run()
    assert ran.code == 0
    assert "nothing to do" in ran.out
    assert place.requests == []
    assert place.files() == before


def test_neither_another_key_nor_what_the_recipe_says_anyway_makes_another_build(place: Place) -> None:
    ran = place.run("format=completion", key="sk-another-0123456789abcdef")
    assert ran.code == 0
    assert "nothing to do" in ran.out
    assert place.requests == []


def test_format_chat_uploads_messages_and_asks_the_teacher_nothing(built: Place, place: Place) -> None:
    ran = place.run("format=chat")
    assert ran.code == 0, ran.err
    (job,) = place.jobs
    uploaded = place.provider.rows(job)
    assert sorted(map(json.dumps, uploaded)) == expected_rows(built, chat_row)
    assert place.records("dataset.jsonl") == uploaded
    assert place.asked(TEACHER) == []
    asked = place.asked(BASE, job["fine_tuned_model"])
    assert asked
    assert {r.path for r in asked} == {"/chat/completions"}
    assert all("###" not in r.prompt and "stop" not in r.body for r in asked)


def test_more_epochs_ask_nothing_again_and_create_one_job(built: Place, place: Place) -> None:
    assert place.run("train.epochs=3").code == 0
    (job,) = place.jobs
    assert place.created == 1
    assert place.asked(TEACHER, BASE) == []
    assert job["method"]["supervised"]["hyperparameters"]["n_epochs"] == 3
    assert json.loads(place.read("model.json"))["job"] == job["id"]
    sent = len(place.requests)
    assert place.run().code == 0  # and back again
    assert len(place.requests) == sent
    assert place.read("model.json") == built.read("model.json")


def test_the_tuned_model_can_be_asked(built: Place, place: Place) -> None:
    ran = place.run("Whose side is she on?", verb="ask")
    assert (ran.code, ran.out.strip()) == (0, "Nero, her son")
    (request,) = place.requests
    assert request.model == built.jobs[0]["fine_tuned_model"]
    assert request.prompt.endswith("Whose side is she on? \n ### \n")


# ---- what trainers send ----


def test_a_result_file_in_base64_pages_of_events_and_new_statuses_are_understood(place: Place) -> None:
    statuses = ("validating_files", "queued", "running", "pausing", "paused", "resuming")
    place.provider.training = Training(base64_results=True, steps=130, statuses=statuses)
    ran = place.run("train.epochs=3")
    assert ran.code == 0, ran.err
    lines = place.read("metrics.csv").splitlines()
    assert lines[0] == "step,train_loss,train_accuracy"
    assert len(lines) == 131
    events = [json.loads(line) for line in place.output("train", "events.jsonl").split("\n") if line]
    assert [e["data"]["step"] for e in events if "step" in e["data"]] == list(range(1, 131))
    assert len({e["id"] for e in events}) == len(events)
    assert events[0]["message"].startswith("Created fine-tuning job")
    assert events[-1]["message"] == "The job has successfully completed"
    assert "The job is paused" in [e["message"] for e in events]


def test_a_trainer_that_is_out_of_order_for_a_while_is_waited_for(place: Place) -> None:
    broken = [3]

    def fault(request: Request) -> Status | None:
        if request.method == "GET" and request.path.startswith(f"{JOBS}/ftjob-") and broken[0]:
            broken[0] -= 1
            return Status(503, message="out of order")
        return None

    place.provider.fault = fault
    ran = place.run("train.epochs=3", "provider.retries=0")
    assert ran.code == 0, ran.err
    assert broken == [0]
    assert place.created == 1
    assert "trying again" in ran.err


# ---- stopping and going on ----


def wait_for(what: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def followed(place: Place) -> bool:
    """Say whether the job runs and somebody waits for its end."""
    return bool(place.jobs) and place.jobs[-1]["status"] == "running" and place.requests[-1].path.endswith("/events")


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_a_build_that_is_stopped_goes_on_with_the_same_job(place: Place, how: signal.Signals, code: int) -> None:
    place.provider.training = Training(hold=True)
    with place.start("train.epochs=3") as process:
        try:
            wait_for(lambda: followed(place))
            process.send_signal(how)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == code, err
    place.check(out + err)
    assert "Traceback" not in err
    (job,) = place.jobs
    if how is signal.SIGINT:
        assert job["id"] in err
        assert "the same command goes on" in err
    place.provider.training = Training()
    ran = place.run("train.epochs=3")
    assert ran.code == 0, ran.err
    assert job["id"] in ran.err
    assert place.created == 1
    assert [r for r in place.requests if r.path == "/files"] == [], "the rows are there already"
    assert place.asked(TEACHER, BASE) == []
    assert json.loads(place.read("model.json"))["job"] == job["id"]


def interrupted(place: Place, *overrides: str) -> str:
    """Run a build, press Ctrl-C while its job runs, and return the job's id."""
    place.provider.training = Training(hold=True)

    def press() -> None:
        try:
            wait_for(lambda: followed(place))
        except AssertionError:
            place.provider.training = Training()  # nobody may wait for ever
        else:
            os.kill(os.getpid(), signal.SIGINT)

    pressing = threading.Thread(target=press)
    pressing.start()
    ran = place.run(*overrides)
    pressing.join()
    assert ran.code == 130, ran.err
    place.provider.training = Training()
    return str(place.jobs[-1]["id"])


@contextlib.contextmanager
def somebody_else(place: Place) -> Iterator[openai.OpenAI]:
    """Yield a client with which somebody does something meanwhile."""
    with openai.OpenAI(base_url=place.provider.base_url, api_key=place.provider.api_key) as client:
        yield client


def test_a_teacher_who_is_interrupted_is_not_asked_again_what_was_answered(scripted: Callable[[Script], Place]) -> None:
    answered, gone_on = [0], threading.Event()

    def reply(request: Request) -> Reply:
        answered[0] += 1
        if answered[0] == 6:
            os.kill(os.getpid(), signal.SIGINT)
            gone_on.wait(20)
        return numbered_pairs(PAIRS)(request)

    place = scripted(teacher(reply))
    ran = place.run("provider.concurrency=1")
    gone_on.set()
    assert ran.code == 130
    assert "Traceback" not in ran.err
    assert len(place.requests) == 6
    ran = place.run()
    assert ran.code == 0, ran.err
    assert len(place.asked(TEACHER)) == SECTIONS * 2 + 1


def test_a_job_that_ended_well_meanwhile_is_taken_over(place: Place) -> None:
    job = interrupted(place, "train.epochs=3")
    with somebody_else(place) as client:
        assert client.fine_tuning.jobs.retrieve(job).status == "succeeded"
    assert place.run("train.epochs=3").code == 0
    assert place.created == 1
    assert place.read("metrics.csv").startswith("step,train_loss")
    events = [json.loads(line)["message"] for line in place.output("train", "events.jsonl").split("\n") if line]
    assert events[0].startswith("Created fine-tuning job")
    assert events[-1] == "The job has successfully completed"


def test_a_trainer_without_events_results_and_descriptions_of_models_will_do(place: Place) -> None:
    job = interrupted(place, "train.epochs=3")
    with somebody_else(place) as client:
        client.fine_tuning.jobs.retrieve(job)
    missing = re.compile(".*/(events|content|models/.*)")
    place.provider.fault = lambda request: Status(405, message="not here") if missing.fullmatch(request.path) else None
    ran = place.run("train.epochs=3")
    assert ran.code == 0, ran.err
    assert place.created == 1
    assert place.read("metrics.csv") == ""
    assert "warning: the result file" in ran.err


def test_a_job_that_was_cancelled_meanwhile_is_created_again(place: Place) -> None:
    job = interrupted(place, "train.epochs=3")
    with somebody_else(place) as client:
        client.fine_tuning.jobs.cancel(job)
    ran = place.run("train.epochs=3")
    assert ran.code == 0, ran.err
    assert f"{job} is cancelled" in ran.err
    assert place.created == 2


def test_a_job_whose_model_was_deleted_meanwhile_is_created_again(place: Place) -> None:
    job = interrupted(place, "train.epochs=3")
    with somebody_else(place) as client:
        client.models.delete(client.fine_tuning.jobs.retrieve(job).fine_tuned_model or "")
    assert place.run("train.epochs=3").code == 0
    assert place.created == 2
    assert json.loads(place.read("model.json"))["model"] == place.jobs[1]["fine_tuned_model"]


def test_a_job_that_fails_ends_the_build_with_its_reason_and_is_created_again(built: Place, place: Place) -> None:
    place.provider.training = Training(fails="the base model is resting")
    ran = place.run("train.epochs=3")
    assert ran.code == 1
    assert re.search(r"error: .*the base model is resting", ran.err)
    assert place.read("model.json") == built.read("model.json")
    assert place.asked(TEACHER, BASE) == []
    place.provider.training = Training()
    ran = place.run("train.epochs=3")
    assert ran.code == 0, ran.err
    assert [j["status"] for j in place.jobs] == ["failed", "succeeded"]
    assert json.loads(place.read("model.json"))["job"] == place.jobs[1]["id"]


def test_training_that_is_not_available_says_so_and_costs_nothing_again(place: Place) -> None:
    place.provider.training = Training(refused=TRAINING_NOT_AVAILABLE)
    ran = place.run("train.epochs=3")
    assert ran.code == 2
    assert "403" in ran.err
    assert "winding down" in ran.err
    assert "hint: " in ran.err
    assert place.created == 1
    place.provider.training = Training()
    assert place.run("train.epochs=3").code == 0
    assert place.asked(TEACHER, BASE) == []


def test_too_few_rows_are_refused_with_the_reason(scripted: Callable[[Script], Place]) -> None:
    place = scripted(teacher(numbered_pairs(1)))
    ran = place.run("~prompts.basic", "teacher.more=0", 'structure.select=["Synopsis/Act 1"]')
    assert ran.code == 1
    assert re.search(r"error: .*1 example.*at least 10", ran.err)


# ---- keys, credit, addresses ----


def test_a_wrong_key_is_a_mistake_in_the_configuration(scripted: Callable[[Script], Place]) -> None:
    place = scripted(teacher())
    ran = place.run(key="sk-wrong-0123456789abcdef")
    assert ran.code == 2
    assert "401" in ran.err
    assert "Incorrect API key" in ran.err
    assert "hint: " in ran.err
    assert len(place.requests) <= SECTIONS * 2


def test_a_line_break_after_a_key_is_no_part_of_it(place: Place) -> None:
    ran = place.run("Whose side is she on?", verb="ask", key=f"{place.provider.api_key}\n")
    assert (ran.code, ran.out.strip()) == (0, "Nero, her son")


@pytest.mark.parametrize("key", ["sk-äbc0123456789", "sk-two\nlines0123456"])
def test_what_cannot_be_a_key_is_not_sent(scripted: Callable[[Script], Place], key: str) -> None:
    place = scripted(teacher())
    ran = place.run(key=key)
    assert ran.code == 2
    assert KEY in ran.err
    assert place.requests == []


def test_a_key_that_is_not_set_is_named_before_any_request(scripted: Callable[[Script], Place]) -> None:
    place = scripted(teacher())
    ran = place.run(key=None)
    assert ran.code == 2
    assert KEY in ran.err
    assert place.requests == []


def test_a_key_on_the_command_line_is_refused(scripted: Callable[[Script], Place]) -> None:
    place = scripted(teacher())
    ran = place.run(f"+provider.api_key={place.provider.api_key}")
    assert ran.code == 2
    assert "environment" in ran.err
    assert place.requests == []


def test_an_account_without_credit_is_not_asked_again_and_again(scripted: Callable[[Script], Place]) -> None:
    place = scripted(lambda _: INSUFFICIENT_QUOTA)
    ran = place.run("provider.concurrency=2")
    assert ran.code == 3
    assert "quota" in ran.err
    assert "credit" in ran.err
    assert len(place.requests) <= 2


def test_what_was_answered_before_the_credit_ended_is_kept(scripted: Callable[[Script], Place]) -> None:
    credit = [5]

    def reply(request: Request) -> Reply:
        credit[0] -= 1
        return numbered_pairs(PAIRS)(request) if credit[0] >= 0 else INSUFFICIENT_QUOTA

    place = scripted(teacher(reply))
    assert place.run("provider.concurrency=1").code == 3
    assert len(place.requests) == 6
    credit[0] = 100
    ran = place.run("provider.concurrency=1")
    assert ran.code == 0, ran.err
    assert len(place.asked(TEACHER)) == SECTIONS * 2 + 1
    assert len(place.records("dataset.jsonl")) == SECTIONS * 2 * PAIRS


def test_nobody_at_the_address_is_an_error_of_the_network(scripted: Callable[[Script], Place]) -> None:
    with socket.socket() as held:  # bound, but nobody listens
        held.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{held.getsockname()[1]}/v1"
        ran = scripted(teacher()).run("provider.retries=0", base_url=address)
    assert ran.code == 3
    assert address in ran.err
    assert "cannot be reached" in ran.err


def test_the_trainer_may_be_somebody_else_and_may_go_away(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedProvider(teacher(), tuned_reply="Nero", models=(BASE,), organisation="other") as trainer:
        monkeypatch.setenv("OTHER_KEY", trainer.api_key)
        other = [
            "+provider@trainer.provider=openai_compatible",
            f"trainer.provider.base_url={trainer.base_url}",
            f"trainer.provider.models={{teacher: none, base: {BASE}}}",
            "trainer.provider.api_key_env=OTHER_KEY",
            "trainer.provider.retries=0",
            "evaluate.max_tokens=65",  # so that the base model's answers are not known yet
        ]
        ran = place.run(*other)
        assert ran.code == 0, ran.err
        place.check(ran.out + ran.err, trainer.api_key)
        assert place.requests == []
        assert len(trainer.jobs) == 1
        assert TEACHER not in {r.model for r in trainer.asked}
        assert json.loads(place.read("model.json"))["model"].startswith(f"ft:{BASE}:other:")
    ran = place.run(*other, "train.epochs=3")
    assert ran.code == 3
    assert f"{trainer.base_url}/: cannot be reached" in ran.err
    assert "goes on where this one stopped" in ran.err


@pytest.mark.parametrize("which", ["teacher", "base"])
def test_a_model_that_the_provider_does_not_have_is_named(place: Place, which: str) -> None:
    ran = place.run(f"provider.models.{which}=gpt-17")
    assert ran.code == 2
    assert "gpt-17" in ran.err
    assert place.jobs == []
