"""The queue of fine-tuning jobs: one training process at a time, each followed line by line until it ends.

In: jobs from the state's database.  Out: their status, events, result file and model.  A job whose process dies fails with
its last words; a job whose server dies goes on from its checkpoint as soon as somebody asks another server for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import csv
import io
import json
import os
import sys
import time
from typing import Any

from ftbuild.local.launch import ENVIRONMENT
from ftbuild.local.state import FINAL, State

_PATIENCE = 30.0  # seconds that a training process may take to write its checkpoint when it is told to stop


class Queue:
    """Runs the jobs of one server, one after the other."""

    def __init__(self, state: State, threads: int | None = None) -> None:
        self.state = state
        self._threads = threads
        self._waiting: asyncio.Queue[str] = asyncio.Queue()
        self._running: tuple[str, asyncio.subprocess.Process] | None = None
        self._worker: asyncio.Task[None] | None = None
        self._closing = False

    async def start(self) -> None:
        """Begin to work."""
        self._worker = asyncio.create_task(self._work())

    def add(self, id_: str) -> None:
        """Put a job at the end of the queue."""
        self._waiting.put_nowait(id_)

    def wake(self, id_: str) -> None:
        """Go on with a job that somebody asks for and that a server before this one left unfinished.

        One that nobody asks for, because its recipe was changed meanwhile, keeps nobody waiting.
        """
        if self.state.adopt(id_):
            self.state.add_event(id_, "The server was restarted; the job goes on")
            self.add(id_)

    async def cancel(self, id_: str) -> dict[str, Any]:
        """Cancel a job; if it is running, its process ends within a step."""
        job = self.state.update_job(id_, status="cancelled", finished_at=int(time.time()))
        if self._running and self._running[0] == id_:
            self._running[1].kill()
        if job["status"] == "cancelled":
            self.state.add_event(id_, "Fine-tuning job cancelled")
        return job

    async def close(self) -> None:
        """Tell the training process to write a checkpoint, and wait for it."""
        self._closing = True
        if self._running:
            _, process = self._running
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), _PATIENCE)
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        if self._worker:
            self._worker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._worker

    async def _work(self) -> None:
        while True:
            id_ = await self._waiting.get()
            job = self.state.job(id_)
            if job is None or job["status"] in FINAL or self._closing:
                continue
            try:
                await self._run(id_)
            except OSError as error:
                self._fail(id_, f"the training process could not be started: {error}")

    async def _run(self, id_: str) -> None:
        folder = self.state.job_folder(id_)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ftbuild.local.training", str(folder),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env={**ENVIRONMENT, **os.environ}, limit=2**20,
        )  # fmt: skip
        self._running = (id_, process)
        if self.state.update_job(id_, status="running")["status"] in FINAL:  # cancelled while the process was starting
            process.kill()
        else:
            self.state.add_event(id_, "Fine-tuning job started")
        assert process.stdout is not None
        assert process.stderr is not None
        last_words = asyncio.create_task(process.stderr.read())
        follow = _Follow(self.state, id_)
        async for line in process.stdout:
            if (self.state.job(id_) or {}).get("status") in FINAL:
                continue  # cancelled: what the process still says comes too late
            with contextlib.suppress(ValueError):
                follow(json.loads(line))
        code = await process.wait()
        self._running = None
        words = (await last_words).decode(errors="replace").strip().splitlines()
        job = self.state.job(id_)
        if follow.ended or self._closing or job is None or job["status"] in FINAL:
            return
        reason = words[-1] if words and code > 0 else "killed" if code < 0 else ""
        self._fail(id_, f"the training process ended with code {code}" + (f": {reason}" if reason else ""))

    def _fail(self, id_: str, message: str) -> None:
        _Follow(self.state, id_)({"type": "failed", "message": message})


class _Follow:
    """Turns what a training process says into events, metrics and the job's end."""

    def __init__(self, state: State, job: str) -> None:
        self.state, self.job = state, job
        self.ended = False
        self._file = state.job_folder(job) / "metrics.jsonl"
        self._began: tuple[float, int] | None = None

    def __call__(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "started":
                self._began = (time.time(), message["step"])
                self.state.update_job(self.job, trained_tokens=None)
                self.state.add_event(self.job, f"Training {message['rows']} rows in {message['steps']} steps")
            case "metrics":
                self._metrics(message)
            case "succeeded":
                self._succeed(message)
            case "failed":
                self.ended = True
                error = {"code": "training_failed", "message": message["message"], "param": None}
                self.state.update_job(self.job, status="failed", finished_at=int(time.time()), error=error)
                self.state.add_event(self.job, message["message"], level="error")
            case "message" | "stopped":
                self.state.add_event(self.job, message.get("message") or f"Stopped after step {message['step']}")

    def _metrics(self, message: dict[str, Any]) -> None:
        step, steps = message["step"], message["steps"]
        with self._file.open("a") as file:
            file.write(json.dumps(message) + "\n")
        if self._began and step > self._began[1]:
            pace = (time.time() - self._began[0]) / (step - self._began[1])
            self.state.update_job(self.job, estimated_finish=int(time.time() + pace * (steps - step)))
        data = {"step": step, "total_steps": steps, "train_loss": message["train_loss"]}
        data["train_mean_token_accuracy"] = message["train_accuracy"]
        text = f"Step {step}/{steps}: training loss={message['train_loss']:.2f}"
        self.state.add_event(self.job, text, type_="metrics", data=data)

    def _succeed(self, message: dict[str, Any]) -> None:
        self.ended = True
        result = self.state.add_file(self._result(), "step_metrics.csv", "fine-tune-results")
        job = self.state.job(self.job) or {}
        name = ":".join(
            (
                "ft",
                job["model"].rpartition("/")[2],
                "local",
                job.get("_suffix") or "",
                self.job.removeprefix("ftjob-")[:8],
            )
        )
        self.state.update_job(
            self.job, status="succeeded", finished_at=int(time.time()), fine_tuned_model=name,
            result_files=[result["id"]], trained_tokens=message["trained_tokens"], estimated_finish=None,
        )  # fmt: skip
        self.state.add_event(self.job, f"New fine-tuned model created: {name}")
        self.state.add_event(self.job, "The job has successfully completed")

    def _result(self) -> bytes:
        """Return the metrics of all steps as CSV.  A step that was taken again after a restart counts once."""
        lines = self._file.read_text().splitlines() if self._file.exists() else []
        steps = {m["step"]: m for m in map(json.loads, lines)}
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(["step", "train_loss", "train_accuracy", "valid_loss", "valid_mean_token_accuracy"])
        for step in sorted(steps):
            writer.writerow([step, round(steps[step]["train_loss"], 5), round(steps[step]["train_accuracy"], 5), "", ""])
        return text.getvalue().encode()
