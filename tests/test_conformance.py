"""The embedded server against the official Python client: every call that the server has, with responses checked twice.

The client itself validates strictly, and the raw JSON is validated again by its response models in pydantic's strict mode,
where a number in a string is no number.  Then the errors: status, type, code and parameter of the envelope, and that the client
makes the exception of it that its users catch.  What the answers say is tested elsewhere; this is about their shape.

Where the published schema has no room for what OpenAI sends, the server does as OpenAI does: see `as_published` and `paused`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, cast

import httpx2
import openai
import pydantic
import pytest
from openai.types import Batch, Completion
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.fine_tuning import FineTuningJob

from tests.serving import ROWS, Served, create, ended, lines, served, until

CHAT: list[Any] = [{"role": "user", "content": "Is 3 a number?"}]
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"answer": {"enum": ["yes", "no"]}},
    "required": ["answer"],
    "additionalProperties": False,
}
SAY: dict[str, Any] = {"type": "function", "function": {"name": "say", "description": "Say it.", "parameters": SCHEMA}}
LONG: dict[str, Any] = {"n_epochs": 1000, "batch_size": 1}
BATCHED = [
    {"custom_id": "0", "method": "POST", "url": "/v1/completions", "body": {"prompt": "a", "max_tokens": 2}},
    {"custom_id": "1", "method": "POST", "url": "/v1/completions", "body": {"prompt": "b", "max_tokens": 2, "temperature": 9}},
]


class Answer(pydantic.BaseModel):
    """What `chat.completions.parse` is asked for."""

    answer: Literal["yes", "no"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("store")) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Served) -> Iterator[openai.OpenAI]:
    with server.client(_strict_response_validation=True) as client:
        yield client


@pytest.fixture(scope="module")
def job(client: openai.OpenAI, tiny_model: Path) -> FineTuningJob:
    made = ended(client, create(client, tiny_model, n_epochs=2, batch_size=6).id)
    assert made.status == "succeeded"
    return made


@pytest.fixture(scope="module")
def model(job: FineTuningJob) -> str:
    return job.fine_tuned_model or ""


def as_published(told: dict[str, Any]) -> Completion:
    """Validate a completion: with `echo`, its first token has no probability, and its chunks have no reason to end."""
    for choice in told["choices"]:
        choice["finish_reason"] = choice["finish_reason"] or "stop"
        for name, missing in (("token_logprobs", 0.0), ("top_logprobs", {})):
            if choice["logprobs"] and (choice["logprobs"][name] or [0])[0] is None:
                choice["logprobs"][name][0] = missing
    return Completion.model_validate_json(json.dumps(told), strict=True)


def strict(raw: Any) -> Any:
    """Return what the client makes of a response, validated in pydantic's strict mode on the way; nothing is left over."""
    parsed = raw.parse()
    type(parsed).model_validate_json(raw.http_response.read(), strict=True)
    assert not unknown(parsed), f"fields that {type(parsed).__name__} does not have: {unknown(parsed)}"
    assert raw.headers["x-request-id"].startswith("req_")
    return parsed


def unknown(value: Any) -> list[str]:
    """Return the fields that a response's model does not have; hyperparameters may have some of our own, pages cursors."""
    if isinstance(value, pydantic.BaseModel):
        whole = type(value).__name__.endswith("Hyperparameters") or "Page" in type(value).__name__
        own = [] if whole else list(value.model_extra or {})
        own = [name for name in own if name != "user_provided_suffix"]  # OpenAI sends it, and the schema has only its example
        return own + [name for field in type(value).model_fields for name in unknown(getattr(value, field))]
    return [name for one in value for name in unknown(one)] if isinstance(value, list) else []


# ---- files ----


def test_files(client: openai.OpenAI) -> None:
    files = client.files.with_raw_response
    made = strict(files.create(file=("rows.jsonl", lines(ROWS)), purpose="fine-tune"))
    dated = files.create(
        file=("day.jsonl", lines(BATCHED)), purpose="batch", expires_after={"anchor": "created_at", "seconds": 7200}
    )
    assert strict(dated).expires_at == strict(dated).created_at + 7200
    assert strict(files.retrieve(made.id)) == made == client.files.wait_for_processing(made.id)
    page = strict(files.list(limit=1, order="desc"))
    assert (len(page.data), page.has_more) == (1, True)
    assert made.id in [f.id for f in client.files.list(limit=1, purpose="fine-tune")]
    assert strict(files.list(after=made.id, limit=5)).object == "list"
    assert client.files.content(made.id).read() == lines(ROWS)
    with client.files.with_streaming_response.content(made.id) as streamed:
        assert b"".join(streamed.iter_bytes()) == lines(ROWS)
    gone = strict(files.delete(made.id))
    assert (gone.id, gone.object, gone.deleted) == (made.id, "file", True)


# ---- fine-tuning ----


def test_jobs(client: openai.OpenAI, job: FineTuningJob) -> None:
    jobs = client.fine_tuning.jobs.with_raw_response
    assert strict(jobs.retrieve(job.id)) == job
    assert job.id in [one.id for one in strict(jobs.list(limit=100)).data]
    assert strict(jobs.list(limit=5, metadata={"no": "such"})).data == []
    events = strict(jobs.list_events(job.id, limit=2))
    assert (len(events.data), events.has_more) == (2, True)
    told = list(client.fine_tuning.jobs.list_events(job.id, limit=2))
    assert {e.type for e in told} == {"message", "metrics"}
    assert len({e.id for e in told}) == len(told) > 4
    checkpoints = strict(client.fine_tuning.jobs.checkpoints.with_raw_response.list(job.id))
    assert {c.object for c in checkpoints.data} == {"fine_tuning.job.checkpoint"}


@pytest.mark.parametrize("given", ["method", "hyperparameters", "auto", "chosen by the server"])
def test_jobs_are_created_paused_resumed_and_cancelled(
    server: Served, client: openai.OpenAI, tiny_model: Path, given: str
) -> None:
    file = client.files.create(file=("rows.jsonl", lines(ROWS)), purpose="fine-tune").id
    wanted: dict[str, Any] = {
        "method": {"method": {"type": "supervised", "supervised": {"hyperparameters": LONG}}},
        "hyperparameters": {"hyperparameters": LONG},
        "auto": {"hyperparameters": {"n_epochs": 1000, "batch_size": "auto", "learning_rate_multiplier": "auto"}},
        "chosen by the server": {"extra_body": {"learning_rate": 1e-3, "method": "lora", "lora_rank": 2}},
    }[given]
    jobs = client.fine_tuning.jobs.with_raw_response
    wanted |= {"suffix": "of-mine", "seed": 5, "metadata": {"of": given}}
    raw = jobs.create(model=str(tiny_model), training_file=file, validation_file=file, **wanted)
    made = raw.parse()
    try:
        strict(raw)
        assert (made.status, made.metadata, made.to_dict()["user_provided_suffix"]) == (
            "validating_files",
            {"of": given},
            "of-mine",
        )
        assert strict(jobs.list(metadata={"of": given})).data[0].id == made.id
        if given == "method":
            paused(server, made.id)
            assert strict(jobs.resume(made.id)).status in ("queued", "running")
    finally:
        over = client.fine_tuning.jobs.retrieve(made.id).status in ("succeeded", "failed")
        assert over or strict(jobs.cancel(made.id)).status == "cancelled"


def paused(server: Served, job: str) -> None:
    """Pause a job.  The client has calls for that, and its model of a job no word for how the job is then."""
    with server.client() as client:
        assert str(client.fine_tuning.jobs.pause(job).status) in ("paused", "pausing")
        told = client.fine_tuning.jobs.with_raw_response.retrieve(job).http_response.json()
        until(lambda: str(client.fine_tuning.jobs.retrieve(job).status) == "paused", "the pause")
    FineTuningJob.model_validate_json(json.dumps({**told, "status": "running"}), strict=True)


def test_preferences(client: openai.OpenAI, tiny_model: Path) -> None:
    better, worse = [{"role": "assistant", "content": "Yes."}], [{"role": "assistant", "content": "No."}]
    rows = [{"input": {"messages": CHAT}, "preferred_output": better, "non_preferred_output": worse}] * 10
    file = client.files.create(file=("rows.jsonl", lines(rows)), purpose="fine-tune").id
    method: Any = {"type": "dpo", "dpo": {"hyperparameters": {"beta": 0.2, "n_epochs": 1}}}
    jobs = client.fine_tuning.jobs.with_raw_response
    made = strict(jobs.create(model=str(tiny_model), training_file=file, method=method))
    assert ended(client, made.id).status == "succeeded"
    assert strict(jobs.retrieve(made.id)).method.dpo.hyperparameters.beta == 0.2


# ---- models ----


def test_models(client: openai.OpenAI, tiny_model: Path, model: str) -> None:
    models = client.models.with_raw_response
    assert model in [m.id for m in strict(models.list()).data]
    assert strict(models.retrieve(model)).id == model
    assert client.models.retrieve(f"{model}:ckpt-step-2").id.endswith(":ckpt-step-2")
    spare = ended(client, create(client, tiny_model, n_epochs=1, batch_size=12).id).fine_tuned_model or ""
    assert strict(models.delete(spare)).deleted
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve(spare)


# ---- completions ----


@pytest.mark.parametrize(
    "given",
    [
        {"prompt": "Is 3 a number?", "stop": [" [DONE]", "\n"], "temperature": 0},
        {"prompt": ["one", "two"], "n": 2, "seed": 1, "top_p": 0.9, "user": "me"},
        {"prompt": [5, 6, 7], "logprobs": 5, "echo": True, "presence_penalty": 1, "frequency_penalty": -1},
        {"prompt": [[5, 6], [7]], "logit_bias": {"9": -100, "10": 5}, "logprobs": 0},
        {"prompt": "x", "max_tokens": 0, "echo": True, "logprobs": 1},
    ],
)
def test_completions(server: Served, model: str, given: dict[str, Any]) -> None:
    given = {"model": model, "max_tokens": 4, **given}
    with server.client() as client:
        raw = client.completions.with_raw_response.create(**given)
        whole = as_published(json.loads(raw.http_response.read()))
        assert not unknown(whole)
        assert {c.finish_reason for c in raw.parse().choices} <= {"stop", "length"}
        assert whole.usage is not None
        assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens
        stream = client.completions.create(stream=True, stream_options={"include_usage": True}, **given)
        chunks = [as_published(chunk.model_dump(exclude_unset=True)) for chunk in stream]
    assert len({c.id for c in chunks}) == 1
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert {c.index for chunk in chunks for c in chunk.choices} == {c.index for c in whole.choices}
    assert not [name for chunk in chunks for name in unknown(chunk)]


def test_completions_that_the_published_schema_covers(client: openai.OpenAI, model: str) -> None:
    assert strict(client.completions.with_raw_response.create(model=model, prompt="a", max_tokens=2, logprobs=2)).choices


# ---- chat ----


@pytest.mark.parametrize(
    "given",
    [
        {"stop": ["[DONE]", "x", "y", "z"], "temperature": 0},
        {"n": 2, "seed": 4, "max_tokens": 3, "top_p": 0.5},
        {"logprobs": True, "top_logprobs": 3, "max_completion_tokens": 3},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA, "strict": True}}},
        {"response_format": {"type": "text"}, "max_tokens": 2},
        {"tools": [SAY], "tool_choice": "auto", "max_tokens": 2},
        {"tools": [SAY], "tool_choice": {"type": "function", "function": {"name": "say"}}},
        {"tools": [SAY], "tool_choice": "required"},
    ],
)
def test_chat(client: openai.OpenAI, model: str, given: dict[str, Any]) -> None:
    most = {} if "max_tokens" in given else {"max_completion_tokens": 200}
    whole = strict(client.chat.completions.with_raw_response.create(model=model, messages=CHAT, **(most | given)))
    assert isinstance(whole, ChatCompletion)
    assert {c.message.role for c in whole.choices} == {"assistant"}
    assert whole.usage is not None
    stream = client.chat.completions.create(
        model=model, messages=CHAT, stream=True, stream_options={"include_usage": True}, **(most | given)
    )
    chunks = [ChatCompletionChunk.model_validate_json(chunk.model_dump_json(), strict=True) for chunk in stream]
    assert {c.object for c in chunks} == {"chat.completion.chunk"}
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].usage is not None
    assert {c.index for chunk in chunks for c in chunk.choices} == {c.index for c in whole.choices}
    assert not [name for chunk in chunks for name in unknown(chunk)]


def test_answers_are_parsed_by_the_client(client: openai.OpenAI, model: str) -> None:
    parsed = client.chat.completions.parse(model=model, messages=CHAT, response_format=Answer)
    assert parsed.choices[0].message.parsed is not None
    assert parsed.choices[0].message.parsed.answer in ("yes", "no")
    with client.chat.completions.stream(model=model, messages=CHAT, response_format=Answer) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion().choices[0].message.parsed
    assert final is not None
    assert final.answer in ("yes", "no")
    assert {"chunk", "content.delta", "content.done"} <= kinds


def test_the_asynchronous_client(server: Served, model: str) -> None:
    async def ask() -> list[Any]:
        async with openai.AsyncOpenAI(
            base_url=server.base_url, api_key=server.key, max_retries=0, _strict_response_validation=True
        ) as client:
            stream = await client.chat.completions.create(model=model, messages=CHAT, max_tokens=2, stream=True)
            chunks = [chunk async for chunk in stream]
            jobs = [one.id async for one in client.fine_tuning.jobs.list(limit=1)]
            return [*chunks, jobs, *(await client.models.list()).data]

    assert len(asyncio.run(ask())) > 3


# ---- batches ----


def test_batches(client: openai.OpenAI, model: str) -> None:
    asked = [{**one, "body": {**cast("dict[str, Any]", one["body"]), "model": model}} for one in BATCHED]
    file = client.files.create(file=("asked.jsonl", lines(asked)), purpose="batch").id
    batches = client.batches.with_raw_response
    made = strict(
        batches.create(input_file_id=file, endpoint="/v1/completions", completion_window="24h", metadata={"of": "mine"})
    )

    def over() -> Batch | None:
        now = strict(batches.retrieve(made.id))
        return cast("Batch", now) if now.status in ("completed", "failed") else None

    done = cast("Batch", until(over, "the batch"))
    assert done.status == "completed"
    assert done.request_counts is not None
    assert done.request_counts.model_dump() == {"completed": 1, "failed": 1, "total": 2}
    told = json.loads(client.files.content(done.output_file_id or "").text)
    Completion.model_validate_json(json.dumps(told["response"]["body"]), strict=True)
    assert json.loads(client.files.content(done.error_file_id or "").text)["custom_id"] == "1"
    assert made.id in [one.id for one in strict(batches.list(limit=5)).data]
    with pytest.raises(openai.ConflictError):
        client.batches.cancel(made.id)


# ---- errors ----

Call = Callable[[openai.OpenAI, str], Any]
CHECKED: dict[str, tuple[Call, type[openai.APIStatusError], str | None, str | None]] = {
    "no such file": (lambda c, _: c.files.retrieve("file-no"), openai.NotFoundError, None, "id"),
    "no such job": (lambda c, _: c.fine_tuning.jobs.retrieve("ftjob-no"), openai.NotFoundError, "fine_tune_not_found",
                    "fine_tune_id"),
    "no such model to read": (lambda c, _: c.models.retrieve("no"), openai.NotFoundError, "model_not_found", "model"),
    "no such model to delete": (lambda c, _: c.models.delete("no"), openai.NotFoundError, "model_not_found", "model"),
    "no such model to ask": (lambda c, _: c.completions.create(model="no", prompt="a"), openai.NotFoundError, "model_not_found",
                             "model"),
    "no such model to tune": (lambda c, _: c.fine_tuning.jobs.create(
        model="no", training_file=c.files.create(file=("a", lines(ROWS)), purpose="fine-tune").id),
        openai.NotFoundError, "model_not_found", "model"),
    "no such training file": (lambda c, _: c.fine_tuning.jobs.create(model="no", training_file="file-no"),
                              openai.BadRequestError, "file_not_found", "training_file"),
    "a file that cannot be read": (lambda c, _: c.files.create(file=("a", b"{"), purpose="fine-tune"),
                                   openai.BadRequestError, "invalid_file_format", "file"),
    "a purpose that is none": (lambda c, _: c.files.create(file=("a", b"{}"), purpose=cast("Any", "no")),
                               openai.BadRequestError, "invalid_value", "purpose"),
    "too hot": (lambda c, m: c.completions.create(model=m, prompt="a", temperature=3), openai.BadRequestError, None,
                "temperature"),
    "too many stops": (lambda c, m: c.chat.completions.create(model=m, messages=CHAT, stop=list("abcde")),
                       openai.BadRequestError, None, "stop"),
    "no messages": (lambda c, m: c.chat.completions.create(model=m, messages=[]), openai.BadRequestError, None, "messages"),
    "too long": (lambda c, m: c.completions.create(model=m, prompt="a" * 9000), openai.BadRequestError,
                 "context_length_exceeded", "prompt"),
    "a cursor that is none": (lambda c, _: c.files.list(after="file-no"), openai.BadRequestError, "invalid_cursor", "after"),
    "integrations": (lambda c, m: c.fine_tuning.jobs.create(
        model=m, training_file="file-no", integrations=[{"type": "wandb", "wandb": {"project": "a"}}]),
        openai.BadRequestError, "unsupported_integration", "integrations"),
    "reinforcement": (lambda c, m: c.fine_tuning.jobs.create(
        model=m, training_file="file-no", method=cast("Any", {"type": "reinforcement"})),
        openai.BadRequestError, "unsupported_method", "method.type"),
    "no such batch": (lambda c, _: c.batches.retrieve("batch_no"), openai.NotFoundError, None, "batch_id"),
    "embeddings": (lambda c, m: c.embeddings.create(model=m, input="a"), openai.NotFoundError, "unsupported_endpoint", None),
    "what is not here": (lambda c, m: c.moderations.create(model=m, input="a"), openai.NotFoundError, None, None),
}  # fmt: skip


@pytest.mark.parametrize("what", CHECKED)
def test_errors(client: openai.OpenAI, model: str, what: str) -> None:
    call, kind, code, param = CHECKED[what]
    with pytest.raises(kind) as error:
        call(client, model)
    assert type(error.value) is kind
    assert set(cast("dict[str, Any]", error.value.body)) == {"message", "type", "param", "code"}
    assert (error.value.type, error.value.code, error.value.param) == ("invalid_request_error", code, param)
    assert error.value.request_id is not None
    assert error.value.request_id.startswith("req_")


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer sk-wrong", "Basic sk-wrong"])
def test_keys(server: Served, header: str) -> None:
    told = httpx2.get(f"{server.base_url}/models", headers={"authorization": header})
    assert told.status_code == 401
    assert told.json()["error"]["type"] == "authentication_error"
    assert told.json()["error"]["code"] == "invalid_api_key"


def test_jobs_that_are_over_cannot_be_stopped(client: openai.OpenAI, job: FineTuningJob) -> None:
    for call in (client.fine_tuning.jobs.cancel, client.fine_tuning.jobs.pause, client.fine_tuning.jobs.resume):
        with pytest.raises(openai.BadRequestError) as error:
            call(job.id)
        assert error.value.code == "invalid_status"
