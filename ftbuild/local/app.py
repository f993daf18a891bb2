"""The routes of the protocol: files, fine-tuning jobs, completions, chat completions, models."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Form, Request, Response, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from ftbuild import __version__
from ftbuild.local import models
from ftbuild.local.answers import Answers
from ftbuild.local.engine import Made, Wanted
from ftbuild.local.jobs import Queue
from ftbuild.local.protocol import ChatRequest, CompletionRequest, JobRequest, ProtocolError, Sampling, problems
from ftbuild.local.state import FINAL, State, new_id
from ftbuild.store import write_json

_LARGEST_FILE = 512 * 2**20
_FEWEST_ROWS = 10


def create_app(folder: Path, api_key: str, threads: int | None = None) -> FastAPI:
    """Return the application, whose state lies in `folder`, for clients that know `api_key`."""
    state = State(folder)
    answers = Answers(models.Library(folder / "models"))
    queue = Queue(state, threads)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await answers.start()
        await queue.start()
        yield
        await queue.close()
        await answers.close()
        state.close()

    async def authorised(request: Request) -> None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not secrets.compare_digest(given.strip().encode(), api_key.encode()):
            raise ProtocolError(401, "Incorrect API key provided.", code="invalid_api_key")

    app = FastAPI(title="ftbuild local", version=__version__, lifespan=lifespan)
    _errors(app)

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Say that the server is up."""
        return {"status": "ok", "version": __version__}

    dependencies = [Depends(authorised)]
    _files(app, state, dependencies)
    _jobs(app, state, queue, dependencies)
    _models(app, state, answers, dependencies)
    _answers(app, state, answers, dependencies)
    return app


def _errors(app: FastAPI) -> None:
    @app.exception_handler(ProtocolError)
    async def protocol(_: Request, error: ProtocolError) -> JSONResponse:
        return JSONResponse(error.envelope, error.status)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        param = ".".join(str(p) for p in first["loc"][1:] if p not in ("str", "list[str]", "int"))
        wrong = ProtocolError(400, f"Invalid value for {param or 'the request'}: {first['msg']}", param=param or None)
        return JSONResponse(wrong.envelope, 400)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        message = (
            f"Unknown request URL: {request.method} {request.url.path}"
            if error.status_code == HTTPStatus.NOT_FOUND
            else str(error.detail)
        )
        return JSONResponse(ProtocolError(error.status_code, message).envelope, error.status_code)

    @app.exception_handler(Exception)
    async def unexpected(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse(ProtocolError(500, f"{type(error).__name__}: {error}").envelope, 500)

    @app.middleware("http")
    async def identified(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        start = time.perf_counter()
        response = await call_next(request)
        response.headers["x-request-id"] = f"req_{secrets.token_hex(12)}"
        response.headers["openai-processing-ms"] = str(round((time.perf_counter() - start) * 1000))
        return response


def _page(items: list[dict[str, Any]], after: str | None, limit: int, *, key: str = "id") -> dict[str, Any]:
    if after:
        place = next((n for n, item in enumerate(items) if item[key] == after), len(items) - 1)
        items = items[place + 1 :]
    shown = items[:limit]
    return {
        "object": "list",
        "data": shown,
        "has_more": len(items) > limit,
        "first_id": shown[0][key] if shown else None,
        "last_id": shown[-1][key] if shown else None,
    }


def _files(app: FastAPI, state: State, dependencies: list[Any]) -> None:
    def known(id_: str) -> dict[str, Any]:
        file = state.file(id_)
        if file is None:
            raise ProtocolError(404, f"No such File object: {id_}", param="id")
        return file

    @app.post("/v1/files", dependencies=dependencies)
    async def create(file: UploadFile, purpose: Annotated[str, Form()]) -> dict[str, Any]:
        """Upload a file; training rows are checked at once."""
        content = await file.read(_LARGEST_FILE + 1)
        if len(content) > _LARGEST_FILE:
            raise ProtocolError(413, f"The file is larger than {_LARGEST_FILE} bytes.", param="file")
        if purpose == "fine-tune" and (found := list(problems(content))):
            more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
            raise ProtocolError(400, f"Invalid file format: {found[0]}{more}", param="file", code="invalid_file_format")
        return state.add_file(content, Path(file.filename or "file").name, purpose)

    @app.get("/v1/files", dependencies=dependencies)
    async def list_(purpose: str | None = None, after: str | None = None, limit: int = 10000) -> dict[str, Any]:
        """List files, the newest first."""
        return _page(state.files(purpose), after, limit)

    @app.get("/v1/files/{id_}", dependencies=dependencies)
    async def retrieve(id_: str) -> dict[str, Any]:
        """Describe a file."""
        return known(id_)

    @app.get("/v1/files/{id_}/content", dependencies=dependencies)
    async def content(id_: str) -> Response:
        """Return a file's content."""
        return Response(state.file_path(known(id_)["id"]).read_bytes(), media_type="application/octet-stream")

    @app.delete("/v1/files/{id_}", dependencies=dependencies)
    async def delete(id_: str) -> dict[str, Any]:
        """Delete a file."""
        state.delete_file(known(id_)["id"])
        return {"id": id_, "object": "file", "deleted": True}


def _jobs(app: FastAPI, state: State, queue: Queue, dependencies: list[Any]) -> None:
    def known(id_: str) -> dict[str, Any]:
        job = state.job(id_)
        if job is None:
            raise ProtocolError(404, f"Could not find fine tune: {id_}", code="fine_tune_not_found")
        return job

    @app.post("/v1/fine_tuning/jobs", dependencies=dependencies)
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
        job = _new_job(request, settings, Path(state.folder))
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

    @app.get("/v1/fine_tuning/jobs", dependencies=dependencies)
    async def list_(after: str | None = None, limit: int = 20) -> dict[str, Any]:
        """List jobs, the newest first."""
        return _page(state.jobs(), after, limit)

    @app.get("/v1/fine_tuning/jobs/{id_}", dependencies=dependencies)
    async def retrieve(id_: str) -> dict[str, Any]:
        """Describe a job."""
        known(id_)
        queue.wake(id_)
        return known(id_)

    @app.get("/v1/fine_tuning/jobs/{id_}/events", dependencies=dependencies)
    async def events(id_: str, after: str | None = None, limit: int = 20) -> dict[str, Any]:
        """List a job's events, the newest first."""
        return _page(state.events(known(id_)["id"]), after, limit)

    @app.post("/v1/fine_tuning/jobs/{id_}/cancel", dependencies=dependencies)
    async def cancel(id_: str) -> dict[str, Any]:
        """Cancel a job."""
        job = known(id_)
        if job["status"] in FINAL:
            raise ProtocolError(400, f"Job {id_} has already ended: {job['status']}", code="invalid_status")
        return await queue.cancel(id_)


def _new_job(request: JobRequest, settings: dict[str, Any], _: Path) -> dict[str, Any]:
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


def _models(app: FastAPI, state: State, answers: Answers, dependencies: list[Any]) -> None:
    def described() -> list[dict[str, Any]]:
        tuned = [j for j in state.jobs() if j["fine_tuned_model"] and state.tuned_folder(j["fine_tuned_model"])]
        base = [(models.BUNDLED, 0, "system")] if models.bundled_file() else []
        all_ = [*base, *((j["fine_tuned_model"], j["finished_at"], "local") for j in tuned)]
        return [{"id": i, "object": "model", "created": c, "owned_by": o} for i, c, o in all_]

    @app.get("/v1/models", dependencies=dependencies)
    async def list_() -> dict[str, Any]:
        """List the bundled and the fine-tuned models."""
        return {"object": "list", "data": described()}

    @app.get("/v1/models/{id_:path}", dependencies=dependencies)
    async def retrieve(id_: str) -> dict[str, Any]:
        """Describe a model."""
        found = next((m for m in described() if m["id"] == id_), None)
        if found is None:
            raise ProtocolError(404, f"The model {id_!r} does not exist", param="model", code="model_not_found")
        return found

    @app.delete("/v1/models/{id_:path}", dependencies=dependencies)
    def delete(id_: str) -> dict[str, Any]:
        """Delete a fine-tuned model's weights."""
        folder = state.tuned_folder(id_)
        if folder is None:
            raise ProtocolError(404, f"The model {id_!r} is not a fine-tuned model here", param="model", code="model_not_found")
        shutil.rmtree(folder)
        answers.library.forget(id_)
        return {"id": id_, "object": "model", "deleted": True}


def _answers(app: FastAPI, state: State, answers: Answers, dependencies: list[Any]) -> None:
    async def loaded(name: str) -> models.Loaded:
        folder = state.tuned_folder(name)
        try:
            return await answers.load(name, folder)
        except (models.UnknownModel, OSError) as error:
            text = str(error).splitlines()[0]
            raise ProtocolError(
                404, f"The model {name!r} does not exist: {text}", param="model", code="model_not_found"
            ) from error

    def wanted(request: Sampling, tokens: list[int], most: int, model: models.Loaded) -> list[Wanted]:
        if request.stream:
            raise ProtocolError(400, "stream is not supported by this server", param="stream", code="unsupported_parameter")
        room = model.model.config.max_position_embeddings - len(tokens)
        if room < 1 or not tokens:
            message = f"The prompt has {len(tokens)} tokens; this model takes 1 to {model.model.config.max_position_embeddings}"
            raise ProtocolError(400, message, param="prompt", code="context_length_exceeded")
        temperature = 1.0 if request.temperature is None else request.temperature
        return [
            Wanted(
                tuple(tokens), min(most, room), temperature, request.top_p or 1.0, request.stops(),
                None if request.seed is None else request.seed + n,
            )
            for n in range(request.n or 1)
        ]  # fmt: skip

    def usage(prompts: list[list[int]], made: list[Made]) -> dict[str, int]:
        given, told = sum(map(len, prompts)), sum(len(m.tokens) for m in made)
        return {"prompt_tokens": given, "completion_tokens": told, "total_tokens": given + told}

    @app.post("/v1/completions", dependencies=dependencies)
    async def completions(request: CompletionRequest) -> dict[str, Any]:
        """Continue one prompt or several."""
        model = await loaded(request.model)
        given = request.prompt if isinstance(request.prompt, list) else [request.prompt]
        if given and isinstance(given[0], int):
            given = [given]
        prompts = [p if isinstance(p, list) else model.tokenizer(p, add_special_tokens=False)["input_ids"] for p in given]
        most = request.max_tokens or 16
        asked = [w for tokens in prompts for w in wanted(request, tokens, most, model)]
        made = await answers.complete(request.model, asked)
        choices = [{"index": n, "text": m.text, "finish_reason": m.finish, "logprobs": None} for n, m in enumerate(made)]
        return {
            "id": new_id("cmpl"),
            "object": "text_completion",
            "created": int(time.time()),
            "model": request.model,
            "choices": choices,
            "usage": usage(prompts, made),
        }

    @app.post("/v1/chat/completions", dependencies=dependencies)
    async def chat(request: ChatRequest) -> dict[str, Any]:
        """Answer a conversation."""
        model = await loaded(request.model)
        turns = [{"role": m.role, "content": m.text()} for m in request.messages]
        text = model.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        tokens = model.tokenizer(text, add_special_tokens=False)["input_ids"]
        most = request.max_completion_tokens or request.max_tokens or 1024
        made = await answers.complete(request.model, wanted(request, tokens, most, model))
        choices = [
            {
                "index": n,
                "message": {"role": "assistant", "content": m.text, "refusal": None},
                "finish_reason": m.finish,
                "logprobs": None,
            }
            for n, m in enumerate(made)
        ]
        return {
            "id": new_id("chatcmpl"),
            "object": "chat.completion",
            "created": int(time.time()),
            "model": request.model,
            "choices": choices,
            "usage": usage([tokens], made),
        }
