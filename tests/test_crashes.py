"""What is killed, fills up or falls over: no job is lost, none hangs, and nothing half-written is left."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time
from pathlib import Path
from typing import Any, cast

import openai
import pytest

from tests.serving import ROWS, create, ended, events, lines, processes, served, steps, table, until

LONG: dict[str, Any] = {"n_epochs": 1000, "batch_size": 1, "checkpoints": 0}

pytestmark = pytest.mark.slow  # servers and trainers that are killed and started again


def trainers(job: str) -> list[int]:
    return processes("ftbuild.local.trainer", job)


def kill(job: str) -> None:
    for trainer in trainers(job):
        os.kill(trainer, signal.SIGKILL)


def saved(folder: Path) -> int:
    """Return the step of a job's checkpoint."""
    file = folder / "checkpoint/step.json"
    return int(json.loads(file.read_text())["step"]) if file.is_file() else 0


def test_a_killed_trainer_goes_on_from_its_checkpoint_once(tmp_path: Path, tiny_model: Path) -> None:
    with served(tmp_path, "log=none") as server, server.client() as client:
        job = create(client, tiny_model, **LONG, save_steps=5)
        folder = server.state / "jobs" / job.id
        first = until(lambda: saved(folder), "the first checkpoint")
        (one,) = trainers(job.id)
        kill(job.id)
        until(lambda: [p for p in trainers(job.id) if p != one], "the next trainer")
        told = until(lambda: [e for e in events(client, job.id) if e.level == "warn"], "the warning")
        assert told[0].message.startswith("the training process ended with code -9: killed; going on after step ")
        begins = int(told[0].message.rsplit(maxsplit=1)[1])
        assert begins >= first
        until(lambda: saved(folder) > begins, "another checkpoint")
        taken = steps(client, job.id)
        assert taken == list(range(1, len(taken) + 1))
        kill(job.id)
        job = ended(client, job.id)
        assert job.status == "failed"
        assert job.error is not None
        assert job.error.message == "the training process ended with code -9: killed"
        until(lambda: not (folder / "checkpoint").exists() and not trainers(job.id), "tidiness", 30)


@pytest.mark.parametrize("when", ["queued", "loading", "running", "saved", "pausing"])
def test_a_killed_server_goes_on_with_all_its_jobs(tmp_path: Path, tiny_model: Path, when: str) -> None:
    given: dict[str, Any] = {"n_epochs": 30, "batch_size": 6, "checkpoints": 0}
    given |= {"save_steps": 5} if when == "saved" else {}
    with served(tmp_path, "log=none") as server, server.client() as client:
        job = create(client, tiny_model, **given)
        other = create(client, tiny_model, n_epochs=1)
        folder = server.state / "jobs" / job.id
        if when == "loading":
            until(lambda: trainers(job.id), "the trainer")
        elif when != "queued":
            until(lambda: saved(folder) if when == "saved" else steps(client, job.id), "the first step")
        if when == "pausing":
            client.fine_tuning.jobs.pause(job.id)
        server.kill()
    with sqlite3.connect(server.state / "state.db") as db:
        left = dict(db.execute("select id, status from jobs").fetchall())
    db.close()
    assert left[other.id] == "queued"
    with served(tmp_path, "log=none") as server, server.client() as client:
        if when == "pausing":
            until(lambda: now(client, other.id) == "succeeded", "the other job")
            assert now(client, job.id) in ("paused", "succeeded")
            if now(client, job.id) == "paused":
                client.fine_tuning.jobs.resume(job.id)
        job, other = ended(client, job.id), ended(client, other.id)
        assert (job.status, job.error, other.status) == ("succeeded", None, "succeeded")
        assert [int(r["step"]) for r in table(client, job)] == steps(client, job.id) == list(range(1, 61))
        until(lambda: not trainers(job.id), "the end of the trainer")
        assert server.stop() == 0


def now(client: openai.OpenAI, job: str) -> str:
    return str(client.fine_tuning.jobs.retrieve(job).status)


def test_ctrl_c_ends_it_and_the_job_goes_on(tmp_path: Path, tiny_model: Path) -> None:
    with served(tmp_path, "log=none") as server, server.client() as client:
        job = create(client, tiny_model, n_epochs=100, batch_size=6, checkpoints=0)
        until(lambda: steps(client, job.id), "the first step")
        assert server.stop() == 0
    assert not trainers(job.id)
    step = saved(server.state / "jobs" / job.id)
    assert step > 0
    with sqlite3.connect(server.state / "state.db") as db:
        assert db.execute("select status from jobs").fetchall() == [("queued",)]
    db.close()
    with served(tmp_path, "log=none") as server, server.client() as client:
        assert ended(client, job.id).status == "succeeded"
        assert steps(client, job.id) == list(range(1, 201))


def test_a_job_whose_files_are_gone_fails(tmp_path: Path, tiny_model: Path) -> None:
    import shutil

    with served(tmp_path, "log=none") as server, server.client() as client:
        job = create(client, tiny_model, **LONG)
        server.kill()
    until(lambda: not trainers(job.id), "the end of the trainer")
    shutil.rmtree(server.state / "jobs" / job.id)
    with served(tmp_path, "log=none") as server, server.client() as client:
        job = ended(client, job.id)
        assert job.error is not None
        assert (job.status, job.error.message) == ("failed", "the job's files are gone")


def larger(tiny_model: Path, folder: Path) -> Path:
    """Write a model of some megabytes."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    config = AutoConfig.from_pretrained(str(tiny_model))
    config.hidden_size, config.intermediate_size, config.head_dim = 256, 512, 64
    cast("Any", AutoModelForCausalLM).from_config(config).save_pretrained(str(folder))
    AutoTokenizer.from_pretrained(str(tiny_model)).save_pretrained(str(folder))
    return folder


def test_a_full_disk_fails_the_job_in_one_line(tmp_path: Path, tiny_model: Path) -> None:
    small = ["prlimit", f"--fsize={2**20}"]  # what is larger cannot be written, as on a full disk
    model = larger(tiny_model, tmp_path / "larger")
    with served(tmp_path, "log=none", prefix=small) as server, server.client() as client:
        given: Any = {"n_epochs": 2, "batch_size": 6, "save_steps": 1}
        file = client.files.create(file=("rows.jsonl", lines(ROWS)), purpose="fine-tune").id
        job = client.fine_tuning.jobs.create(model=str(model), training_file=file, hyperparameters=given)
        job = ended(client, job.id)
        assert job.error is not None
        assert (job.status, job.error.code) == ("failed", "storage_error")
        assert job.error.message.startswith("model could not be saved: the disk is full (")
        told = [e.message for e in events(client, job.id) if e.level == "warn"]
        assert any(m.startswith("checkpoint could not be saved: the disk is full") for m in told)
        assert any(m.startswith("step-2 could not be saved: the disk is full") for m in told)
        folder = server.state / "jobs" / job.id
        names = {"job.json", "rows.jsonl", "metrics.jsonl", "lock", "done.json", "checkpoints"}
        until(lambda: {p.name for p in folder.iterdir()} <= names, "tidiness", 30)
        assert client.fine_tuning.jobs.checkpoints.list(job.id).data == []


def test_a_checkpoint_that_cannot_be_read_costs_its_steps_only(tmp_path: Path, tiny_model: Path) -> None:
    with served(tmp_path, "log=none") as server, server.client() as client:
        job = create(client, tiny_model, n_epochs=30, batch_size=6, checkpoints=0, save_steps=5)
        folder = server.state / "jobs" / job.id
        until(lambda: saved(folder), "a checkpoint")
        server.kill()
    until(lambda: not trainers(job.id), "the end of the trainer")
    for file in (folder / "checkpoint").glob("*.safetensors"):
        file.write_bytes(file.read_bytes()[:1000])
    with served(tmp_path, "log=none") as server, server.client() as client:
        assert ended(client, job.id).status == "succeeded"
        assert any("training begins anew" in e.message for e in events(client, job.id))


def test_several_processes_train_as_one(tmp_path: Path, tiny_model: Path) -> None:
    def losses(store: Path, **environment: str) -> list[float]:
        with served(store, "log=none", **environment) as server, server.client() as client:
            job = ended(client, create(client, tiny_model, n_epochs=3, batch_size=6, learning_rate=1e-2, packing=False).id)
            assert (job.status, job.error) == ("succeeded", None)
            return [float(r["train_loss"]) for r in table(client, job)]

    assert losses(tmp_path / "a", FTBUILD_TRAINERS="2") == pytest.approx(losses(tmp_path / "b"), rel=0.02)


def test_a_cancelled_pair_of_processes_is_gone(tmp_path: Path, tiny_model: Path) -> None:
    with served(tmp_path, "log=none", FTBUILD_TRAINERS="2") as server, server.client() as client:
        job = create(client, tiny_model, **LONG)
        until(lambda: steps(client, job.id), "the first step")
        assert len(trainers(job.id)) >= 2
        since = time.monotonic()
        client.fine_tuning.jobs.cancel(job.id)
        until(lambda: not trainers(job.id), "their end", 30)
        assert time.monotonic() - since < 30
