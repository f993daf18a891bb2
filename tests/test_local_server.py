"""The embedded server, through the official `openai` client: a real server process, a real trainer, a very small model."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import openai
import pytest
from openai.types.fine_tuning import FineTuningJob

from ftbuild.cli import main
from ftbuild.local.launch import Server, running
from tests.serving import (
    PATIENCE,
    ROWS,
    TURNS,
    connect,
    create,
    ended,
    events,
    lines,
    listening,
    processes,
    refused,
    steps,
    table,
    until,
)

EPOCHS = 60


@dataclass(frozen=True)
class Tuned:
    """A job that has succeeded, and where its server keeps its things."""

    job: FineTuningJob
    folder: Path

    @property
    def name(self) -> str:
        """The tuned model's name."""
        return self.job.fine_tuned_model or ""


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Compute with one thread: the model is so small that threads would only wait for each other."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="module")
def server(state: Path, one_thread: None) -> Iterator[Server]:  # noqa: ARG001 - before the server starts
    with running(state) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[openai.OpenAI]:
    with connect(server) as client:
        yield client


@pytest.fixture(scope="module")
def tuned(client: openai.OpenAI, state: Path, tiny_model: Path) -> Tuned:
    job = ended(client, create(client, tiny_model, n_epochs=EPOCHS, batch_size=12, learning_rate=1e-2).id)
    return Tuned(job, state / "jobs" / job.id)


# ---- files ----


def test_a_file_is_kept_listed_returned_and_deleted(client: openai.OpenAI) -> None:
    content = lines(ROWS)
    made = client.files.create(file=("my rows.jsonl", content), purpose="fine-tune")
    assert (made.filename, made.bytes, made.purpose, made.status) == ("my rows.jsonl", len(content), "fine-tune", "processed")
    assert client.files.retrieve(made.id) == made
    assert client.files.content(made.id).read() == content
    assert next(iter(client.files.list())).id == made.id
    assert client.files.delete(made.id).deleted
    assert made.id not in [f.id for f in client.files.list()]
    for ask in (client.files.retrieve, client.files.content, client.files.delete):
        with pytest.raises(openai.NotFoundError, match=made.id):
            ask(made.id)


def test_files_are_listed_by_purpose_and_page(client: openai.OpenAI) -> None:
    made = [client.files.create(file=(f"{n}.jsonl", b"{}\n"), purpose="batch").id for n in range(3)]
    page = client.files.list(purpose="batch", limit=2)
    assert ([f.id for f in page.data], page.has_more) == ([made[2], made[1]], True)
    assert [f.id for f in page] == made[::-1]
    assert not {f.id for f in client.files.list(purpose="fine-tune")} & set(made)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lines(ROWS[:2]) + b'{"prompt": "a"\n', "line 3: not JSON: "),
        (lines(ROWS[:1]) + b"\n" + b'["a", "b"]\n', "line 3: the row is not an object"),
        (lines([{"prompt": "a", "answer": "b"}]), "line 1: the row has no text under 'completion'"),
        (lines([*ROWS[:4], {"prompt": 5, "completion": "b"}]), "line 5: the row has no text under 'prompt'"),
        (lines([{"prompt": "a", "completion": ""}]), "line 1: the completion is empty"),
        (lines([*TURNS[:1], {"messages": []}]), "line 2: 'messages' is not a list of turns"),
        (lines([{"messages": [{"role": "user", "content": "a"}]}]), "line 1: there is no assistant turn to learn"),
        (lines([{"messages": [{"role": "oracle", "content": "a"}]}]), "line 1: messages[0] has no role out of "),
        (lines([{"messages": [{"role": "assistant", "content": None}]}]), "line 1: messages[0] has no text under 'content'"),
        (lines([{"messages": [{"role": "assistant", "content": "a", "weight": 2}]}]), "line 1: messages[0].weight is neither"),
        (lines(ROWS) + lines(TURNS), "the file mixes prompt-completion rows with chat rows"),
        (b"", "the file has no rows"),
        (b'{"prompt": "caf\xe9"}\n', "the file is not UTF-8 (byte 15)"),
    ],
)
def test_bad_rows_are_named_by_their_line(client: openai.OpenAI, content: bytes, said: str) -> None:
    with pytest.raises(openai.BadRequestError) as error:
        client.files.create(file=("rows.jsonl", content), purpose="fine-tune")
    assert said in error.value.message
    assert refused(error) == (400, "invalid_file_format", "file")


def test_only_the_first_bad_row_is_named_and_the_others_are_counted(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match=r"line 2: .*\(and 2 more\)"):
        client.files.create(file=("rows.jsonl", lines(ROWS[:1]) + b"x\ny\nz\n"), purpose="fine-tune")


# ---- jobs ----


def test_a_job_ends_with_a_model_and_its_facts(tuned: Tuned, tiny_model: Path) -> None:
    job = tuned.job
    assert (job.status, job.error) == ("succeeded", None)
    assert tuned.name == f"ft:{tiny_model.name}:local:words:{job.id.removeprefix('ftjob-')[:8]}"
    assert (job.model, job.seed) == (str(tiny_model), 3)
    assert job.method is not None
    assert job.method.supervised is not None
    assert job.method.supervised.hyperparameters is not None
    assert job.method.supervised.hyperparameters.n_epochs == EPOCHS
    assert job.trained_tokens == EPOCHS * sum(len((r["prompt"] + r["completion"]).encode()) for r in ROWS)
    assert cast("int", job.finished_at) >= job.created_at


def test_jobs_are_listed_the_newest_first_and_page_by_page(client: openai.OpenAI, tuned: Tuned) -> None:
    listed = list(client.fine_tuning.jobs.list(limit=1))
    assert [j.id for j in listed] == [j.id for j in client.fine_tuning.jobs.list(limit=100)]
    assert tuned.job in listed
    assert [j.created_at for j in listed] == sorted((j.created_at for j in listed), reverse=True)


def test_events_tell_the_story_page_by_page(client: openai.OpenAI, tuned: Tuned) -> None:
    told = list(client.fine_tuning.jobs.list_events(tuned.job.id, limit=1000).data)
    assert [e.id for e in client.fine_tuning.jobs.list_events(tuned.job.id, limit=7)] == [e.id for e in told]
    page = client.fine_tuning.jobs.list_events(tuned.job.id, limit=3)
    after = client.fine_tuning.jobs.list_events(tuned.job.id, limit=3, after=page.data[-1].id)
    assert [e.id for e in (*page.data, *after.data)] == [e.id for e in told[:6]]
    assert page.has_more
    assert len({e.id for e in told}) == len(told)
    assert steps(client, tuned.job.id) == list(range(1, EPOCHS + 1))
    messages = [e.message for e in told[::-1] if e.type == "message"]
    assert messages[0] == f"Created fine-tuning job: {tuned.job.id}"
    assert messages[1].endswith(", 12 rows")
    assert messages[-2:] == [f"New fine-tuned model created: {tuned.name}", "The job has successfully completed"]


def test_the_result_file_holds_the_loss_of_every_step(client: openai.OpenAI, tuned: Tuned) -> None:
    rows = table(client, tuned.job)
    assert list(rows[0]) == ["step", "train_loss", "train_accuracy", "valid_loss", "valid_mean_token_accuracy"]
    assert [int(r["step"]) for r in rows] == list(range(1, EPOCHS + 1))
    assert float(rows[0]["train_loss"]) > 4
    assert float(rows[-1]["train_loss"]) < 1
    assert client.files.retrieve(tuned.job.result_files[0]).purpose == "fine-tune-results"


def test_the_tuned_model_is_a_directory_for_anybodys_transformers(client: openai.OpenAI, tuned: Tuned) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tuned.folder / "model"
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    model: Any = AutoModelForCausalLM.from_pretrained(str(folder), dtype=torch.float32)
    prompt = tokenizer("Is 5 a number?\n\n###\n\n", return_tensors="pt", add_special_tokens=False)
    with torch.inference_mode():
        told = model.generate(**prompt, max_new_tokens=11, do_sample=False)
    text = tokenizer.decode(told[0, prompt["input_ids"].shape[1] :])
    assert text == " yes, it is"
    asked = {"prompt": "Is 5 a number?\n\n###\n\n", "max_tokens": 11, "temperature": 0}
    assert client.completions.create(model=tuned.name, **cast("Any", asked)).choices[0].text == text
    assert not (tuned.folder / "checkpoint").exists()


def test_an_adapter_is_trained_on_turns_and_answers(client: openai.OpenAI, tiny_model: Path, state: Path) -> None:
    made = create(client, tiny_model, TURNS, n_epochs=150, batch_size=12, learning_rate=1e-2, method="lora", lora_rank=16)
    job = ended(client, made.id)
    assert (job.status, job.error) == ("succeeded", None)
    rows = table(client, job)
    assert float(rows[-1]["train_loss"]) < 0.2 * float(rows[0]["train_loss"])
    settings = json.loads((state / "jobs" / job.id / "model/adapter_config.json").read_text())
    assert (settings["r"], settings["base_model_name_or_path"]) == (16, str(tiny_model))
    turns: Any = [{"role": "user", "content": "Is 5 a number?"}]
    chat = client.chat.completions.create(model=job.fine_tuned_model or "", messages=turns, temperature=0, max_tokens=30)
    assert (chat.choices[0].message.content, chat.choices[0].finish_reason) == ("Yes.", "stop")
    untuned = client.chat.completions.create(model=str(tiny_model), messages=turns, temperature=0, max_tokens=30)
    assert untuned.choices[0].message.content != "Yes."


def test_a_tuned_model_can_be_tuned_further(client: openai.OpenAI, tuned: Tuned) -> None:
    job = ended(client, create(client, tuned.name, n_epochs=1, batch_size=12, learning_rate=1e-3).id)
    assert job.status == "succeeded"
    (row,) = table(client, job)
    assert float(row["train_loss"]) < 1


def test_rows_may_hold_every_kind_of_line_separator(client: openai.OpenAI, tiny_model: Path) -> None:
    rows = [{"prompt": f"{n}\u2028\u2029\x85\x0b\x0c\x1c\r ->", "completion": " a\u2028b"} for n in range(10)]
    job = ended(client, create(client, tiny_model, rows, n_epochs=1, batch_size=10).id)
    assert (job.status, job.error) == ("succeeded", None)
    assert "Training 10 rows in 1 steps" in [e.message for e in events(client, job.id)]


def test_too_few_rows(client: openai.OpenAI, tiny_model: Path) -> None:
    with pytest.raises(openai.BadRequestError, match="has 9 example") as error:
        create(client, tiny_model, ROWS[:9])
    assert refused(error) == (400, "too_few_examples", "training_file")


@pytest.mark.parametrize(
    ("given", "status", "code", "param"),
    [
        ({"training_file": "file-nowhere"}, 400, "file_not_found", "training_file"),
        ({"model": "no-such-model"}, 404, "model_not_found", "model"),
        ({"model": "/no/such/folder"}, 404, "model_not_found", "model"),
        ({"suffix": "x" * 65}, 400, None, "suffix"),
        ({"seed": -1}, 400, None, "seed"),
        ({"method": {"type": "reinforcement"}}, 400, "unsupported_method", "method.type"),
        ({"hyperparameters": {"n_epochs": 0}}, 400, None, "hyperparameters.n_epochs"),
        ({"hyperparameters": {"n_epochs": 1.5}}, 400, None, "hyperparameters.n_epochs"),
        ({"hyperparameters": {"batch_size": "many"}}, 400, None, "hyperparameters.batch_size"),
        ({"hyperparameters": {"learning_rate": -1}}, 400, None, "hyperparameters.learning_rate"),
        ({"hyperparameters": {"method": "quick"}}, 400, None, "hyperparameters.method"),
    ],
)
def test_a_job_that_cannot_be_is_refused(
    client: openai.OpenAI, tiny_model: Path, given: dict[str, Any], status: int, code: str | None, param: str
) -> None:
    file = client.files.create(file=("rows.jsonl", lines(ROWS)), purpose="fine-tune")
    before = len(client.fine_tuning.jobs.list(limit=1000).data)
    with pytest.raises(openai.APIStatusError) as error:
        client.fine_tuning.jobs.create(**({"model": str(tiny_model), "training_file": file.id} | given))
    assert refused(error) == (status, code, param)
    assert len(client.fine_tuning.jobs.list(limit=1000).data) == before


def test_an_unknown_job(client: openai.OpenAI) -> None:
    jobs = client.fine_tuning.jobs
    for ask in (jobs.retrieve, jobs.cancel, jobs.list_events):
        with pytest.raises(openai.NotFoundError, match="ftjob-nowhere"):
            ask("ftjob-nowhere")


def test_jobs_wait_for_each_other_and_can_be_cancelled(client: openai.OpenAI, tiny_model: Path, tuned: Tuned) -> None:
    first = create(client, tiny_model, n_epochs=1000, batch_size=1)
    second = create(client, tiny_model, n_epochs=1000, batch_size=1)
    until(lambda: steps(client, first.id), "the first step")
    assert client.fine_tuning.jobs.retrieve(second.id).status == "queued"
    assert client.fine_tuning.jobs.cancel(second.id).status == "cancelled"
    assert client.fine_tuning.jobs.cancel(first.id).status == "cancelled"
    until(lambda: not processes("ftbuild.local.trainer", first.id), "the end of the training process", 30)
    for job in (first, second):
        now = client.fine_tuning.jobs.retrieve(job.id)
        assert (now.status, now.fine_tuned_model, now.error) == ("cancelled", None, None)
        assert [e.message for e in events(client, job.id)][-1] == "Fine-tuning job cancelled"
    assert steps(client, second.id) == []
    with pytest.raises(openai.BadRequestError, match="already ended: succeeded"):
        client.fine_tuning.jobs.cancel(tuned.job.id)


def test_a_killed_trainer_fails_its_job_with_one_clear_line(client: openai.OpenAI, tiny_model: Path) -> None:
    job = create(client, tiny_model, n_epochs=1000, batch_size=1)
    until(lambda: steps(client, job.id), "the first step")
    for trainer in processes("ftbuild.local.trainer", job.id):
        os.kill(trainer, signal.SIGKILL)
    job = ended(client, job.id)
    assert job.status == "failed"
    assert job.error is not None
    assert (job.error.code, job.error.message) == ("training_failed", "the training process ended with code -9: killed")
    last = events(client, job.id)[-1]
    assert (last.level, last.message) == ("error", job.error.message)


def test_a_row_that_does_not_fit_fails_its_job_with_one_clear_line(client: openai.OpenAI, tiny_model: Path) -> None:
    rows = [*ROWS, {"prompt": "a" * 600, "completion": " b"}]
    job = ended(client, create(client, tiny_model, rows).id)
    assert job.status == "failed"
    assert job.error is not None
    assert job.error.message == "ValueError: a row has 602 tokens, more than the 512 that can be trained"


# ---- answers ----


def complete(client: openai.OpenAI, model: str, prompt: Any = "Is 5 a number?\n\n###\n\n", **given: Any) -> Any:
    return client.completions.create(model=model, prompt=prompt, **({"temperature": 0, "max_tokens": 40} | given))


def test_an_answer_is_cut_exactly_before_its_stop(client: openai.OpenAI, tuned: Tuned) -> None:
    for stop, text in (
        (" [DONE]", " yes, it is"),
        ("[DONE]", " yes, it is "),
        ("it", " yes, "),
        (["is", ","], " yes"),
        (" ", ""),
    ):
        choice = complete(client, tuned.name, stop=stop).choices[0]
        assert (choice.text, choice.finish_reason) == (text, "stop")


def test_an_answer_has_at_most_max_tokens(client: openai.OpenAI, tuned: Tuned) -> None:
    for most, text in ((1, " "), (4, " yes"), (11, " yes, it is")):
        done = complete(client, tuned.name, max_tokens=most)
        assert (done.choices[0].text, done.choices[0].finish_reason) == (text, "length")
        assert (done.usage.completion_tokens, done.usage.prompt_tokens) == (most, len("Is 5 a number?\n\n###\n\n"))
    assert complete(client, tuned.name, max_tokens=None).usage.completion_tokens == 16


def test_many_prompts_are_answered_in_their_order(client: openai.OpenAI, tuned: Tuned) -> None:
    prompts = [f"Is {n} a number?\n\n###\n\n" for n in (1, 1234567, 2, 99)]
    done = complete(client, tuned.name, prompts, stop=" [DONE]")
    assert [(c.index, c.text) for c in done.choices] == [(n, " yes, it is") for n in range(4)]
    assert done.usage.prompt_tokens == sum(map(len, prompts))
    halves = complete(client, tuned.name, [p + " yes, " + "it"[:n] for n, p in enumerate(prompts[:3])], max_tokens=3)
    assert [c.text for c in halves.choices] == ["it ", "t i", " is"]


def test_tokens_may_be_given_instead_of_text(client: openai.OpenAI, tuned: Tuned) -> None:
    from transformers import AutoTokenizer

    tokens = AutoTokenizer.from_pretrained(str(tuned.folder / "model"))("Is 5 a number?\n\n###\n\n")["input_ids"]
    for prompt in (tokens, [tokens]):
        assert complete(client, tuned.name, prompt, stop=" [DONE]").choices[0].text == " yes, it is"


def test_the_same_seed_gives_the_same_answer(client: openai.OpenAI, tiny_model: Path) -> None:
    def sampled(**given: Any) -> list[str]:
        return [c.text for c in complete(client, str(tiny_model), max_tokens=20, **given).choices]

    assert sampled(temperature=0) == sampled(temperature=0)
    assert sampled(temperature=0, seed=1) == sampled(temperature=0, seed=2)
    assert sampled(temperature=1, seed=1) == sampled(temperature=1, seed=1)
    assert sampled(temperature=1, seed=1) != sampled(temperature=1, seed=2)
    assert sampled(temperature=1) != sampled(temperature=1)
    assert len(set(sampled(temperature=1, seed=1, n=3))) == 3


def test_a_conversation_is_answered(client: openai.OpenAI, tuned: Tuned) -> None:
    turns: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": [{"type": "text", "text": "Hello"}]}]
    chat = client.chat.completions.create(model=tuned.name, messages=turns, max_completion_tokens=5, temperature=0)
    choice = chat.choices[0]
    assert (choice.message.role, choice.finish_reason) == ("assistant", "length")
    assert choice.message.content
    laid = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"
    assert complete(client, tuned.name, laid, max_tokens=5).choices[0].text == choice.message.content
    assert chat.usage is not None
    assert chat.usage.completion_tokens == 5


def test_many_may_ask_at_once(server: Server, tuned: Tuned) -> None:
    import asyncio

    async def ask() -> list[str]:
        async with openai.AsyncOpenAI(base_url=server.base_url, api_key=server.api_key, timeout=PATIENCE) as client:
            asked = [complete_later(client, n) for n in range(24)]
            return [done.choices[0].text for done in await asyncio.gather(*asked)]

    async def complete_later(client: openai.AsyncOpenAI, n: int) -> Any:
        prompt = f"Is {n} a number?\n\n###\n\n"
        return await client.completions.create(
            model=tuned.name, prompt=prompt, temperature=0, max_tokens=3 + n % 3, stop=" [DONE]"
        )

    assert asyncio.run(ask()) == [" yes, "[: 3 + n % 3] for n in range(24)]


@pytest.mark.parametrize(
    ("given", "code", "param"),
    [
        ({"prompt": "a" * 513}, "context_length_exceeded", "prompt"),
        ({"prompt": ""}, "context_length_exceeded", "prompt"),
        ({"max_tokens": -1}, None, "max_tokens"),
        ({"temperature": 3}, None, "temperature"),
        ({"stop": ["a", "b", "c", "d", "e"]}, None, "stop"),
    ],
)
def test_a_request_that_cannot_be_is_refused(
    client: openai.OpenAI, tuned: Tuned, given: dict[str, Any], code: str | None, param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as error:
        complete(client, tuned.name, **given)
    status, found, place = refused(error)
    assert (status, found) == (400, code)
    assert (place or "").startswith(param)


# ---- models, keys, addresses ----


def test_models_are_listed_retrieved_and_deleted(client: openai.OpenAI, tiny_model: Path) -> None:
    job = ended(client, create(client, tiny_model, n_epochs=1, batch_size=12).id)
    name = job.fine_tuned_model or ""
    assert client.models.retrieve(name).id == name
    assert name in [m.id for m in client.models.list()]
    assert complete(client, name, max_tokens=1).usage.completion_tokens == 1
    assert client.models.delete(name).deleted
    assert name not in [m.id for m in client.models.list()]
    for ask in (client.models.retrieve, client.models.delete, lambda name: complete(client, name)):
        with pytest.raises(openai.NotFoundError) as error:
            ask(name)
        assert refused(error) == (404, "model_not_found", "model")
    assert client.fine_tuning.jobs.retrieve(job.id).status == "succeeded"


def test_an_unknown_model(client: openai.OpenAI) -> None:
    turns: Any = [{"role": "user", "content": "Hello"}]
    for ask in (
        lambda: client.models.retrieve("gpt-4"),
        lambda: client.models.delete("gpt-4"),
        lambda: complete(client, "gpt-4"),
        lambda: client.chat.completions.create(model="gpt-4", messages=turns),
    ):
        with pytest.raises(openai.NotFoundError, match="'gpt-4'") as error:
            ask()
        assert refused(error) == (404, "model_not_found", "model")


def test_a_wrong_key_opens_nothing(server: Server, tuned: Tuned) -> None:
    for key in ("sk-wrong", server.api_key[:-1], server.api_key + "x"):
        with connect(server, key) as stranger:
            turns: Any = [{"role": "user", "content": "Hello"}]
            for ask in (
                stranger.models.list,
                stranger.files.list,
                stranger.fine_tuning.jobs.list,
                lambda stranger=stranger: complete(stranger, tuned.name),
                lambda stranger=stranger, turns=turns: stranger.chat.completions.create(model=tuned.name, messages=turns),
            ):
                with pytest.raises(openai.AuthenticationError) as error:
                    ask()
                assert refused(error) == (401, "invalid_api_key", None)
                assert server.api_key not in str(error.value)


def test_an_unknown_address(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="Unknown request URL: GET /v1/assistants") as error:
        client.get("/assistants", cast_to=object)
    assert refused(error)[0] == 404


def test_the_server_says_that_it_is_up_and_numbers_its_answers(server: Server, client: openai.OpenAI) -> None:
    import httpx2

    health = httpx2.get(server.base_url.replace("/v1", "/health"))
    assert health.json()["status"] == "ok"
    answers = [client.models.with_raw_response.list().headers["x-request-id"] for _ in range(2)]
    assert len(set(answers)) == 2
    assert all(answers)


def test_the_key_is_not_shown(server: Server) -> None:
    assert server.api_key not in f"{server!r} {server}"
    listed = subprocess.run(["ps", "-ww", "-eo", "args="], capture_output=True, text=True, check=True).stdout
    assert server.api_key not in listed


# ---- how a server ends ----


def test_the_server_ends_with_its_context(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        assert listening(server.base_url)
        assert processes("ftbuild.local.serve", str(tmp_path))
    assert not listening(server.base_url)
    assert not processes(str(tmp_path))


def test_the_server_ends_with_a_context_that_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), running(tmp_path):
        _ = 1 / 0
    assert not processes(str(tmp_path))


def test_a_busy_server_ends_at_once(tmp_path: Path, tiny_model: Path) -> None:
    given_up = threading.Event()

    def ask(busy: Server) -> None:
        with connect(busy) as client, contextlib.suppress(openai.APIError):
            complete(client, str(tiny_model), ["Hello"] * 2000, n=8, max_tokens=400, temperature=1)
        given_up.set()

    with running(tmp_path) as busy:
        with connect(busy) as client:
            complete(client, str(tiny_model), max_tokens=1)
        threading.Thread(target=ask, args=(busy,)).start()
        time.sleep(1)
        assert not given_up.is_set()
        since = time.monotonic()
    assert time.monotonic() - since < 30
    assert given_up.wait(30)
    assert not processes(str(tmp_path))


def test_a_job_goes_on_with_the_next_server(tmp_path: Path, tiny_model: Path) -> None:
    with running(tmp_path) as server, connect(server) as client:
        job = create(client, tiny_model, n_epochs=300, batch_size=6)
        until(lambda: len(steps(client, job.id)) >= 5, "the fifth step")
        time_stopped = time.monotonic()
    assert time.monotonic() - time_stopped < 60
    assert not processes(str(tmp_path))
    stopped = json.loads((tmp_path / "jobs" / job.id / "checkpoint/step.json").read_text())["step"]
    assert 5 <= stopped < 600
    with running(tmp_path) as server, connect(server) as client:
        job = ended(client, job.id)
        assert (job.status, job.error) == ("succeeded", None)
        assert [int(r["step"]) for r in table(client, job)] == list(range(1, 601))
        assert steps(client, job.id) == list(range(1, 601))  # none was taken twice
        told = [e.message for e in events(client, job.id)]
        assert f"Stopped after step {stopped}" in told
        assert "The server was restarted; the job goes on" in told
        assert complete(client, job.fine_tuned_model or "", stop=" [DONE]").choices[0].text == " yes, it is"


def test_server_and_trainer_end_when_the_build_is_killed(tmp_path: Path, tiny_model: Path) -> None:
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom ftbuild.local.launch import running\n"
        "with running(Path(sys.argv[1])) as server:\n"
        "    print(server.base_url, server.api_key, flush=True)\n    time.sleep(1000)\n"
    )
    build = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    with build:
        assert build.stdout is not None
        server = Server(*build.stdout.readline().split())
        with connect(server) as client:
            job = create(client, tiny_model, n_epochs=1000, batch_size=1)
            until(lambda: len(steps(client, job.id)) >= 3, "the third step")
        build.kill()
    assert build.returncode == -signal.SIGKILL
    until(lambda: not processes(str(tmp_path)), "the end of server and trainer", 60)
    assert not listening(server.base_url)
    assert json.loads((tmp_path / "jobs" / job.id / "checkpoint/step.json").read_text())["step"] >= 3


# ---- a whole recipe, on a model of the user's own ----

STORY = (
    "Anna finds an old map in the attic. She shows the map to her brother Ben. Ben does not believe in treasure. "
    "Anna packs a lamp and two apples. They walk to the lighthouse at noon. The keeper lets them in. "
    "He reads the map with his glasses. The keeper laughs out loud. The map shows his own garden. "
    "They dig beside the pear tree. Ben finds a tin box. The box holds a letter and a silver spoon. "
    "The keeper cries for joy. They eat the apples on the stairs.\n"
)
RECIPE = """\
# @package _global_
# A story of fourteen sentences.
defaults:
  - override /clean: none
  - _self_
source:
  story: {source: file, path: story.txt, title: The map}
kinds:
  next: {kind: next, question: "What comes after this? {sentence}"}
train: {epochs: 2, suffix: story, learning_rate: 0.01}
evaluate:
  probes:
    box: {question: "What holds a letter?", grade: {grader: contains, any_of: [box]}}
  max_tokens: 8
"""


def test_a_recipe_is_built_on_a_model_of_the_users_own(
    home: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "conf/recipe").mkdir(parents=True)
    (home / "conf/recipe/story.yaml").write_text(RECIPE)
    (home / "story.txt").write_text(STORY)
    recipe = ["+recipe=story", f"trainer.base_model={tiny_model}"]

    def ftbuild(*argv: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(list(argv))
        return (code, *capsys.readouterr())

    code, out, err = ftbuild(*recipe)
    assert code == 0, err
    assert not processes("ftbuild.local", str(home))
    folder = home / "builds/story"
    rows = [json.loads(line) for line in (folder / "dataset.jsonl").read_text().splitlines()]
    assert len(rows) == 13
    assert rows[0]["prompt"].startswith("What comes after this? Anna finds an old map in the attic.")
    assert rows[0]["completion"] == "She shows the map to her brother Ben. [DONE]"
    model = json.loads((folder / "model.json").read_text())
    assert model["base_model"] == str(tiny_model)
    assert model["model"].startswith("ft:tiny:local:story:")
    assert model["model"] in out
    assert len((folder / "metrics.csv").read_text().splitlines()) > 1
    assert "<html" in (folder / "report.html").read_text()
    assert [p.name for p in folder.iterdir() if p.name.startswith(".")] == []

    started = time.monotonic()
    code, out, err = ftbuild(*recipe)
    assert (code, err) == (0, "")
    assert "nothing to do" in out
    assert time.monotonic() - started < 20

    code, out, err = ftbuild(*recipe, "--json")
    built = json.loads(out)
    assert (code, built["recipe"], built["model"]["model"]) == (0, "story", model["model"])
    code, out, err = ftbuild("plan", *recipe, "--json")
    assert {step["verdict"] for step in json.loads(out)["stages"]} == {"fresh"}

    code, out, err = ftbuild("ask", *recipe, "What holds a letter?", "--json")
    assert (code, json.loads(out)["question"], json.loads(out)["model"]) == (0, "What holds a letter?", model["model"])
    monkeypatch.setattr(sys, "stdin", io.StringIO("What comes next?\nAnd then?\n\nNever asked.\n"))
    code, out, err = ftbuild("ask", *recipe)
    assert (code, out.count("\n")) == (0, 2)
    assert not processes("ftbuild.local", str(home))

    code, out, err = ftbuild(*recipe, "builds=story.txt/builds")
    assert (code, out) == (1, "")
    assert err.startswith("error: cannot write to story.txt/builds/story")


def test_a_base_model_that_is_not_there_is_told_in_one_line(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "conf/recipe").mkdir(parents=True)
    (home / "conf/recipe/story.yaml").write_text(RECIPE)
    (home / "story.txt").write_text(STORY)
    assert main(["+recipe=story", "trainer.base_model=./nowhere"]) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "./nowhere" in errors[0]
    assert not (home / "builds").exists()
