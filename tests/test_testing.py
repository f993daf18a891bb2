"""The scripted provider, seen through the real `openai` client."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import openai
import pytest

from ftbuild.testing import (
    INSUFFICIENT_QUOTA,
    TRAINING_NOT_AVAILABLE,
    CutOff,
    Empty,
    Refusal,
    Request,
    ScriptedProvider,
    Status,
    Training,
    numbered_pairs,
)

ROWS = [{"prompt": f"{n} ü ->", "completion": f" {n}\u2028\r END"} for n in range(10)]


def lines(rows: list[dict[str, str]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def connect(provider: ScriptedProvider, *, key: str | None = None) -> openai.OpenAI:
    return openai.OpenAI(base_url=provider.base_url, api_key=key or provider.api_key, max_retries=0, timeout=10)


def chat(client: openai.OpenAI, text: str = "Hello?", model: str = "scripted-teacher") -> openai.types.chat.ChatCompletion:
    return client.chat.completions.create(model=model, messages=[{"role": "user", "content": text}])


def train(client: openai.OpenAI, content: bytes | None = None, **given: str) -> openai.types.fine_tuning.FineTuningJob:
    file = client.files.create(file=("rows.jsonl", lines(ROWS) if content is None else content), purpose="fine-tune")
    return client.fine_tuning.jobs.create(model="scripted-base", training_file=file.id, suffix=given.get("suffix", "expert"))


def statuses(client: openai.OpenAI, job: str, most: int = 10) -> list[str]:
    return [client.fine_tuning.jobs.retrieve(job).status for _ in range(most)]


@pytest.fixture
def provider() -> Iterator[ScriptedProvider]:
    with ScriptedProvider(lambda request: f"{request.model} hears {request.prompt!r}", tuned_reply="I was tuned") as provider:
        yield provider


@pytest.fixture
def client(provider: ScriptedProvider) -> Iterator[openai.OpenAI]:
    with connect(provider) as client:
        yield client


# ---- asking ----


def test_chat_answers_the_last_user_turn(client: openai.OpenAI, provider: ScriptedProvider) -> None:
    answer = client.chat.completions.create(
        model="scripted-teacher",
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "one"},
            {"role": "assistant", "content": "1"},
            {"role": "user", "content": [{"type": "text", "text": "two"}, {"type": "text", "text": "!"}]},
        ],
        temperature=0,
    )
    assert answer.choices[0].message.content == "scripted-teacher hears 'two!'"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0
    (request,) = provider.asked
    assert (request.method, request.path, request.body["temperature"]) == ("POST", "/chat/completions", 0)


def test_completions_answer_each_prompt(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="scripted-base", prompt=["one", "two"])
    assert [c.text for c in answer.choices] == ["scripted-base hears 'one'", "scripted-base hears 'two'"]
    assert [c.index for c in answer.choices] == [0, 1]


def test_a_text_ends_before_the_first_stop_sequence() -> None:
    with ScriptedProvider("Nero [DONE] and so on") as provider, connect(provider) as client:
        one = client.completions.create(model="scripted-base", prompt="Who?", stop=" and")
        two = client.completions.create(model="scripted-base", prompt="Who?", stop=["and", " [DONE]", "###"])
    assert [one.choices[0].text, two.choices[0].text] == ["Nero [DONE]", "Nero"]


def test_a_queue_gives_its_replies_in_order_and_says_when_it_is_empty() -> None:
    with ScriptedProvider([Refusal("no"), CutOff("half a"), Empty(), "whole"]) as provider, connect(provider) as client:
        choices = [chat(client).choices[0] for _ in range(4)]
        assert [(c.message.content, c.message.refusal, c.finish_reason) for c in choices] == [
            (None, "no", "stop"),
            ("half a", None, "length"),
            ("", None, "stop"),
            ("whole", None, "stop"),
        ]
        with pytest.raises(openai.BadRequestError, match="no reply left"):
            chat(client)


def test_completions_have_no_refusal_but_a_content_filter() -> None:
    with ScriptedProvider([Refusal("no")]) as provider, connect(provider) as client:
        choice = client.completions.create(model="scripted-base", prompt="Who?").choices[0]
    assert (choice.text, choice.finish_reason) == ("", "content_filter")


def test_statuses_come_with_openai_s_envelope_and_headers() -> None:
    script = [Status(429, code="rate_limit_exceeded", message="slow down", retry_after=7), INSUFFICIENT_QUOTA, Status(503)]
    with ScriptedProvider(script) as provider, connect(provider) as client:
        with pytest.raises(openai.RateLimitError) as limited:
            chat(client)
        assert limited.value.code == "rate_limit_exceeded"
        assert limited.value.body == {"message": "slow down", "type": "requests", "param": None, "code": "rate_limit_exceeded"}
        assert limited.value.response.headers["retry-after"] == "7"
        assert str(limited.value.request_id).startswith("req_")
        with pytest.raises(openai.RateLimitError) as broke:
            chat(client)
        assert (broke.value.code, broke.value.type) == ("insufficient_quota", "insufficient_quota")
        with pytest.raises(openai.InternalServerError):
            chat(client)


def test_the_client_tries_again_after_a_status() -> None:
    with ScriptedProvider([Status(429, retry_after=0.01), Status(500, retry_after=0.01), "at last"]) as provider:
        with connect(provider).with_options(max_retries=2) as client:
            assert chat(client).choices[0].message.content == "at last"
        assert len(provider.asked) == 3


def test_a_model_that_is_not_there_is_404(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as error:
        chat(client, model="gpt-17")
    assert error.value.code == "model_not_found"


@pytest.mark.parametrize("asked", [{"stream": True}, {"n": 2}])
def test_what_is_not_scripted_is_refused(provider: ScriptedProvider, asked: dict[str, object]) -> None:
    answer = httpx2.post(
        f"{provider.base_url}/completions",
        json={"model": "scripted-base", "prompt": "Who?", **asked},
        headers={"Authorization": f"Bearer {provider.api_key}"},
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unsupported_parameter")


def test_numbered_pairs_differ_by_prompt_and_by_model() -> None:
    with ScriptedProvider(numbered_pairs(3)) as provider, connect(provider) as client:
        said = [chat(client, text, model).choices[0].message.content or "" for text, model in ASKED]
    pairs = [[json.loads(line) for line in text.splitlines()] for text in said]
    assert [len(p) for p in pairs] == [3, 3, 3, 3]
    assert all(set(pair) == {"prompt", "completion"} for some in pairs for pair in some)
    assert said[0] == said[3]
    assert len({pair["prompt"] for some in pairs for pair in some}) == 9


ASKED = [("a", "scripted-teacher"), ("b", "scripted-teacher"), ("a", "scripted-base"), ("a", "scripted-teacher")]


def test_many_are_asked_at_once() -> None:
    together = threading.Barrier(8, timeout=5)

    def reply(_: Request) -> str:
        return str(together.wait())  # goes on when all eight are here

    with ScriptedProvider(reply) as provider, connect(provider) as client, ThreadPoolExecutor(8) as pool:
        said = list(pool.map(lambda text: chat(client, text).choices[0].message.content, "abcdefgh"))
    assert sorted(map(str, said)) == [str(n) for n in range(8)]


def test_a_mistake_in_a_script_is_answered_once_and_raised_at_the_end() -> None:
    def reply(_: Request) -> str:
        raise ValueError("oops")

    def ask() -> None:
        with ScriptedProvider(reply) as provider, connect(provider).with_options(max_retries=2) as client:
            with pytest.raises(openai.InternalServerError, match="oops"):
                chat(client)
            assert len(provider.asked) == 1

    with pytest.raises(ValueError, match="oops"):
        ask()


def test_any_request_can_be_answered_with_a_fault(client: openai.OpenAI, provider: ScriptedProvider) -> None:
    provider.fault = lambda request: Status(503, message="resting") if request.path == "/models" else None
    with pytest.raises(openai.InternalServerError, match="resting"):
        client.models.list()
    assert chat(client).choices[0].message.content
    provider.fault = None
    assert client.models.list().data


# ---- keys and addresses ----


def test_a_wrong_key_is_401_and_not_repeated_in_full(provider: ScriptedProvider) -> None:
    wrong = "sk-wrong-1234567890abcdef"
    with connect(provider, key=wrong) as client, pytest.raises(openai.AuthenticationError) as error:
        client.models.list()
    assert error.value.code == "invalid_api_key"
    assert wrong not in str(error.value)
    assert provider.api_key not in repr(provider.requests)


def test_no_key_and_an_unknown_path_have_envelopes_too(provider: ScriptedProvider) -> None:
    bare = httpx2.get(f"{provider.base_url}/models")
    assert bare.status_code == 401
    assert "didn't provide" in bare.json()["error"]["message"]
    lost = httpx2.get(f"{provider.base_url}/nowhere", headers={"Authorization": f"Bearer {provider.api_key}"})
    assert (lost.status_code, lost.json()["error"]["code"]) == (404, "unknown_url")
    outside = httpx2.get(provider.base_url.replace("/v1", "/models"), headers={"Authorization": f"Bearer {provider.api_key}"})
    assert (outside.status_code, outside.json()["error"]["message"]) == (404, "Unknown request URL: GET /models.")
    broken = httpx2.post(f"{provider.base_url}/completions", content=b"{", headers={"Content-Type": "application/json"})
    assert broken.status_code == 400


def test_nobody_answers_after_the_block() -> None:
    with ScriptedProvider() as provider:
        client = connect(provider)
        chat(client)
    with client, pytest.raises(openai.APIConnectionError):  # neither over the connection it kept nor over another
        chat(client)


# ---- files ----


def test_a_file_is_kept_to_the_byte_until_it_is_deleted(client: openai.OpenAI) -> None:
    content = lines(ROWS)
    file = client.files.create(file=("rows.jsonl", content), purpose="fine-tune")
    assert (file.filename, file.purpose, file.bytes, file.status) == ("rows.jsonl", "fine-tune", len(content), "processed")
    assert client.files.content(file.id).read() == content
    assert [f.id for f in client.files.list(purpose="fine-tune")] == [file.id]
    assert client.files.retrieve(file.id) == file
    assert client.files.delete(file.id).deleted
    with pytest.raises(openai.NotFoundError, match="No such File object"):
        client.files.retrieve(file.id)


def test_training_data_must_be_json_lines(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="not JSON"):
        client.files.create(file=("rows.jsonl", b'{"prompt": \n'), purpose="fine-tune")


# ---- fine-tuning ----


def test_a_job_goes_one_status_further_each_time_and_makes_a_model(client: openai.OpenAI, provider: ScriptedProvider) -> None:
    job = train(client)
    assert job.status == "validating_files"
    assert job.fine_tuned_model is None
    assert statuses(client, job.id, 4) == ["queued", "running", "succeeded", "succeeded"]
    done = client.fine_tuning.jobs.retrieve(job.id)
    model = done.fine_tuned_model or ""
    assert model.startswith("ft:scripted-base:scripted:expert:")
    assert done.trained_tokens
    assert chat(client, model=model).choices[0].message.content == "I was tuned"
    assert chat(client, model="scripted-base").choices[0].message.content == "scripted-base hears 'Hello?'"
    assert model in [m.id for m in client.models.list()]
    assert client.models.retrieve(model).id == model
    csv = client.files.content(done.result_files[0]).read().decode()
    assert csv.splitlines()[0] == "step,train_loss,train_accuracy"
    assert len(csv.splitlines()) == 4
    assert provider.rows(provider.jobs[0]) == ROWS


def test_a_deleted_model_is_gone(client: openai.OpenAI) -> None:
    job = train(client)
    statuses(client, job.id, 3)
    model = client.fine_tuning.jobs.retrieve(job.id).fine_tuned_model or ""
    assert client.models.delete(model).deleted
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve(model)


def test_a_tuned_model_can_be_tuned_further_and_an_unknown_one_cannot(client: openai.OpenAI) -> None:
    job = train(client, suffix="")
    statuses(client, job.id, 3)
    model = client.fine_tuning.jobs.retrieve(job.id).fine_tuned_model or ""
    assert model.startswith("ft:scripted-base:scripted::")
    assert client.fine_tuning.jobs.create(model=model, training_file=job.training_file).model == model
    with pytest.raises(openai.BadRequestError) as error:
        client.fine_tuning.jobs.create(model="gpt-17", training_file=job.training_file)
    assert error.value.code == "model_not_available"
    with pytest.raises(openai.BadRequestError, match="seed"):
        client.fine_tuning.jobs.create(model="scripted-base", training_file=job.training_file, seed=2**31)
    with pytest.raises(openai.BadRequestError, match="training_file"):
        client.fine_tuning.jobs.create(model="scripted-base", training_file="file-none")


def test_events_come_newest_first_page_by_page(client: openai.OpenAI, provider: ScriptedProvider) -> None:
    provider.training = Training(steps=25)
    job = train(client)
    statuses(client, job.id, 3)
    first = client.fine_tuning.jobs.list_events(job.id, limit=10)
    assert len(first.data) == 10
    assert first.has_more
    second = client.fine_tuning.jobs.list_events(job.id, limit=10, after=first.data[-1].id)
    assert not {e.id for e in first.data} & {e.id for e in second.data}
    events = list(first)  # the client fetches the other pages
    assert len(events) == len({e.id for e in events}) == 25 + 6
    assert events[0].message == "The job has successfully completed"
    assert events[-1].message == f"Created fine-tuning job: {job.id}"
    steps = [e.data["step"] for e in events if e.type == "metrics" and isinstance(e.data, dict)]
    assert steps == list(range(25, 0, -1))


def test_a_result_file_may_be_base64(client: openai.OpenAI, provider: ScriptedProvider) -> None:
    provider.training = Training(base64_results=True)
    job = train(client)
    statuses(client, job.id, 3)
    content = client.files.content(client.fine_tuning.jobs.retrieve(job.id).result_files[0]).read()
    assert base64.b64decode(content, validate=True).startswith(b"step,train_loss")


def test_a_job_may_pause_be_held_and_fail(client: openai.OpenAI, provider: ScriptedProvider) -> None:
    provider.training = Training(statuses=("validating_files", "pausing", "paused", "running"), hold=True)
    job = train(client)
    assert statuses(client, job.id, 5) == ["pausing", "paused", "running", "running", "running"]
    provider.training = Training(fails="the data is unsafe")
    failed = client.fine_tuning.jobs.retrieve(job.id)
    assert (failed.status, failed.error and failed.error.message) == ("failed", "the data is unsafe")
    assert failed.fine_tuned_model is None
    assert client.fine_tuning.jobs.list_events(job.id).data[0].level == "error"


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        (ROWS[:9], "invalid_n_examples"),
        ([*ROWS, {"prompt": "no completion"}], "invalid_training_file"),
        ([*ROWS, {"messages": [{"role": "assistant", "content": "mixed"}]}], "invalid_training_file"),
    ],
)
def test_bad_rows_are_found_while_they_are_validated(client: openai.OpenAI, rows: list[dict[str, str]], code: str) -> None:
    job = train(client, lines(rows))
    assert job.status == "validating_files"
    failed = client.fine_tuning.jobs.retrieve(job.id)
    assert failed.status == "failed"
    assert failed.error
    assert (failed.error.code, failed.error.param) == (code, "training_file")


def test_a_job_can_be_cancelled_once(client: openai.OpenAI) -> None:
    job = train(client)
    assert client.fine_tuning.jobs.cancel(job.id).status == "cancelled"
    assert statuses(client, job.id, 2) == ["cancelled", "cancelled"]
    with pytest.raises(openai.BadRequestError, match="already ended"):
        client.fine_tuning.jobs.cancel(job.id)


def test_jobs_are_listed_newest_first(client: openai.OpenAI) -> None:
    first, second = train(client), train(client)
    assert [j.id for j in client.fine_tuning.jobs.list(limit=1)] == [second.id, first.id]
    with pytest.raises(openai.NotFoundError, match="Could not find fine tune"):
        client.fine_tuning.jobs.retrieve("ftjob-none")


def test_training_may_not_be_available_after_the_upload(client: openai.OpenAI, provider: ScriptedProvider) -> None:
    provider.training = Training(refused=TRAINING_NOT_AVAILABLE)
    with pytest.raises(openai.PermissionDeniedError) as error:
        train(client)
    assert error.value.code == "training_not_available"
    assert [r.path for r in provider.requests] == ["/files", "/fine_tuning/jobs"]
    assert provider.jobs == []
