"""The embedded server's fine-tuning jobs, through the official client: what one may ask for, and what one is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import openai
import pytest
from openai.types.fine_tuning import FineTuningJob

from tests.serving import ROWS, TURNS, Served, create, ended, events, lines, refused, served, steps, table, until

LONG: dict[str, Any] = {"n_epochs": 1000, "batch_size": 1}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("store")) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Served) -> Iterator[openai.OpenAI]:
    with server.client() as client:
        yield client


@pytest.fixture(scope="module")
def rows(client: openai.OpenAI) -> str:
    return client.files.create(file=("rows.jsonl", lines(ROWS)), purpose="fine-tune").id


@pytest.fixture(scope="module")
def job(client: openai.OpenAI, rows: str, tiny_model: Path) -> FineTuningJob:
    """Four epochs of three steps, validated, with everything that a request may hold."""
    valid = client.files.create(file=("valid.jsonl", lines(ROWS[:3])), purpose="fine-tune")
    made = client.fine_tuning.jobs.create(
        model=str(tiny_model),
        training_file=rows,
        validation_file=valid.id,
        suffix="all-of-it",
        seed=11,
        metadata={"purpose": "test", "empty": ""},
        hyperparameters={"n_epochs": 4, "batch_size": 4, "learning_rate_multiplier": 25.0},
    )
    assert made.status == "validating_files"
    assert made.validation_file == valid.id
    return ended(client, made.id)


def test_old_hyperparameters_do_as_well(job: FineTuningJob) -> None:
    assert (job.status, job.error, job.seed, job.organization_id) == ("succeeded", None, 11, "local")
    given = {"n_epochs": 4, "batch_size": 4, "learning_rate_multiplier": 25.0}
    assert given.items() <= job.hyperparameters.model_dump().items()
    assert job.method is not None
    assert job.method.supervised is not None
    assert job.method.supervised.hyperparameters is not None
    assert given.items() <= job.method.supervised.hyperparameters.model_dump().items()
    assert not any(name.startswith("_") for name in job.model_dump())


def test_what_was_held_back_is_measured_after_each_epoch(client: openai.OpenAI, job: FineTuningJob) -> None:
    measured = {int(r["step"]): r["valid_loss"] for r in table(client, job)}
    assert [step for step, loss in measured.items() if loss] == [3, 6, 9, 12]
    assert float(measured[12]) < float(measured[3])
    data = [cast("dict[str, Any]", e.data) for e in events(client, job.id) if e.type == "metrics"]
    assert ["full_valid_mean_token_accuracy" in d for d in data[:4]] == [False, False, True, False]
    assert ["valid_loss" in d for d in data[:4]] == [False, False, True, False]
    assert {d["total_steps"] for d in data} == {12}


def test_the_last_three_epochs_are_models(client: openai.OpenAI, job: FineTuningJob) -> None:
    found = client.fine_tuning.jobs.checkpoints.list(job.id).data
    assert [c.step_number for c in found] == [12, 9, 6]
    assert found[0].fine_tuned_model_checkpoint == f"{job.fine_tuned_model}:ckpt-step-12"
    assert {c.fine_tuning_job_id for c in found} == {job.id}
    losses = {int(r["step"]): float(r["valid_loss"]) for r in table(client, job) if r["valid_loss"]}
    assert [c.metrics.full_valid_loss for c in found] == pytest.approx([losses[12], losses[9], losses[6]], abs=1e-4)
    page = client.fine_tuning.jobs.checkpoints.list(job.id, limit=1, after=found[0].id)
    assert ([c.id for c in page.data], page.has_more) == ([found[1].id], True)

    def told(model: str) -> str:
        return client.completions.create(model=model, prompt="Is 5 a number?", temperature=0, max_tokens=12).choices[0].text

    texts = [told(c.fine_tuned_model_checkpoint) for c in found]
    assert texts[0] == told(job.fine_tuned_model or "")
    assert len(set(texts)) > 1
    further = ended(client, create(client, found[1].fine_tuned_model_checkpoint, n_epochs=1).id)
    assert further.status == "succeeded"
    assert further.fine_tuned_model is not None
    assert further.fine_tuned_model.split(":")[:4] == ["ft", "tiny", "local", "words"]


def test_jobs_are_found_by_their_metadata(client: openai.OpenAI, job: FineTuningJob, rows: str) -> None:
    def found(**query: str) -> list[str]:
        return [j.id for j in client.fine_tuning.jobs.list(limit=100, extra_query=query)]

    other = client.fine_tuning.jobs.create(model=job.model, training_file=rows, hyperparameters={"n_epochs": 1})
    assert job.id in [j.id for j in client.fine_tuning.jobs.list(metadata={"purpose": "test"})]
    assert [j.id for j in client.fine_tuning.jobs.list(metadata={"purpose": "none"})] == []
    assert found(**{"metadata[empty]": ""}) == [job.id]
    assert other.id in found(metadata="null")
    assert job.id not in found(metadata="null")
    with pytest.raises(openai.BadRequestError) as error:
        found(metadata="all")
    assert refused(error) == (400, None, "metadata")
    ended(client, other.id)


def test_auto_becomes_numbers(client: openai.OpenAI, rows: str, tiny_model: Path) -> None:
    auto: Any = {"n_epochs": "auto", "batch_size": "auto", "learning_rate_multiplier": "auto"}
    made = client.fine_tuning.jobs.create(
        model=str(tiny_model), training_file=rows, method={"type": "supervised", "supervised": {"hyperparameters": auto}}
    )
    client.fine_tuning.jobs.cancel(made.id)
    numbers = made.hyperparameters
    assert (numbers.n_epochs, numbers.batch_size, numbers.learning_rate_multiplier) == (20, 1, 1.0)


def test_what_only_this_server_knows_may_stand_beside_the_rest(client: openai.OpenAI, rows: str, tiny_model: Path) -> None:
    extra = {"learning_rate": 0.002, "lora_rank": 4, "method": "lora", "max_length": 20, "packing": False, "noise": 5.0}
    made = client.fine_tuning.jobs.create(
        model=str(tiny_model), training_file=rows, hyperparameters={"n_epochs": 1}, extra_body={**extra, "weight_decay": 0.1}
    )
    assert extra.items() <= made.hyperparameters.model_dump().items()
    job = ended(client, made.id)
    assert (job.status, job.trained_tokens) == ("succeeded", 12 * 20)
    assert "12 rows of 12 were cut to 20 tokens" in [e.message for e in events(client, job.id)]


@pytest.mark.parametrize(
    ("given", "code", "param"),
    [
        ({"extra_body": {"learning_rate": "high"}}, None, "learning_rate"),
        ({"extra_body": {"packing": "yes"}}, None, "packing"),
        ({"extra_body": {"method": "quick"}}, None, "hyperparameters.method"),
        (
            {"method": {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": -1}}}},
            None,
            "method.supervised.hyperparameters.n_epochs",
        ),
        ({"method": {"type": "best"}}, None, "method.type"),
        ({"method": {"type": "dpo"}}, "invalid_training_file", "training_file"),
        ({"integrations": [{"type": "wandb", "wandb": {"project": "p"}}]}, "unsupported_integration", "integrations"),
        ({"metadata": {str(n): "" for n in range(17)}}, None, "metadata"),
        ({"metadata": {"k" * 65: ""}}, None, "metadata"),
        ({"metadata": {"k": "v" * 513}}, None, "metadata"),
        ({"suffix": "a:b/c"}, None, "suffix"),
        ({"validation_file": "file-nowhere"}, "file_not_found", "validation_file"),
        ({"model": "/no/such\0place"}, "model_not_found", "model"),
        ({"model": "x" * 4000}, "model_not_found", "model"),
    ],
)
def test_what_cannot_be_is_named(
    client: openai.OpenAI, rows: str, tiny_model: Path, given: dict[str, Any], code: str | None, param: str
) -> None:
    with pytest.raises(openai.APIStatusError) as error:
        client.fine_tuning.jobs.create(**({"model": str(tiny_model), "training_file": rows} | given))
    assert refused(error)[1:] == (code, param)


def test_files_must_be_for_training_and_of_one_kind(client: openai.OpenAI, rows: str, tiny_model: Path) -> None:
    other = client.files.create(file=("a.txt", lines(ROWS)), purpose="user_data").id
    with pytest.raises(openai.BadRequestError) as error:
        client.fine_tuning.jobs.create(model=str(tiny_model), training_file=other)
    assert refused(error) == (400, "invalid_file_purpose", "training_file")
    turns = client.files.create(file=("rows.jsonl", lines(TURNS)), purpose="fine-tune").id
    with pytest.raises(openai.BadRequestError, match="has chat rows and the training file completion rows") as error:
        client.fine_tuning.jobs.create(model=str(tiny_model), training_file=rows, validation_file=turns)
    assert refused(error) == (400, "invalid_validation_file", "validation_file")


def test_a_job_is_paused_and_goes_on_where_it_was(client: openai.OpenAI, server: Served, tiny_model: Path) -> None:
    jobs = client.fine_tuning.jobs
    job = create(client, tiny_model, n_epochs=100, batch_size=6, checkpoints=0)
    waiting = create(client, tiny_model, n_epochs=1)
    assert cast("str", jobs.pause(waiting.id).status) == "paused"
    until(lambda: len(steps(client, job.id)) >= 3, "the third step")
    assert cast("str", jobs.pause(job.id).status) in ("pausing", "paused")
    until(lambda: cast("str", jobs.retrieve(job.id).status) == "paused", "the pause")
    step = json.loads((server.state / "jobs" / job.id / "checkpoint/step.json").read_text())["step"]
    for ask in (jobs.pause,):
        with pytest.raises(openai.BadRequestError, match="cannot be paused now: paused") as error:
            ask(job.id)
        assert refused(error) == (400, "invalid_status", None)
    assert jobs.resume(waiting.id).status in ("queued", "running")
    assert ended(client, waiting.id).status == "succeeded"  # what is paused keeps nobody waiting
    assert jobs.resume(job.id).status in ("queued", "running")
    with pytest.raises(openai.BadRequestError, match="cannot be resumed now"):
        jobs.resume(job.id)
    job = ended(client, job.id)
    assert job.status == "succeeded"
    assert [int(r["step"]) for r in table(client, job)] == steps(client, job.id) == list(range(1, 201))
    told = [e.message for e in events(client, job.id)]
    assert [m for m in told if "paused" in m or "resumed" in m] == ["Fine-tuning job paused", "Fine-tuning job resumed"]
    assert f"Stopped after step {step}" in told
    for ask in (jobs.pause, jobs.resume, jobs.cancel):
        with pytest.raises(openai.BadRequestError, match="has already ended: succeeded"):
            ask(job.id)
    paused = create(client, tiny_model, **LONG)
    jobs.pause(paused.id)
    assert jobs.cancel(paused.id).status == "cancelled"


def test_what_is_cancelled_leaves_no_weights(client: openai.OpenAI, server: Served, tiny_model: Path) -> None:
    job = create(client, tiny_model, **LONG, save_steps=1)
    until(lambda: steps(client, job.id), "the first step")
    client.fine_tuning.jobs.cancel(job.id)
    folder = server.state / "jobs" / job.id
    until(lambda: not (folder / "checkpoint").exists(), "the end of its checkpoint")
    assert not (folder / "model").exists()


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # peft's own
def test_an_adapter_is_merged_when_that_is_asked_for(client: openai.OpenAI, server: Served, tiny_model: Path) -> None:
    import torch
    from peft import AutoPeftModelForCausalLM
    from transformers import AutoModelForCausalLM

    lora: dict[str, Any] = {"n_epochs": 4, "batch_size": 6, "method": "lora", "lora_rank": 4, "learning_rate": 1e-2}
    job = ended(client, create(client, tiny_model, **lora, merge=True).id)
    assert (job.status, job.error) == ("succeeded", None)
    for name in ("model", "checkpoints/step-4"):
        folder = server.state / "jobs" / job.id / name
        assert (folder / "model.safetensors").is_file()
        assert not (folder / "adapter_config.json").exists()
    other = ended(client, create(client, tiny_model, **lora).id)
    merged: Any = AutoModelForCausalLM.from_pretrained(str(server.state / "jobs" / job.id / "model"))
    adapted: Any = AutoPeftModelForCausalLM.from_pretrained(str(server.state / "jobs" / other.id / "model"))
    prompt = {"input_ids": torch.tensor([[80, 81, 82]])}
    with torch.inference_mode():
        one, two = merged.float()(**prompt).logits, adapted.float()(**prompt).logits
    assert torch.allclose(one, two, atol=0.1)  # merged weights have 16 bits


def test_an_adapter_on_a_tuned_model_holds_all_there_is(client: openai.OpenAI, server: Served, tiny_model: Path) -> None:
    lora: dict[str, Any] = {"batch_size": 12, "method": "lora", "lora_rank": 16, "learning_rate": 1e-2}
    first = ended(client, create(client, tiny_model, **lora, n_epochs=30).id)
    second = ended(client, create(client, first.fine_tuned_model, **lora, n_epochs=1).id)
    assert (second.status, second.error) == ("succeeded", None)
    (row,) = table(client, second)
    assert float(row["train_loss"]) == pytest.approx(float(table(client, first)[-1]["train_loss"]), abs=0.3)
    assert (server.state / "jobs" / second.id / "model/model.safetensors").is_file()


def test_nothing_pickled_is_loaded(client: openai.OpenAI, tmp_path: Path, tiny_model: Path) -> None:
    import shutil

    import torch
    from safetensors.torch import load_file

    folder = shutil.copytree(tiny_model, tmp_path / "pickled")
    torch.save(load_file(str(folder / "model.safetensors")), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    job = ended(client, create(client, folder, n_epochs=1).id)
    assert job.error is not None
    assert (job.status, "model.safetensors" in job.error.message) == ("failed", True)
