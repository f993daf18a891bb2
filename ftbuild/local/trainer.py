"""The training process: `python -m ftbuild.local.trainer JOB_FOLDER`.

In: `job.json` (base model, method, hyperparameters), `rows.jsonl` and perhaps `valid.jsonl` in the job's folder.  Out: `model/`
in the Hugging Face format, and one JSON object a line on stdout: how far it is, the loss, the end.  It stops at the next step,
leaving a checkpoint from which it goes on, when its stdin closes or on SIGTERM; so nobody has to outlive it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftbuild.local.devices import place, together
from ftbuild.local.preferences import Pair, Preferences
from ftbuild.local.saving import CannotSave, Clock, Keeping, Metrics, said, save_model
from ftbuild.local.training import Hyperparameters, Run, tokenised, with_adapter
from ftbuild.store import read_json, write_json


def main() -> int:
    """Train the job in the folder given on the command line."""
    folder = Path(sys.argv[1])
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the server decides
    threading.Thread(target=_watch, args=(stop,), daemon=True).start()
    try:
        with _alone(folder), together("ftbuild.local.trainer", str(folder)):
            return train(folder, stop)
    except CannotSave as error:
        _say({"type": "failed", "message": str(error), "code": "storage_error"}, stop)
    except Exception as error:  # noqa: BLE001 - the last word of a process; the server tells it to the user
        _say({"type": "failed", "message": said(error)}, stop)
    return 1


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process is at the job, such as one whose server is gone and that writes its checkpoint."""
    with (folder / "lock").open("a") as lock:
        if not int(os.environ.get("RANK", "0")):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _watch(stop: threading.Event) -> None:
    """Wait until whoever started this process closes the pipe, or is gone."""
    while sys.stdin.buffer.read(1):
        pass
    stop.set()


def _say(message: Mapping[str, Any], stop: threading.Event) -> None:
    try:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()
    except (BrokenPipeError, ValueError):
        stop.set()


def train(folder: Path, stop: threading.Event) -> int:
    """Train until the end or until `stop` is set.  Returns 0, or 75 if there is more to do."""
    import torch

    from ftbuild.local.models import fast_dtype, read, weights_folder

    job, where = read_json(folder / "job.json"), place()

    def tell(kind: str, **facts: Any) -> None:
        if where.rank == 0:
            _say({"type": kind, **facts}, stop)

    if (folder / "model").is_dir() and (done := read_json(folder / "done.json")):  # all but the server's last word was said
        tell("succeeded", **done)
        return 0
    cache = Path(job["cache"])
    settings, keeping = Hyperparameters.of(job["hyperparameters"]), Keeping.of(job["hyperparameters"])
    torch.manual_seed(settings.seed)
    tell("message", message=f"loading {job['base_model']}")
    exact = fast_dtype() if settings.method == "lora" else torch.float32  # what is trained is not rounded before it is
    model, tokenizer = read(job["weights"] or weights_folder(job["base_model"], cache), cache, exact)
    if settings.method == "lora":
        model = with_adapter(model, settings)
    model.train()
    kind = job.get("kind", "supervised")
    rows = _rows(folder / "rows.jsonl", kind, tokenizer, model, settings, tell)
    valid = _rows(folder / "valid.jsonl", kind, tokenizer, model, settings, tell)
    run = Run(model, rows, settings, where.device, fast_dtype(), where)
    if kind == "dpo":
        run.objective = Preferences(settings.beta)
        for _ in run.objective.refer(run, [*rows, *valid], folder / "reference.json"):
            if stop.is_set() and where.size == 1:
                return os.EX_TEMPFAIL
    try:
        run.resume(folder / "checkpoint")
    except Exception as error:  # noqa: BLE001 - whatever is wrong with a checkpoint, the rows are still there
        tell("message", message=f"the checkpoint cannot be read, training begins anew: {error}", level="warn")
    tokens = sum(len(r.tokens) for r in rows) * settings.epochs
    tell("started", steps=run.steps, step=run.step, rows=len(rows), trained_tokens=tokens)
    # An adapter of an adapter would need both; what was tuned before is therefore saved together with what is new.
    kept = Kept(folder, tokenizer, Keeping(keeping.checkpoints, keeping.save_steps, keeping.merge or bool(job["weights"])))
    if not steps(run, valid, kept, stop, tell):
        return os.EX_TEMPFAIL
    with where.first() as first:
        if first:
            write_json(folder / "done.json", {"trained_tokens": tokens})
            save_model(model, tokenizer, folder / "model", merge=kept.keeping.merge)
    if keeping.checkpoints:
        tell("checkpoint", step=run.steps, folder="model")
    tell("succeeded", trained_tokens=tokens)
    return 0


@dataclass
class Kept:
    """Where a run's checkpoints and models go, and which of them are kept."""

    folder: Path
    tokenizer: Any
    keeping: Keeping


def steps(run: Run, valid: Sequence[Any], kept: Kept, stop: threading.Event, tell: Callable[..., None]) -> bool:
    """Take the steps that are left, saving on the way; say whether all were taken."""
    clock = Clock(kept.keeping.save_steps)
    record = Metrics(kept.folder / "metrics.jsonl") if run.place.rank == 0 else None
    for metrics in run:
        epoch, within = divmod(run.step, run.steps // run.settings.epochs)
        measured = run.measure(valid) if valid and not within else {}
        if record:
            record.add({**metrics, **measured})
        tell("metrics", steps=run.steps, **metrics, **measured)
        if run.step == run.steps:
            break
        halted = run.place.agreed([float(stop.is_set())])[0] > 0
        due = clock.due(run.step)
        with run.place.first() as first:
            if first and not within and epoch > run.settings.epochs - kept.keeping.checkpoints:
                with _warned(tell):
                    name = f"checkpoints/step-{run.step}"
                    save_model(run.model, kept.tokenizer, kept.folder / name, merge=kept.keeping.merge, last=False)
                    tell("checkpoint", step=run.step, folder=name)
            if first and (halted or due):
                with _warned(tell), clock.writing():
                    run.save(kept.folder / "checkpoint")
        if halted:
            tell("stopped", step=run.step)
            return False
    return True


@contextlib.contextmanager
def _warned(tell: Callable[..., None]) -> Iterator[None]:
    """Go on if something cannot be saved that the end does not need."""
    try:
        yield
    except CannotSave as error:
        tell("message", message=str(error), level="warn")


def _rows(path: Path, kind: str, tokenizer: Any, model: Any, settings: Hyperparameters, tell: Callable[..., None]) -> list[Any]:
    """Read rows or, for preferences, pairs of them; ValueError if one is longer than what can be trained."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8") as lines:  # not splitlines(), which breaks a row at U+2028
        given = (json.loads(line) for line in lines if line.strip())
        rows = [Pair.of(row, tokenizer) if kind == "dpo" else tokenised(row, tokenizer) for row in given]
    if settings.max_length and (count := sum(r.longest() > settings.max_length for r in rows)):
        tell("message", message=f"{count} rows of {len(rows)} were cut to {settings.max_length} tokens", level="warn")
        rows = [r.cut(settings.max_length) for r in rows]
    longest = min(getattr(model.config, "max_position_embeddings", 2048), max(2048, settings.max_length))
    if (most := max(r.longest() for r in rows)) > longest:
        raise ValueError(f"a row has {most} tokens, more than the {longest} that can be trained")
    return rows


if __name__ == "__main__":
    raise SystemExit(main())
