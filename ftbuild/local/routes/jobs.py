"""`/v1/fine_tuning/jobs`: create, follow, pause, resume and cancel fine-tuning jobs; their events and checkpoints."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool

from ftbuild.local import hyperparameters, models
from ftbuild.local.asked import JobRequest
from ftbuild.local.hub import Hub, listed, no_cursor, page
from ftbuild.local.protocol import ProtocolError
from ftbuild.local.rows import checked
from ftbuild.local.state import FINAL, State, UnknownCursor
from ftbuild.store import write_json

_FEWEST_ROWS = 10
_KINDS = {"supervised": ("completion", "chat"), "dpo": ("preference",)}
_WANTED = {"supervised": "prompt-completion or chat rows", "dpo": "preference rows"}

Limit = Annotated[int, Query(ge=1, le=1000)]


def routes(hub: Hub) -> APIRouter:
    """Return the routes of this module."""
    router = APIRouter(prefix="/v1/fine_tuning/jobs", tags=["Fine-tuning"])
    _reading(router, hub)
    _changing(router, hub)
    return router


def _reading(router: APIRouter, hub: Hub) -> None:
    state, queue = hub.state, hub.queue

    @router.get("")
    def list_(request: Request, after: str | None = None, limit: Limit = 20) -> dict[str, Any]:
        """List jobs, the newest first; `metadata[key]=value` leaves those that have it, `metadata=null` those without any."""
        wanted = _filter(request)
        jobs = [_shown(j) for j in state.jobs()]
        if wanted is None:
            jobs = [j for j in jobs if not j["metadata"]]
        elif wanted:
            jobs = [j for j in jobs if wanted.items() <= (j["metadata"] or {}).items()]
        return page(jobs, after, limit)

    @router.get("/{id_}")
    async def retrieve(id_: str) -> dict[str, Any]:
        """Describe a job."""
        _known(state, id_)
        queue.wake(id_)
        return _known(state, id_)

    @router.get("/{id_}/events")
    def events(id_: str, after: str | None = None, limit: Limit = 20) -> dict[str, Any]:
        """List a job's events, the newest first."""
        try:
            return listed(state.events(_known(state, id_)["id"], after=after or None, limit=limit + 1), limit)
        except UnknownCursor:
            raise no_cursor(after or "") from None

    @router.get("/{id_}/checkpoints")
    def checkpoints(id_: str, after: str | None = None, limit: Limit = 10) -> dict[str, Any]:
        """List a job's checkpoints, the newest first.  Each is a model that can be asked."""
        return page(state.checkpoints(_known(state, id_)["id"]), after, limit)


def _changing(router: APIRouter, hub: Hub) -> None:
    state, queue = hub.state, hub.queue

    def refused(id_: str, what: str) -> ProtocolError:
        status = _known(state, id_)["status"]
        how = "has already ended" if status in FINAL else f"cannot be {what} now"
        return ProtocolError(400, f"Job {id_} {how}: {status}", code="invalid_status")

    @router.post("")
    async def create(request: JobRequest) -> dict[str, Any]:
        """Create a fine-tuning job and put it in the queue."""
        job = await run_in_threadpool(_created, request, state)
        queue.add(job["id"])
        return _shown(job)

    @router.post("/{id_}/cancel")
    async def cancel(id_: str) -> dict[str, Any]:
        """Cancel a job."""
        if _known(state, id_)["status"] in FINAL:
            raise refused(id_, "cancelled")
        return _shown(await queue.cancel(id_))

    @router.post("/{id_}/pause")
    async def pause(id_: str) -> dict[str, Any]:
        """Pause a job; a running one writes a checkpoint first."""
        _known(state, id_)
        queue.wake(id_)
        if not await queue.pause(id_):
            raise refused(id_, "paused")
        return _known(state, id_)

    @router.post("/{id_}/resume")
    async def resume(id_: str) -> dict[str, Any]:
        """Go on with a paused job."""
        _known(state, id_)
        queue.wake(id_)
        if not await queue.resume(id_):
            raise refused(id_, "resumed")
        return _known(state, id_)


def _known(state: State, id_: str) -> dict[str, Any]:
    job = state.job(id_)
    if job is None:
        raise ProtocolError(404, f"Could not find fine tune: {id_}", param="fine_tune_id", code="fine_tune_not_found")
    return _shown(job)


def _shown(job: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in job.items() if not k.startswith("_")}


def _filter(request: Request) -> dict[str, str] | None:
    """Return the metadata that listed jobs must have; None if they must have none at all."""
    given = request.query_params
    if "metadata" in given:
        if given["metadata"] != "null":
            raise ProtocolError(400, "metadata is 'null', or has the form metadata[key]=value", param="metadata")
        return None
    pairs = ((k, v) for k, v in given.multi_items() if k.startswith("metadata[") and k.endswith("]"))
    return {k.removeprefix("metadata[")[:-1]: v for k, v in pairs}


def _created(request: JobRequest, state: State) -> dict[str, Any]:
    """Check a request and write its job down, first in files and then in the database; return the job as it was at first."""
    settings = request.settings()
    kind, rows = _file(state, request.training_file, "training_file", request.kind)
    if rows < _FEWEST_ROWS:
        message = f"Training file has {rows} example(s), but must have at least {_FEWEST_ROWS} examples"
        raise ProtocolError(400, message, param="training_file", code="too_few_examples")
    if request.validation_file is not None:
        valid, _ = _file(state, request.validation_file, "validation_file", request.kind)
        if valid != kind:
            message = f"The validation file has {valid} rows and the training file {kind} rows"
            raise ProtocolError(400, message, param="validation_file", code="invalid_validation_file")
    tuned = state.tuned_folder(request.model)
    if tuned is None:
        _findable(request.model, state)
    settings = hyperparameters.resolved(settings, request.kind, rows)
    job = request.job(settings)
    folder = state.job_folder(job["id"])
    try:
        folder.mkdir(parents=True)
        _share(state.file_path(request.training_file), folder / "rows.jsonl")
        if request.validation_file is not None:
            _share(state.file_path(request.validation_file), folder / "valid.jsonl")
        training = {
            "kind": request.kind,
            "base_model": request.model,
            "weights": str(tuned) if tuned else None,
            "cache": str(state.folder / "models"),
            "hyperparameters": {**settings, "seed": job["seed"]},
        }
        write_json(folder / "job.json", training)
        state.add_job(job)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    state.add_event(job["id"], f"Created fine-tuning job: {job['id']}")
    state.add_event(job["id"], f"Validated training file: {request.training_file}, {rows} rows")
    state.advance(job["id"], "validating_files", status="queued")
    return job


def _share(content: Path, place: Path) -> None:
    """Give a job a file's content, which never changes; the file itself may be deleted meanwhile."""
    try:
        place.hardlink_to(content)
    except OSError:
        shutil.copyfile(content, place)


def _file(state: State, id_: str, param: str, method: str) -> tuple[str, int]:
    """Return the kind of a training file's rows, and their number; 400 if the method cannot learn from it."""
    file = state.file(id_)
    if file is None:
        raise ProtocolError(400, f"File {id_} does not exist", param=param, code="file_not_found")
    if file["purpose"] != "fine-tune":
        message = f"File {id_} has the purpose {file['purpose']!r}, not 'fine-tune'"
        raise ProtocolError(400, message, param=param, code="invalid_file_purpose")
    found = state.rows_of(id_)
    if found is None:  # it came before rows were counted
        rows = checked(state.file_path(id_))
        if rows.problems:
            raise ProtocolError(400, f"Invalid {param}: {rows.message}", param=param, code=f"invalid_{param}")
        found = rows.kind, rows.rows
    if found[0] not in _KINDS[method]:
        message = f"The method {method!r} wants {_WANTED[method]}; file {id_} has {found[0]} rows"
        raise ProtocolError(400, message, param=param, code=f"invalid_{param}")
    return found


def _findable(model: str, state: State) -> None:
    """Refuse a base model that is not there, without loading it."""
    try:
        if model.casefold() == models.BUNDLED and models.bundled_file() is not None:
            return
        if model.casefold() == models.BUNDLED or Path(model).suffix != ".gguf" or not Path(model).is_file():
            models.weights_folder(model, state.folder / "models")
    except (models.UnknownModel, OSError, ValueError) as error:
        raise ProtocolError(
            404, f"The model {model!r} does not exist: {error}", param="model", code="model_not_found"
        ) from error
