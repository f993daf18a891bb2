"""Processes of a benchmark: started in sessions of their own, timed in CPU seconds, killed with everything they started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.recipe import family

PATIENCE = 300.0


@dataclass(frozen=True)
class Ended:
    """How a process ended: its exit code, all that it printed, and the CPU seconds that it and its children took."""

    code: int
    text: str
    cpu: float


class Running:
    """A process that was started, and can be awaited or killed."""

    started: tuple[Running, ...] = ()

    def __init__(self, command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        self._printed = tempfile.TemporaryFile()  # noqa: SIM115 - closed at the end of the process
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=self._printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._ended: Ended | None = None
        Running.started = (*Running.started, self)

    def end(self) -> Ended:
        """Wait for the end; whoever takes too long is killed."""
        if self._ended is None:
            timer = threading.Timer(PATIENCE, self._kill)
            timer.start()
            _, status, usage = os.wait4(self._process.pid, 0)
            timer.cancel()
            self._process.returncode = os.waitstatus_to_exitcode(status)
            self._printed.seek(0)
            text = self._printed.read().decode(errors="replace")
            self._printed.close()
            self._ended = Ended(self._process.returncode, text, usage.ru_utime + usage.ru_stime)
        return self._ended

    def kill(self) -> Ended:
        """Kill the process and everything that it started, with SIGKILL, and wait for its end."""
        if self._ended is None:
            self._kill()
        return self.end()

    def _kill(self) -> None:
        for pid in sorted(family(self._process.pid)):  # parents come before their children, which they might start again
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    @property
    def alive(self) -> bool:
        """Whether it still runs.  It is not reaped by asking."""
        return self._ended is None and os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


def kill_all() -> None:
    """Kill whatever was started here and still runs."""
    for running in Running.started:
        running.kill()


def wait_until(condition: Callable[[], bool], running: Running) -> None:
    """Wait until something holds.  RuntimeError if the process ends before, or it takes too long."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if not running.alive:
            raise RuntimeError(f"ended too soon:\n{running.end().text}")
        if time.monotonic() > deadline:
            raise RuntimeError("took too long")
        time.sleep(0.01)
