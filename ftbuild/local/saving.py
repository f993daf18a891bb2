"""What a training process leaves on the disk, whole or not at all: checkpoints to go on from, and models.

    metrics.jsonl                what was measured at each step; whoever trains writes it, so that none is lost with a server
    checkpoint/                  the newest state to go on from; gone when the job has ended
    checkpoints/step-N/          the model after one of the last epochs, in the Hugging Face format
    model/                       the model after the last step, which is also the last epoch's
    done.json                    what there is to say about it

Everything is written aside and renamed.  A disk that is full leaves nothing half-written, and a clear line.
"""

from __future__ import annotations

import contextlib
import copy
import errno
import json
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftbuild.store import flush, write_json

if TYPE_CHECKING:
    import torch

_OFTEN = 300.0  # seconds between two checkpoints to go on from
_SHARE = 30  # times what the last one took to write, which is more where weights are many and the disk is slow
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class CannotSave(Exception):
    """Something could not be written.  The message says what, where and why."""


@dataclass(frozen=True)
class Keeping:
    """What to keep: models after how many of the last epochs, a state to go on from every so many steps, a merged adapter."""

    checkpoints: int = 3
    save_steps: int = 0
    merge: bool = False

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Keeping:
        """Return what hyperparameters say about it."""
        return cls(**{k: v for k, v in values.items() if k in cls.__dataclass_fields__ and v is not None})


class Clock:
    """Says when it is time for another checkpoint to go on from: after some steps, or after some minutes."""

    def __init__(self, every: int) -> None:
        self._every, self._last, self._wait = every, time.monotonic(), _OFTEN

    def due(self, step: int) -> bool:
        """Say whether a checkpoint should be written after this step."""
        return step % self._every == 0 if self._every else time.monotonic() - self._last >= self._wait

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Measure how long writing takes."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._last = time.monotonic()
            self._wait = max(_OFTEN, _SHARE * (self._last - began))


class Metrics:
    """Appends what was measured to a file, a line a step."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with saving(path), path.open("ab+") as file:
            if file.tell():
                file.seek(-1, 2)
                if file.read(1) != b"\n":  # the last one was cut off
                    file.write(b"\n")

    def add(self, metrics: Mapping[str, Any]) -> None:
        """Append a step's metrics."""
        with saving(self._path), self._path.open("a") as file:
            file.write(json.dumps(metrics) + "\n")


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yield a new folder to write in; it takes the place of `path` when it is complete.  CannotSave if it never is."""
    aside = path.with_name(path.name + ".new")
    with saving(path, aside):
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        yield aside
        for file in aside.iterdir():
            flush(file)
        shutil.rmtree(path, ignore_errors=True)
        aside.replace(path)


@contextlib.contextmanager
def saving(path: Path, aside: Path | None = None) -> Iterator[None]:
    """Turn what goes wrong with a disk into CannotSave, and leave nothing of `aside` behind."""
    try:
        yield
    except Exception as error:
        if aside:
            shutil.rmtree(aside, ignore_errors=True)
            with contextlib.suppress(OSError):
                aside.unlink(missing_ok=True)
        if reason := _reason(error):
            raise CannotSave(f"{path.name} could not be saved: {reason} ({path.parent})") from error
        raise


def _reason(error: Exception) -> str:
    """Return what a disk had to say, if it was the disk; safetensors passes its words on in an error of its own."""
    if isinstance(error, OSError):
        return "the disk is full" if error.errno in _FULL else str(error.strerror)
    text = str(error)
    if type(error).__name__ == "SafetensorError" and "I/O error" in text:
        return "the disk is full" if any(f"os error {number}" in text for number in _FULL) else text
    return ""


def said(error: Exception) -> str:
    """Return an error that nobody foresaw in one line."""
    if getattr(error, "errno", 0) in _FULL or "disk is full" in str(error):  # SQLite's words
        return "the disk of the server is full"
    return f"{type(error).__name__}: {error}".splitlines()[0]


def save_model(model: Any, tokenizer: Any, path: Path, *, merge: bool = False, last: bool = True) -> None:
    """Write a model as a Hugging Face directory, in 16 bits: the adapter if there is one, or merged with its base model.

    Merging takes the model's memory once more, unless nothing is trained any more (`last`).
    """
    import torch

    with whole(path) as aside:
        adapter = hasattr(model, "peft_config")
        if adapter and not merge:
            model.save_pretrained(str(aside))
        else:
            if adapter:
                model = (model if last else copy.deepcopy(model)).merge_and_unload()
            model.save_pretrained(str(aside), state_dict=_in_16_bits(model.state_dict()))
            config = json.loads((aside / "config.json").read_text("utf-8"))
            config["dtype"] = str(torch.bfloat16).removeprefix("torch.")
            write_json(aside / "config.json", config)
        tokenizer.save_pretrained(str(aside))


def _in_16_bits(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return weights in 16 bits; those that are one and the same stay so."""
    import torch

    made: dict[tuple[int, torch.Size], torch.Tensor] = {}
    return {
        name: made.setdefault((t.data_ptr(), t.shape), t.to(torch.bfloat16) if t.is_floating_point() else t)
        for name, t in state.items()
    }
