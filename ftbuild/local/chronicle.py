"""What a training process says becomes what the client sees: events, metrics, checkpoints, the result file, the model.

In: one message after the other, as JSON objects, and `metrics.jsonl` in the job's folder.  Out: rows in the state's database, a
result file.  A step may be told twice, after a crash, or never, by a process whose server was gone; here each is told once.
"""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Iterator
from typing import Any

from ftbuild.local.asked import tuned_name
from ftbuild.local.state import State

_NAMES = {
    "train_loss": "train_loss",
    "train_accuracy": "train_mean_token_accuracy",
    "valid_loss": "valid_loss",
    "valid_accuracy": "valid_mean_token_accuracy",
    "reward_margin": "train_mean_reward_margin",
}
_COLUMNS = {
    "step": "step",
    "train_loss": "train_loss",
    "train_accuracy": "train_accuracy",
    "valid_loss": "valid_loss",
    "valid_mean_token_accuracy": "valid_accuracy",
}


class Chronicle:
    """Writes down what happens to one job."""

    def __init__(self, state: State, job: str) -> None:
        self.state, self.job = state, job
        self.ended = False
        self._file = state.job_folder(job) / "metrics.jsonl"
        self._began: tuple[float, int] | None = None
        self._told = state.last_step(job)

    def __call__(self, message: dict[str, Any]) -> None:
        """Take note of a message."""
        match message["type"]:
            case "started":
                self._began = (time.time(), message["step"])
                for metrics in self._metrics_so_far():
                    if metrics["step"] <= message["step"]:
                        self._tell(metrics, message["steps"])
                self.state.add_event(self.job, f"Training {message['rows']} rows in {message['steps']} steps")
            case "metrics":
                self._metrics(message)
            case "checkpoint":
                self._checkpoint(message)
            case "succeeded":
                self._succeed(message)
            case "failed":
                self._fail(message)
            case "message" | "stopped":
                text = message.get("message") or f"Stopped after step {message['step']}"
                self.state.add_event(self.job, text, level=message.get("level", "info"))

    def _metrics(self, message: dict[str, Any]) -> None:
        step, steps = message["step"], message["steps"]
        if self._began and step > self._began[1]:
            pace = (time.time() - self._began[0]) / (step - self._began[1])
            self.state.update_job(self.job, estimated_finish=int(time.time() + pace * (steps - step)))
        self._tell(message, steps)

    def _tell(self, message: dict[str, Any], steps: int) -> None:
        step = message["step"]
        if step <= self._told:
            return
        self._told = step
        text = f"Step {step}/{steps}: training loss={message['train_loss']:.2f}"
        if "valid_loss" in message:
            text += f", validation loss={message['valid_loss']:.2f}"
        self.state.add_event(self.job, text, type_="metrics", data={"total_steps": steps, **_named(message)})

    def _checkpoint(self, message: dict[str, Any]) -> None:
        name = f"{tuned_name(self.state.job(self.job) or {})}:ckpt-step-{message['step']}"
        metrics = next((m for m in reversed(list(self._metrics_so_far())) if m["step"] == message["step"]), message)
        self.state.add_checkpoint(self.job, message["step"], name, message["folder"], _named(metrics))
        self.state.add_event(self.job, f"Checkpoint created at step {message['step']}: {name}")

    def _succeed(self, message: dict[str, Any]) -> None:
        self.ended = True
        name = tuned_name(self.state.job(self.job) or {})
        result = self.state.add_file(self._result(), "step_metrics.csv", "fine-tune-results")
        ended = self.state.advance(
            self.job, "running", "pausing", status="succeeded", finished_at=int(time.time()), fine_tuned_model=name,
            result_files=[result["id"]], trained_tokens=message["trained_tokens"], estimated_finish=None,
        )  # fmt: skip
        if not ended:  # it was cancelled at the last moment
            self.state.delete_file(result["id"])
            return
        self.state.add_event(self.job, f"New fine-tuned model created: {name}")
        self.state.add_event(self.job, "The job has successfully completed")

    def _fail(self, message: dict[str, Any]) -> None:
        self.ended = True
        error = {"code": message.get("code", "training_failed"), "message": message["message"], "param": message.get("param")}
        self.state.update_job(self.job, status="failed", finished_at=int(time.time()), error=error, estimated_finish=None)
        self.state.add_event(self.job, message["message"], level="error")

    def _metrics_so_far(self) -> Iterator[dict[str, Any]]:
        """Yield the metrics written down so far; a line that a crash has cut off is left out."""
        if not self._file.is_file():
            return
        with self._file.open(errors="replace") as lines:
            for line in lines:
                try:
                    yield json.loads(line)
                except ValueError:
                    continue

    def _result(self) -> bytes:
        """Return the metrics of all steps as CSV.  A step that was taken again after a restart counts once."""
        steps = {m["step"]: m for m in self._metrics_so_far()}
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(_COLUMNS)
        for step in sorted(steps):
            writer.writerow([round(v, 5) if (v := steps[step].get(name)) is not None else "" for name in _COLUMNS.values()])
        return text.getvalue().encode()


def _named(metrics: dict[str, Any]) -> dict[str, Any]:
    """Return metrics by the protocol's names.  All validation rows are looked at, so that both losses are the same."""
    told = {"step": metrics["step"]} | {name: metrics[own] for own, name in _NAMES.items() if own in metrics}
    return told | {f"full_{name}": told[name] for name in list(told) if name.startswith("valid_")}
