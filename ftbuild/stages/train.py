"""train: fine-tune the base model on the rows, at whatever provider trains.

In: `rows.jsonl`.  Out: `model.json`, the id of the tuned model and of the job that made it; `metrics.csv`, the provider's
result file; `events.jsonl`, what it said on the way.

The job's id is recorded under the stage's key before it is waited for: whoever runs the same build again, after Ctrl-C or
worse, finds it there and follows it instead of creating another.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ftbuild.providers import answering
from ftbuild.records import read_jsonl, write_jsonl
from ftbuild.stage import Task, stage
from ftbuild.store import write_json

if TYPE_CHECKING:
    from ftbuild.recipe import Recipe


def base_model(recipe: Recipe) -> Mapping[str, str]:
    """Return who trains, from which weights, and what is sent with every job besides."""
    provider = recipe.trainer.provider
    sent = {f"training.{name}": str(value) for name, value in provider.training.items()}
    who = answering(provider, recipe.trainer.base_model)
    return {
        **{k: v for k, v in who.items() if k != "deployment"},
        **sent,
    }  # under which name it is asked says nothing of training


@stage(
    reads=("train", "trainer"),
    sees=("format",),
    inputs=("format/rows.jsonl",),
    outputs=("model.json", "metrics.csv", "events.jsonl"),
    besides=base_model,
    reproducible=False,
    trains=True,
)
def train(task: Task) -> None:
    """Fine-tune the base model on the rows."""
    from ftbuild.following import Follower
    from ftbuild.jobs import Jobs
    from ftbuild.tokens import counter

    trainer, rows = task.recipe.trainer, task.input("format/rows.jsonl")
    count, epochs = counter(trainer.provider, trainer.base_model), task.recipe.train.epochs

    def affordable() -> None:
        """Set aside what another job would cost, before anything is uploaded for it.  BudgetError if that does not fit."""
        tokens = epochs * sum(count.count_row(row) for row in read_jsonl(rows))
        task.services.spending.training(trainer.provider, trainer.base_model, tokens)

    training = task.services.training(trainer)
    jobs = Jobs(training, task.recipe, task.services.store, task.console)
    follower = Follower(training, trainer, task.console)
    job = follower.follow(jobs.job(task.key, rows, anew=task.forced, affordable=affordable))
    (task.out / "metrics.csv").write_text(follower.result(job), encoding="utf-8")
    write_jsonl(task.out / "events.jsonl", follower.events)
    tokens = job.trained_tokens
    task.services.spending.trained(trainer.provider, trainer.base_model, tokens)
    kept = [{"step": c.step, "model": c.model, **c.metrics} for c in follower.checkpoints(job)]
    told = {"model": job.model, "base_model": trainer.base_model, "job": job.id, "trained_tokens": tokens}
    write_json(task.out / "model.json", {**told, **({"checkpoints": kept} if kept else {})})
    task.facts |= {"model": job.model, "job": job.id, "trained_tokens": tokens}
    task.facts |= {"checkpoints": kept} if kept else {}
    task.facts |= {"estimated_usd": jobs.estimate} if jobs.estimate is not None else {}
