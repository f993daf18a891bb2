"""What to compute on: one GPU, several, Apple's, or the processor.  The one place that decides.

Several GPUs train one job together: each has the whole model and takes its share of every step's rows, and the gradients are
added up.  accelerate says which process is which; the first one starts the others (`together`).
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

PROCESSES = "FTBUILD_TRAINERS"
"""How many processes train a job together; what an environment variable of this name says comes before the count of GPUs."""


@dataclass(frozen=True)
class Place:
    """What this process computes on, and which one of how many it is."""

    device: torch.device
    rank: int = 0
    size: int = 1

    def mine(self, items: Sequence[Any]) -> Sequence[Any]:
        """Return this process's share of what all of them have to do."""
        return items[self.rank :: self.size]

    def add_up(self, parameters: Iterable[torch.nn.Parameter], numbers: Sequence[float]) -> list[float]:
        """Add the gradients up over all processes, and so these numbers."""
        if self.size == 1:
            return list(numbers)
        import torch
        import torch.distributed

        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            torch.distributed.all_reduce(parameter.grad)
        return self.agreed(numbers)

    def agreed(self, numbers: Sequence[float]) -> list[float]:
        """Return the sums of numbers over all processes."""
        if self.size == 1:
            return list(numbers)
        import torch
        import torch.distributed

        summed = torch.tensor(numbers, dtype=torch.float32 if self.device.type == "mps" else torch.float64, device=self.device)
        torch.distributed.all_reduce(summed)
        return [float(n) for n in summed]

    @contextlib.contextmanager
    def first(self) -> Iterator[bool]:
        """Yield whether this is the process that speaks and saves; the others wait for it at the end."""
        yield self.rank == 0
        if self.size > 1:
            import torch.distributed

            torch.distributed.barrier()


def place() -> Place:
    """Return what this process computes on."""
    import torch

    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        from accelerate import PartialState

        state: Any = PartialState(cpu=not torch.cuda.is_available())
        return Place(state.device, state.process_index, state.num_processes)
    return Place(device())


def device() -> torch.device:
    """Return the one device of a process that is alone."""
    import torch

    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


@contextlib.contextmanager
def together(module: str, *words: str) -> Iterator[None]:
    """Start the other processes that train the same job, if there are several GPUs and this is the first process.

    They belong to its process group and share its stdin, so that what ends it ends them.
    """
    count = int(os.environ.get(PROCESSES) or _gpus())
    if count < 2 or "RANK" in os.environ:  # noqa: PLR2004
        yield
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    os.environ |= {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
    }
    os.environ |= {"RANK": "0", "LOCAL_RANK": "0"}
    command = [sys.executable, "-m", module, *words]
    for rank in range(1, count):
        environment = {**os.environ, "RANK": str(rank), "LOCAL_RANK": str(rank)}
        other = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
        threading.Thread(target=_guard, args=(other,), daemon=True).start()
    yield


def _guard(other: subprocess.Popen[bytes]) -> None:
    """End with a process without which the others would wait for ever."""
    if other.wait() not in (0, os.EX_TEMPFAIL):
        os.kill(os.getpid(), signal.SIGKILL)


def _gpus() -> int:
    """Return how many GPUs may be used.  PyTorch, which takes its time, is asked only where there can be several."""
    if len(list(Path("/dev").glob("nvidia[0-9]*"))) < 2 and not Path("/dev/kfd").exists():  # noqa: PLR2004
        return 0
    import torch

    return torch.cuda.device_count()
