"""The queue of fine-tuning jobs: one training process at a time, each followed line by line until it ends.

In: jobs from the state's database.  Out: their status, and through `chronicle` their events, result files and models.

    validating_files → queued → running → succeeded, failed or cancelled
                         ↑         ↓
                         └ paused ← pausing

A training process that is killed goes on from its checkpoint, once; without a checkpoint, or the second time, its job fails
with the reason.  What a server leaves unfinished, however it ended, the next one goes on with.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import time
from typing import Any

from ftbuild.local.chronicle import Chronicle
from ftbuild.local.launch import ENVIRONMENT
from ftbuild.local.saving import said
from ftbuild.local.state import FINAL, State
from ftbuild.store import read_json

_PATIENCE = 30.0  # seconds that a training process may take to write its checkpoint when it is told to stop
_AGAIN = 2.0  # seconds between attempts at writing down how a job ended, where the disk is full


class Queue:
    """Runs the jobs of one server, one after the other."""

    def __init__(self, state: State) -> None:
        self.state = state
        self._waiting: asyncio.Queue[str | None] = asyncio.Queue()
        self._running: tuple[str, asyncio.subprocess.Process] | None = None
        self._worker: asyncio.Task[None] | None = None
        self._closing = False

    async def start(self) -> None:
        """Begin to work."""
        self._worker = asyncio.create_task(self._work())

    def add(self, id_: str) -> None:
        """Put a job at the end of the queue."""
        self._waiting.put_nowait(id_)

    def recover(self) -> None:
        """Go on with every job that servers before this one left unfinished, the oldest first."""
        for id_ in self.state.orphans():
            self.wake(id_)

    def wake(self, id_: str) -> None:
        """Go on with a job, if a server before this one left it unfinished.

        A build's server does so only when it is asked for the job: one that nobody asks for, because its recipe was changed
        meanwhile, keeps nobody waiting.
        """
        if not self.state.adopt(id_):
            return
        if self.state.advance(id_, "pausing", status="paused"):
            self.state.add_event(id_, "Fine-tuning job paused")
        elif not (self.state.job_folder(id_) / "job.json").is_file():
            self._fail(id_, "the job's files are gone")
        elif self.state.advance(id_, "validating_files", "queued", "running", status="queued", estimated_finish=None):
            self.state.add_event(id_, "The server was restarted; the job goes on")
            self.add(id_)

    async def cancel(self, id_: str) -> dict[str, Any]:
        """Cancel a job; if it is running, its process ends at once."""
        job = self.state.update_job(id_, status="cancelled", finished_at=int(time.time()), estimated_finish=None)
        if job["status"] == "cancelled":
            self.state.add_event(id_, "Fine-tuning job cancelled")
        if self._running and self._running[0] == id_:
            _send(self._running[1], signal.SIGKILL)
        else:
            self._tidy(id_)
        return job

    async def pause(self, id_: str) -> bool:
        """Pause a job, at once or, if it is running, at its next step; say whether that could be."""
        if self.state.advance(id_, "queued", "validating_files", status="paused"):
            self.state.add_event(id_, "Fine-tuning job paused")
            return True
        if not self.state.advance(id_, "running", status="pausing", estimated_finish=None):
            return False
        if self._running and self._running[0] == id_:
            _send(self._running[1], signal.SIGTERM)
        return True

    async def resume(self, id_: str) -> bool:
        """Go on with a paused job, from its checkpoint if it has one; say whether that could be."""
        if not self.state.advance(id_, "paused", status="queued"):
            return False
        self.state.add_event(id_, "Fine-tuning job resumed")
        self.add(id_)
        return True

    async def close(self) -> None:
        """Tell the training process to write a checkpoint, and wait for it."""
        self._closing = True
        self._waiting.put_nowait(None)
        if self._running:
            _send(self._running[1], signal.SIGTERM)
        if self._worker:
            done, _ = await asyncio.wait({self._worker}, timeout=_PATIENCE)
            if not done and self._running:
                _send(self._running[1], signal.SIGKILL)
                await asyncio.wait({self._worker}, timeout=_AGAIN)
            self._worker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._worker

    async def _work(self) -> None:
        while not self._closing:
            id_ = await self._waiting.get()
            while id_ and not self._closing and self.state.advance(id_, "queued", status="running"):
                try:
                    await self._run(id_)
                except Exception as error:  # noqa: BLE001 - whatever it is, the job ends with it and the next one begins
                    await self._settle(id_, said(error))
                self._running = None

    async def _run(self, id_: str) -> None:
        """Run a job's training process to its end.  Its job is `queued` again afterwards if it should go on."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ftbuild.local.trainer", str(self.state.job_folder(id_)),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env={**ENVIRONMENT, **os.environ}, limit=2**20, start_new_session=True,
        )  # fmt: skip
        self._running = (id_, process)
        self.state.add_event(id_, "Fine-tuning job started")
        assert process.stdout is not None
        assert process.stderr is not None
        last_words = asyncio.create_task(process.stderr.read())
        told = Chronicle(self.state, id_)
        try:
            self._obey(id_, process)
            async for line in process.stdout:
                if not self._obey(id_, process):
                    continue  # cancelled: what the process still says comes too late
                with contextlib.suppress(ValueError):
                    told(json.loads(line))
        finally:
            if sys.exc_info()[0]:
                _send(process, signal.SIGKILL)
            code = await process.wait()
            _send(process, signal.SIGKILL)  # those that trained with it
            said = (await last_words).decode(errors="replace").strip().splitlines()
        self._after(id_, code, said[-1] if said else "", ended=told.ended)

    def _obey(self, id_: str, process: asyncio.subprocess.Process) -> bool:
        """Do what was said to a job meanwhile, be it through another server; say whether the job is still wanted."""
        status = (self.state.job(id_) or {}).get("status", "cancelled")
        if status in FINAL:
            _send(process, signal.SIGKILL)
        elif status == "pausing" or self._closing:
            _send(process, signal.SIGTERM)
        return status not in FINAL

    def _after(self, id_: str, code: int, words: str, *, ended: bool) -> None:
        """Decide what becomes of a job whose process is gone."""
        job = self.state.job(id_) or {"status": "cancelled"}
        if ended or job["status"] in FINAL:
            self._tidy(id_)
        elif self.state.advance(id_, "pausing", status="paused"):
            self.state.add_event(id_, "Fine-tuning job paused")
        elif self._closing:
            self.state.advance(id_, "running", status="queued", estimated_finish=None)
        else:
            reason = words if words and code > 0 and code != os.EX_TEMPFAIL else "killed" if code < 0 else ""
            text = f"the training process ended with code {code}" + (f": {reason}" if reason else "")
            step = (read_json(self.state.job_folder(id_) / "checkpoint/step.json") or {}).get("step")
            if step and not job.get("_restarts") and (code < 0 or code == os.EX_TEMPFAIL):
                self.state.add_event(id_, f"{text}; going on after step {step}", level="warn")
                self.state.advance(id_, "running", status="queued", estimated_finish=None, _restarts=1)
            else:
                self._fail(id_, text)

    async def _settle(self, id_: str, message: str) -> None:
        """Fail a job, however often that has to be tried."""
        while True:
            try:
                self._fail(id_, message)
            except Exception:  # noqa: BLE001 - the database cannot be written now; a full disk does not stay full for ever
                if self._closing:
                    return
                await asyncio.sleep(_AGAIN)
            else:
                return

    def _fail(self, id_: str, message: str) -> None:
        Chronicle(self.state, id_)({"type": "failed", "message": message})
        self._tidy(id_)

    def _tidy(self, id_: str) -> None:
        """Remove what a job that has ended does not need any more."""
        folder = self.state.job_folder(id_)
        for left in (*folder.glob("*.new"), *folder.glob("checkpoints/*.new"), folder / "checkpoint"):
            shutil.rmtree(left, ignore_errors=True)


def _send(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """Send a signal to a training process and, where several train together, to all of them."""
    if process.returncode is None or number == signal.SIGKILL:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
