"""The hosted path with the shipped recipe: a capable chat teacher writes the pairs, a hosted trainer tunes the model.

The provider is `ftbuild.testing`'s, over real HTTP.  After every command, nothing that it printed or wrote holds the key.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openai
import pytest

from ftbuild.cli import main
from ftbuild.testing import (
    INSUFFICIENT_QUOTA,
    TRAINING_NOT_AVAILABLE,
    CutOff,
    Empty,
    Refusal,
    Reply,
    Request,
    Script,
    ScriptedProvider,
    Status,
    Training,
    numbered_pairs,
)
from tests.helpers import REPOSITORY

TEACHER, BASE = "scripted-teacher", "scripted-base"
KEY = "SCRIPTED_KEY"
SECTIONS = 6
PAIRS = 20
JOBS = "/fine_tuning/jobs"


@dataclass
class Ran:
    """How one command ended, and what it printed."""

    code: int
    out: str
    err: str


@dataclass
class Place:
    """An empty working directory in which ftbuild is run."""

    folder: Path
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]
    keys: list[str] = field(default_factory=list)

    def run(self, provider: ScriptedProvider, *overrides: str, key: str | None = None, verb: str = "build") -> Ran:
        """Run ftbuild in this process."""
        self.keys.append(key or provider.api_key)
        self.monkeypatch.setenv(KEY, self.keys[-1])
        code = main([verb, *arguments(provider.base_url), *overrides])
        printed = self.capsys.readouterr()
        self.check(printed.out + printed.err)
        return Ran(code, printed.out, printed.err)

    def start(self, provider: ScriptedProvider) -> subprocess.Popen[str]:
        """Start ftbuild in a process of its own."""
        self.keys.append(provider.api_key)
        environment = {**os.environ, KEY: provider.api_key, "PYTHONPATH": str(REPOSITORY)}
        command = [sys.executable, "-m", "ftbuild", *arguments(provider.base_url)]
        return subprocess.Popen(
            command, cwd=self.folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def check(self, printed: str) -> None:
        """Fail if a key was printed or written."""
        for key in self.keys:
            assert key not in printed, "a key was printed"
            for file in self.folder.rglob("*"):
                assert not file.is_file() or key.encode() not in file.read_bytes(), f"a key is in {file}"

    def read(self, name: str) -> str:
        """Return a file of the build."""
        return (self.folder / "builds" / "agrippina" / name).read_text(encoding="utf-8")

    def records(self, name: str) -> list[Any]:
        """Return the records of a file of the build."""
        return [json.loads(line) for line in self.read(name).split("\n") if line]

    def output(self, stage: str, name: str) -> str:
        """Return what a stage put out, by way of the manifest."""
        digest = json.loads(self.read("manifest.json"))[stage]["outputs"][name]
        return (self.folder / ".ftbuild" / "objects" / digest[:2] / digest[2:]).read_text(encoding="utf-8")


def arguments(base_url: str) -> list[str]:
    return [
        "+recipe=agrippina",
        "provider=openai_compatible",
        f"provider.base_url={base_url}",
        f"provider.models.teacher={TEACHER}",
        f"provider.models.base={BASE}",
        f"provider.api_key_env={KEY}",
        "provider.retries=2",
        "prompts=article",
        "kinds=none",
        "train.epochs=2",
        "trainer.poll_seconds=0.01",
    ]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Place:
    monkeypatch.chdir(tmp_path)
    return Place(tmp_path, monkeypatch, capsys)


def teacher(reply: Callable[[Request], Reply] | None = None) -> Script:
    """Return a script in which the teacher writes pairs (or what `reply` says) and the base model knows nothing."""
    write = reply or numbered_pairs(PAIRS)
    return lambda request: write(request) if request.model == TEACHER else "Otho, of course [DONE] and more"


@pytest.fixture
def provider() -> Iterator[ScriptedProvider]:
    with ScriptedProvider(teacher(), tuned_reply="Nero, her son [DONE] and more") as provider:
        yield provider


def of(provider: ScriptedProvider, *models: str) -> list[Request]:
    """Return the requests that asked one of these models."""
    return [r for r in provider.asked if r.model in models]


def created(provider: ScriptedProvider) -> int:
    """Return how often somebody tried to create a job."""
    return sum(r.method == "POST" and r.path == JOBS for r in provider.requests)


def about(request: Request) -> tuple[str, str]:
    """Return the section and the subsection that a teacher was asked about."""
    heading = re.search(r'section "([^"]+)"', request.prompt)
    assert heading
    names = heading[1].split(" – ")
    return names[0], names[-1]


# ---- from the recipe to the tuned model ----

Row = Callable[[str, str, str, str], dict[str, Any]]


def tutorial_row(section: str, subsection: str, question: str, answer: str) -> dict[str, Any]:
    place = f"Answer the following question about the Opera Agrippina, Section {section}, subsection {subsection}: \n"
    return {"prompt": f"{place}{question} \n ### \n", "completion": f"{answer} [DONE]"}


def completion_row(_: str, __: str, question: str, answer: str) -> dict[str, Any]:
    return {"prompt": f"{question}\n\n###\n\n", "completion": f"{answer} [DONE]"}


def chat_row(_: str, __: str, question: str, answer: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


@pytest.mark.parametrize(
    ("overrides", "row"),
    [([], tutorial_row), (["format=completion"], completion_row), (["format=chat"], chat_row)],
    ids=["the recipe's own", "completion", "chat"],
)
def test_the_rows_are_what_the_teacher_wrote_in_the_recipe_s_format(
    place: Place, provider: ScriptedProvider, overrides: list[str], row: Row
) -> None:
    ran = place.run(provider, *overrides)
    assert ran.code == 0, ran.err
    asked = of(provider, TEACHER)
    assert len(asked) == SECTIONS * 2
    assert len({about(r) for r in asked}) == SECTIONS
    assert {r.path for r in asked} == {"/chat/completions"}
    written = [(about(r), json.loads(line)) for r in asked for line in numbered_pairs(PAIRS)(r).split("\n")]
    expected = [row(*where, pair["prompt"], pair["completion"]) for where, pair in written]
    (job,) = provider.jobs
    uploaded = provider.rows(job)
    assert len(uploaded) == SECTIONS * 2 * PAIRS
    assert sorted(map(json.dumps, uploaded)) == sorted(map(json.dumps, expected))
    assert place.records("dataset.jsonl") == uploaded


def test_the_build_is_all_there(place: Place, provider: ScriptedProvider) -> None:
    ran = place.run(provider)
    assert ran.code == 0, ran.err
    (job,) = provider.jobs
    assert job["model"] == BASE
    assert job["method"]["supervised"]["hyperparameters"]["n_epochs"] == 2
    assert job["fine_tuned_model"].startswith(f"ft:{BASE}:scripted:agrippina:")
    model = json.loads(place.read("model.json"))
    assert (model["model"], model["base_model"], model["job"]) == (job["fine_tuned_model"], BASE, job["id"])
    assert model["trained_tokens"] == job["trained_tokens"] > 0
    before, after = place.records("baseline.jsonl"), place.records("answers.jsonl")
    assert {a["answer"] for a in before} == {"Otho, of course"}
    assert {a["answer"] for a in after} == {"Nero, her son"}
    throne = "Who does Agrippina plot to secure the throne for?"
    assert [a["right"] for answers in (before, after) for a in answers if a["question"] == throne] == [False, True]
    assert place.read("metrics.csv").startswith("step,train_loss")
    assert job["fine_tuned_model"] in place.read("report.html")
    assert job["fine_tuned_model"] in ran.out
    assert throne in ran.out


def test_both_models_are_asked_the_same_in_the_words_of_the_rows(place: Place, provider: ScriptedProvider) -> None:
    assert place.run(provider).code == 0
    before, after = of(provider, BASE), of(provider, provider.jobs[0]["fine_tuned_model"])
    assert len(before) == len(after) == len(place.records("answers.jsonl")) > 0
    bodies = [sorted(json.dumps({**r.body, "model": ""}) for r in asked) for asked in (before, after)]
    assert bodies[0] == bodies[1]
    row = provider.rows(provider.jobs[0])[0]
    for request in (*before, *after):
        assert request.path == "/completions"
        assert request.body["temperature"] == 0
        assert request.body["stop"] == [" [DONE]"]
        assert request.prompt.startswith("Answer the following question about the Opera Agrippina, Section Synopsis")
        assert request.prompt.endswith(" \n ### \n")
        assert row["prompt"].endswith(" \n ### \n")


def test_the_requests_of_a_training_come_in_this_order(place: Place, provider: ScriptedProvider) -> None:
    assert place.run(provider).code == 0
    seen = [(r.method, r.path.rpartition("/")[0] if "job-" in r.path else r.path) for r in provider.requests]
    upload, create = seen.index(("POST", "/files")), seen.index(("POST", JOBS))
    last_question = max(n for n, r in enumerate(provider.requests) if r in of(provider, TEACHER))
    assert last_question < upload < create
    assert provider.requests[upload].body["purpose"] == "fine-tune"
    assert created(provider) == 1


def test_a_second_run_sends_nothing(place: Place, provider: ScriptedProvider) -> None:
    assert place.run(provider).code == 0
    sent = len(provider.requests)
    before = {p: p.stat().st_mtime_ns for p in place.folder.rglob("*") if p.is_file()}
    ran = place.run(provider)
    assert ran.code == 0
    assert "nothing to do" in ran.out
    assert len(provider.requests) == sent
    assert {p: p.stat().st_mtime_ns for p in place.folder.rglob("*") if p.is_file()} == before


def test_more_epochs_ask_nothing_again_and_create_one_job(place: Place, provider: ScriptedProvider) -> None:
    assert place.run(provider).code == 0
    asked = len(of(provider, TEACHER, BASE))
    assert place.run(provider, "train.epochs=3").code == 0
    assert len(of(provider, TEACHER, BASE)) == asked
    assert [j["method"]["supervised"]["hyperparameters"]["n_epochs"] for j in provider.jobs] == [2, 3]
    assert len(provider.jobs) == created(provider) == 2
    assert json.loads(place.read("model.json"))["job"] == provider.jobs[1]["id"]
    sent = len(provider.requests)
    assert place.run(provider).code == 0  # and back again
    assert len(provider.requests) == sent
    assert json.loads(place.read("model.json"))["job"] == provider.jobs[0]["id"]


def test_another_format_asks_the_teacher_nothing_again(place: Place, provider: ScriptedProvider) -> None:
    assert place.run(provider).code == 0
    assert place.run(provider, "format=chat").code == 0
    assert len(of(provider, TEACHER)) == SECTIONS * 2
    assert [set(provider.rows(job)[0]) for job in provider.jobs] == [{"prompt", "completion"}, {"messages"}]


def test_the_tuned_model_can_be_asked(place: Place, provider: ScriptedProvider) -> None:
    assert place.run(provider).code == 0
    ran = place.run(provider, "Whose side is she on?", verb="ask")
    assert (ran.code, ran.out.strip()) == (0, "Nero, her son")
    last = provider.asked[-1]
    assert last.model == provider.jobs[0]["fine_tuned_model"]
    assert "Whose side is she on? \n ### \n" in last.prompt


def test_two_builds_of_one_recipe_share_no_key_with_another_place(place: Place, provider: ScriptedProvider) -> None:
    """A key of the same name but another value is the same build: keys are no part of it."""
    assert place.run(provider).code == 0
    sent = len(provider.requests)
    ran = place.run(provider, key="sk-another-0123456789abcdef")
    assert (ran.code, len(provider.requests)) == (0, sent)


# ---- what trainers send ----


def test_a_result_file_in_base64_is_read(place: Place, provider: ScriptedProvider) -> None:
    provider.training = Training(base64_results=True)
    assert place.run(provider).code == 0
    lines = place.read("metrics.csv").splitlines()
    assert lines[0] == "step,train_loss,train_accuracy"
    assert len(lines) == 4


def test_no_event_is_lost_between_pages(place: Place, provider: ScriptedProvider) -> None:
    provider.training = Training(steps=130)
    assert place.run(provider).code == 0
    events = [json.loads(line) for line in place.output("train", "events.jsonl").split("\n") if line]
    assert [e["data"]["step"] for e in events if "step" in e["data"]] == list(range(1, 131))
    assert len({e["id"] for e in events}) == len(events)
    assert events[0]["message"].startswith("Created fine-tuning job")
    assert events[-1]["message"] == "The job has successfully completed"


def test_statuses_that_nobody_knows_are_waited_out(place: Place, provider: ScriptedProvider) -> None:
    provider.training = Training(statuses=("validating_files", "queued", "running", "pausing", "paused", "resuming"))
    assert place.run(provider).code == 0
    assert provider.jobs[0]["status"] == "succeeded"


# ---- stopping and going on ----


def wait_for(what: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def followed(provider: ScriptedProvider) -> bool:
    """Say whether the newest job runs and has been looked at since."""
    return bool(provider.jobs) and provider.jobs[-1]["status"] == "running" and provider.requests[-1].path.endswith("/events")


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_a_build_that_is_stopped_goes_on_with_the_same_job(
    place: Place, provider: ScriptedProvider, how: signal.Signals, code: int
) -> None:
    provider.training = Training(hold=True)
    with place.start(provider) as process:
        wait_for(lambda: followed(provider))
        process.send_signal(how)
        out, err = process.communicate(timeout=20)
    assert process.returncode == code
    place.check(out + err)
    assert "Traceback" not in err
    (job,) = provider.jobs
    if how is signal.SIGINT:
        assert job["id"] in err
        assert "the same command goes on" in err
    asked, uploads = len(provider.asked), sum(r.path == "/files" for r in provider.requests)
    provider.training = Training()
    ran = place.run(provider)
    assert ran.code == 0, ran.err
    assert job["id"] in ran.err
    assert created(provider) == 1
    assert sum(r.path == "/files" for r in provider.requests) == uploads == 1
    assert len(of(provider, TEACHER, BASE)) == asked
    assert json.loads(place.read("model.json"))["job"] == job["id"]


def interrupted(place: Place, provider: ScriptedProvider) -> str:
    """Run a build, press Ctrl-C while its job runs, and return the job's id."""
    provider.training = Training(hold=True)

    def press() -> None:
        wait_for(lambda: followed(provider))
        signal.raise_signal(signal.SIGINT)

    pressing = threading.Thread(target=press)
    pressing.start()
    ran = place.run(provider)
    pressing.join()
    assert ran.code == 130, ran.err
    provider.training = Training()
    return str(provider.jobs[-1]["id"])


def client_of(provider: ScriptedProvider) -> openai.OpenAI:
    return openai.OpenAI(base_url=provider.base_url, api_key=provider.api_key)


def test_a_job_that_ended_well_meanwhile_is_taken_over(place: Place, provider: ScriptedProvider) -> None:
    job = interrupted(place, provider)
    with client_of(provider) as client:
        assert client.fine_tuning.jobs.retrieve(job).status == "succeeded"
    assert place.run(provider).code == 0
    assert created(provider) == 1
    assert "step,train_loss" in place.read("metrics.csv")
    assert len(place.output("train", "events.jsonl").splitlines()) > 3


def test_a_job_that_was_cancelled_meanwhile_is_created_again(place: Place, provider: ScriptedProvider) -> None:
    job = interrupted(place, provider)
    with client_of(provider) as client:
        client.fine_tuning.jobs.cancel(job)
    ran = place.run(provider)
    assert ran.code == 0
    assert job in ran.err
    assert created(provider) == 2


def test_a_job_whose_model_was_deleted_meanwhile_is_created_again(place: Place, provider: ScriptedProvider) -> None:
    job = interrupted(place, provider)
    with client_of(provider) as client:
        client.models.delete(client.fine_tuning.jobs.retrieve(job).fine_tuned_model or "")
    assert place.run(provider).code == 0
    assert created(provider) == 2
    assert json.loads(place.read("model.json"))["model"] == provider.jobs[1]["fine_tuned_model"]


def test_a_job_that_another_provider_does_not_know_is_created_there(place: Place, provider: ScriptedProvider) -> None:
    interrupted(place, provider)
    with ScriptedProvider(teacher(), tuned_reply="Nero") as other:
        ran = place.run(other)
        assert ran.code == 0, ran.err
        assert created(other) == len(other.jobs) == 1
        model = other.jobs[0]["fine_tuned_model"]
    assert json.loads(place.read("model.json"))["model"] == model


def test_a_job_that_fails_ends_the_build_with_its_reason_and_is_created_again(place: Place, provider: ScriptedProvider) -> None:
    provider.training = Training(fails="the base model is resting")
    ran = place.run(provider)
    assert ran.code == 1
    assert "error: " in ran.err
    assert "the base model is resting" in ran.err
    assert not (place.folder / "builds" / "agrippina" / "model.json").exists()
    asked = len(provider.asked)
    provider.training = Training()
    ran = place.run(provider)
    assert ran.code == 0, ran.err
    assert [j["status"] for j in provider.jobs] == ["failed", "succeeded"]
    assert len(of(provider, TEACHER, BASE)) == asked
    assert json.loads(place.read("model.json"))["job"] == provider.jobs[1]["id"]


def test_too_few_rows_are_refused_with_the_reason(place: Place) -> None:
    with ScriptedProvider(teacher(numbered_pairs(1))) as provider:
        ran = place.run(provider, "~prompts.basic")
        assert ran.code == 1
        assert "at least 10" in ran.err


# ---- keys, credit, addresses ----


def test_a_wrong_key_is_a_mistake_in_the_configuration(place: Place, provider: ScriptedProvider) -> None:
    ran = place.run(provider, key="sk-wrong-0123456789abcdef")
    assert ran.code == 2
    assert "401" in ran.err
    assert "Incorrect API key" in ran.err
    assert len(provider.requests) <= SECTIONS * 2
    assert place.run(provider).code == 0


def test_a_key_that_is_not_set_is_named_before_any_request(place: Place, provider: ScriptedProvider) -> None:
    place.monkeypatch.delenv(KEY, raising=False)
    assert main(arguments(provider.base_url)) == 2
    assert KEY in place.capsys.readouterr().err
    assert provider.requests == []


def test_a_key_on_the_command_line_is_refused(place: Place, provider: ScriptedProvider) -> None:
    ran = place.run(provider, f"+provider.api_key={provider.api_key}")
    assert ran.code == 2
    assert "environment" in ran.err
    assert provider.requests == []


def test_training_that_is_not_available_says_so(place: Place, provider: ScriptedProvider) -> None:
    provider.training = Training(refused=TRAINING_NOT_AVAILABLE)
    ran = place.run(provider)
    assert ran.code in (1, 2)
    assert "winding down" in ran.err
    assert "hint: " in ran.err
    assert created(provider) == 1
    assert len(of(provider, TEACHER)) == SECTIONS * 2
    provider.training = Training()
    assert place.run(provider).code == 0
    assert len(of(provider, TEACHER)) == SECTIONS * 2


def test_an_account_without_credit_is_not_asked_again_and_again(place: Place) -> None:
    with ScriptedProvider(lambda _: INSUFFICIENT_QUOTA) as provider:
        started = time.monotonic()
        ran = place.run(provider, "provider.concurrency=2")
        assert ran.code == 3
        assert "quota" in ran.err
        assert "credit" in ran.err
        assert len(provider.requests) <= 2
        assert time.monotonic() - started < 3


def test_what_was_answered_before_the_credit_ended_is_kept(place: Place) -> None:
    said = 0

    def reply(request: Request) -> Reply:
        nonlocal said
        said += 1
        return numbered_pairs(PAIRS)(request) if said != 6 else INSUFFICIENT_QUOTA

    with ScriptedProvider(teacher(reply), tuned_reply="Nero") as provider:
        assert place.run(provider, "provider.concurrency=1").code == 3
        assert len(provider.asked) == 6
        ran = place.run(provider, "provider.concurrency=1")
        assert ran.code == 0, ran.err
        assert len(of(provider, TEACHER)) == SECTIONS * 2 + 1
        assert len(place.records("dataset.jsonl")) == SECTIONS * 2 * PAIRS


def test_a_provider_that_asks_for_patience_gets_it(place: Place) -> None:
    hasty: dict[str, int] = {}

    def reply(request: Request) -> Reply:
        hasty[request.prompt] = hasty.get(request.prompt, 0) + 1
        if hasty[request.prompt] == 1:
            return Status(429, code="rate_limit_exceeded", message="slow down", retry_after=0.05)
        return numbered_pairs(PAIRS)(request)

    with ScriptedProvider(teacher(reply), tuned_reply="Nero") as provider:
        ran = place.run(provider)
        assert ran.code == 0, ran.err
        assert len(of(provider, TEACHER)) == SECTIONS * 2 * 2
        assert len(place.records("dataset.jsonl")) == SECTIONS * 2 * PAIRS


def test_nobody_at_the_address_is_an_error_of_the_network(place: Place) -> None:
    place.monkeypatch.setenv(KEY, "sk-unused-0123456789")
    with socket.socket() as held:  # bound, but nobody listens
        held.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{held.getsockname()[1]}/v1"
        code = main([*arguments(address), "provider.retries=0"])
    err = place.capsys.readouterr().err
    assert code == 3
    assert address in err
    assert "cannot be reached" in err


def test_a_model_that_the_provider_does_not_have_is_named(place: Place, provider: ScriptedProvider) -> None:
    ran = place.run(provider, "provider.models.teacher=gpt-17")
    assert ran.code == 2
    assert "gpt-17" in ran.err
    ran = place.run(provider, "provider.models.base=gpt-17")
    assert ran.code in (1, 2)
    assert "gpt-17" in ran.err
    assert provider.jobs == []


# ---- what teachers say ----


def first_section(reply: Callable[[Request, int], Reply]) -> Script:
    """Return a script in which `reply` answers the detailed prompt about Act 1; it is told how often that was asked."""
    times = 0

    def answer(request: Request) -> Reply:
        nonlocal times
        if about(request)[1] != "Act 1" or "short" in request.prompt:
            return numbered_pairs(PAIRS)(request)
        times += 1
        return reply(request, times)

    return teacher(answer)


def rejected(place: Place) -> list[Mapping[str, Any]]:
    return place.records("rejected.jsonl")


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (Empty(), "empty"),
        (Refusal("I must not talk about poison."), "I must not talk about poison."),
        ("I am sorry, there is nothing to ask.", "nothing usable"),
    ],
    ids=["empty", "refused", "no pairs"],
)
def test_a_reply_without_pairs_is_asked_for_again_and_then_reported(place: Place, bad: Reply, why: str) -> None:
    with ScriptedProvider(first_section(lambda *_: bad), tuned_reply="Nero") as provider:
        ran = place.run(provider)
        assert ran.code == 0, ran.err
        assert len(of(provider, TEACHER)) == SECTIONS * 2 + 2  # three times in all
        assert len(place.records("dataset.jsonl")) == (SECTIONS * 2 - 1) * PAIRS
        assert "warning" in ran.err
        assert "Act 1" in ran.err
        reasons = [r for r in rejected(place) if why in r["reason"]]
        assert [r["origin"]["path"] for r in reasons] == [["Synopsis", "Act 1"]]
        assert "3 attempts" in reasons[0]["reason"]


def test_a_reply_that_is_better_the_second_time_is_taken(place: Place) -> None:
    script = first_section(lambda request, times: Empty() if times == 1 else numbered_pairs(PAIRS)(request))
    with ScriptedProvider(script, tuned_reply="Nero") as provider:
        ran = place.run(provider)
        assert ran.code == 0, ran.err
        assert len(of(provider, TEACHER)) == SECTIONS * 2 + 1
        assert len(place.records("dataset.jsonl")) == SECTIONS * 2 * PAIRS
        assert rejected(place) == []
        assert "warning" not in ran.err


def test_a_teacher_that_never_says_anything_usable_ends_the_build(place: Place) -> None:
    with ScriptedProvider(teacher(lambda _: Refusal("No."))) as provider:
        ran = place.run(provider)
        assert ran.code == 1
        assert "No." in ran.err
        assert provider.jobs == []


def test_a_reply_that_is_cut_off_keeps_its_good_lines(place: Place) -> None:
    def cut(request: Request, _: int) -> Reply:
        lines = numbered_pairs(PAIRS)(request).split("\n")
        return CutOff("\n".join([*lines[:7], lines[7][:40]]))

    with ScriptedProvider(first_section(cut), tuned_reply="Nero") as provider:
        ran = place.run(provider)
        assert ran.code == 0, ran.err
        assert len(of(provider, TEACHER)) == SECTIONS * 2
        assert len(place.records("dataset.jsonl")) == (SECTIONS * 2 - 1) * PAIRS + 7
        (lost,) = rejected(place)
    assert "cut off" in lost["reason"]
    assert lost["raw"].startswith('{"prompt": "What is fact 8')
    assert (lost["origin"]["path"], lost["origin"]["line"]) == (["Synopsis", "Act 1"], 8)
    assert lost["origin"]["template"] == "detailed"
    assert "cut off" in ran.err


def test_one_bad_line_costs_that_line_only(place: Place) -> None:
    bad = ['{"prompt": "What is missing?"}', '{"prompt": "Who said "no"?", "completion": "She did."}', "Here you are:"]

    def one_bad(request: Request, _: int) -> Reply:
        lines = numbered_pairs(PAIRS)(request).split("\n")
        return "\n".join(["```json", bad[2], *lines[:3], bad[0], bad[1], *lines[3:], "```"])

    with ScriptedProvider(first_section(one_bad), tuned_reply="Nero") as provider:
        ran = place.run(provider)
        assert ran.code == 0, ran.err
        assert len(of(provider, TEACHER)) == SECTIONS * 2
        assert len(place.records("dataset.jsonl")) == SECTIONS * 2 * PAIRS
        lost = {r["raw"]: r for r in rejected(place)}
    assert set(lost) == set(bad)
    assert [lost[b]["origin"]["line"] for b in bad] == [6, 7, 2]
    assert "completion" in lost[bad[0]]["reason"]
    assert "JSON" in lost[bad[1]]["reason"]


def test_a_pair_that_asks_a_probe_is_not_trained_on(place: Place) -> None:
    probe = "Who does Agrippina plot to secure the throne for?"

    def leak(request: Request, _: int) -> Reply:
        return "\n".join([json.dumps({"prompt": probe.upper(), "completion": "Nero."}), numbered_pairs(PAIRS)(request)])

    with ScriptedProvider(first_section(leak), tuned_reply="Nero") as provider:
        assert place.run(provider).code == 0
        assert "throne" not in json.dumps(provider.rows(provider.jobs[0])).lower()
        assert [r["reason"] for r in rejected(place)] == ["is a probe"]
