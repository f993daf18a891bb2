"""`/v1/fine_tuning/jobs`: create, follow and cancel fine-tuning jobs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from fastapi import APIRouter

from ftbuild.local import models
from ftbuild.local.hub import Hub, page
from ftbuild.local.protocol import JobRequest, ProtocolError
from ftbuild.local.rows import problems
from ftbuild.local.state import FINAL, State, new_id
from ftbuild.store import write_json

_FEWEST_ROWS = 10


def routes(hub: Hub) -> APIRouter:
    """Return the routes of this module."""
    router, state, queue = APIRouter(), hub.state, hub.queue

    def known(id_: str) -> dict[str, Any]:
        job = state.job(id_)
        if job is None:
            raise ProtocolError(404, f"Could not find fine tune: {id_}", code="fine_tune_not_found")
        return job

    @router.post("/v1/fine_tuning/jobs")
    async def create(request: JobRequest) -> dict[str, Any]:
        """Create a fine-tuning job and put it in the queue."""
        settings = request.settings()
        if state.file(request.training_file) is None:
            raise ProtocolError(
                400, f"File {request.training_file} does not exist", param="training_file", code="file_not_found"
            )
        content = state.file_path(request.training_file).read_bytes()
        if found := list(problems(content)):
            raise ProtocolError(400, f"Invalid training file: {found[0]}", param="training_file", code="invalid_training_file")
        rows = [line for line in content.decode().split("\n") if line.strip()]
        if len(rows) < _FEWEST_ROWS:
            message = f"Training file has {len(rows)} example(s), but must have at least {_FEWEST_ROWS} examples"
            raise ProtocolError(400, message, param="training_file", code="too_few_examples")
        tuned = state.tuned_folder(request.model)
        if tuned is None:
            _findable(request.model, state)
        job = _new_job(request, settings)
        folder = state.job_folder(job["id"])
        folder.mkdir(parents=True)
        (folder / "rows.jsonl").write_text("\n".join(rows) + "\n", "utf-8")
        models_folder = str(state.folder / "models")
        hyperparameters = {**settings, **({"seed": request.seed} if request.seed is not None else {})}
        write_json(
            folder / "job.json",
            {
                "base_model": request.model,
                "weights": str(tuned) if tuned else None,
                "cache": models_folder,
                "hyperparameters": hyperparameters,
            },
        )
        state.add_job(job)
        state.add_event(job["id"], f"Created fine-tuning job: {job['id']}")
        state.add_event(job["id"], f"Validated training file: {request.training_file}, {len(rows)} rows")
        queue.add(job["id"])
        return state.update_job(job["id"], status="queued")

    @router.get("/v1/fine_tuning/jobs")
    async def list_(after: str | None = None, limit: int = 20) -> dict[str, Any]:
        """List jobs, the newest first."""
        return page(state.jobs(), after, limit)

    @router.get("/v1/fine_tuning/jobs/{id_}")
    async def retrieve(id_: str) -> dict[str, Any]:
        """Describe a job."""
        known(id_)
        queue.wake(id_)
        return known(id_)

    @router.get("/v1/fine_tuning/jobs/{id_}/events")
    async def events(id_: str, after: str | None = None, limit: int = 20) -> dict[str, Any]:
        """List a job's events, the newest first."""
        return page(state.events(known(id_)["id"]), after, limit)

    @router.post("/v1/fine_tuning/jobs/{id_}/cancel")
    async def cancel(id_: str) -> dict[str, Any]:
        """Cancel a job."""
        job = known(id_)
        if job["status"] in FINAL:
            raise ProtocolError(400, f"Job {id_} has already ended: {job['status']}", code="invalid_status")
        return await queue.cancel(id_)

    return router


def _new_job(request: JobRequest, settings: dict[str, Any]) -> dict[str, Any]:
    hyperparameters = {
        "n_epochs": settings.get("epochs", "auto"),
        "batch_size": settings.get("batch_size", "auto"),
        "learning_rate_multiplier": "auto",
    }
    return {
        "object": "fine_tuning.job",
        "id": new_id("ftjob"),
        "model": request.model,
        "created_at": int(time.time()),
        "finished_at": None,
        "fine_tuned_model": None,
        "organization_id": "local",
        "result_files": [],
        "status": "validating_files",
        "validation_file": None,
        "training_file": request.training_file,
        "hyperparameters": hyperparameters,
        "method": {"type": "supervised", "supervised": {"hyperparameters": hyperparameters}},
        "trained_tokens": None,
        "error": None,
        "seed": request.seed if request.seed is not None else 7,
        "estimated_finish": None,
        "integrations": [],
        "metadata": request.metadata,
        "_suffix": request.suffix or "",
    }


def _findable(model: str, state: State) -> None:
    """Refuse a base model that is not there, without loading it."""
    if model.casefold() == models.BUNDLED and models.bundled_file() is not None:
        return
    try:
        if model.casefold() == models.BUNDLED or Path(model).suffix != ".gguf" or not Path(model).is_file():
            models.weights_folder(model, state.folder / "models")
    except models.UnknownModel as error:
        raise ProtocolError(
            404, f"The model {model!r} does not exist: {error}", param="model", code="model_not_found"
        ) from error
