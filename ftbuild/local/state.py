"""What the server remembers: files, fine-tuning jobs and their events, in SQLite; contents and models in plain files.

    state.db
    files/ID            uploaded files and result files
    jobs/ID/            what the training process reads and writes: job.json, rows.jsonl, checkpoint/, model/
    models/             weights of GGUF files, dequantised

Several servers may share a folder; a job belongs to the one that runs it, and may be taken over when that one is gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_SCHEMA = """
create table if not exists files (id text primary key, created_at integer, filename text, purpose text, bytes integer);
create table if not exists checkpoints (
  id text primary key, job text, created_at integer, step integer, model text, folder text, metrics text);
create table if not exists jobs (
  id text primary key, created_at integer, status text, owner text, data text);
create table if not exists events (
  number integer primary key autoincrement, id text, job text, created_at integer, level text, type text, message text,
  data text);
create index if not exists events_of_job on events (job, number);
"""

_ADDED = {"files": {"expires_at": "integer", "deleted": "integer default 0", "kind": "text", "rows": "integer"}}
"""Columns that came later."""

_FILES = """
select * from files where not deleted and (expires_at is null or expires_at > :now)
  and (:id is null or id = :id) and (:purpose is null or purpose = :purpose)
  and (:place is null or rowid * :sign > :place * :sign)
order by rowid * :sign limit :limit
"""

_EVENTS = "select * from events where job = :job and (:place is null or number < :place) order by number desc limit :limit"

_LONG_AGO = 3600.0  # seconds

FINAL = frozenset({"succeeded", "failed", "cancelled"})


def new_id(kind: str) -> str:
    """Return an id such as `file-…` or `ftjob-…`."""
    return f"{kind}-{secrets.token_hex(12)}"


class UnknownCursor(Exception):
    """A page is to begin after something that is not there."""


class State:
    """The server's memory.  Methods may be called from any thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("files", "jobs", "models"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._db = sqlite3.connect(folder / "state.db", check_same_thread=False, timeout=30, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.execute("pragma journal_mode=wal")
        self._db.execute("pragma synchronous=normal")  # a killed process loses nothing
        self._db.executescript(_SCHEMA)
        self._add_columns()
        self.owner = f"{os.getpid()}:{_started(os.getpid())}"

    def _add_columns(self) -> None:
        for table, columns in _ADDED.items():
            there = {row["name"] for row in self._db.execute(f"pragma table_info({table})")}
            for name in set(columns) - there:
                with contextlib.suppress(sqlite3.OperationalError):  # another server was first
                    self._db.execute(f"alter table {table} add column {name} {columns[name]}")

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._db.execute("begin immediate")
            try:
                yield self._db
            except BaseException:
                self._db.execute("rollback")
                raise
            self._db.execute("commit")

    # ---- files ----

    def add_file(
        self,
        content: bytes | Path,
        filename: str,
        purpose: str,
        *,
        expires_at: int | None = None,
        kind: str | None = None,
        rows: int | None = None,
    ) -> dict[str, Any]:
        """Keep a file's content, or a file that is moved here, under a new id; return what the protocol calls a file.

        `kind` and `rows` say what the rows of a training file are, and how many.
        """
        id_ = new_id("file")
        path = self.file_path(id_)
        aside = self.upload_path() if isinstance(content, bytes) else content
        try:
            if isinstance(content, bytes):
                aside.write_bytes(content)
            size = aside.stat().st_size
            aside.replace(path)
            row = (id_, int(time.time()), filename, purpose, size, expires_at, kind, rows)
            with self._transaction() as db:
                db.execute(
                    "insert into files (id, created_at, filename, purpose, bytes, expires_at, kind, rows)"
                    " values (?,?,?,?,?,?,?,?)",
                    row,
                )
        except BaseException:
            for left in (aside, path):
                left.unlink(missing_ok=True)
            raise
        return self.file(id_) or {}

    def upload_path(self) -> Path:
        """Return a new path for content that is on its way to become a file."""
        return self.folder / "files" / f".{os.getpid()}-{secrets.token_hex(8)}.new"

    def file_path(self, id_: str) -> Path:
        """Return where a file's content lies.  Ids are ours; a name that a client gave never becomes a path."""
        return self.folder / "files" / id_

    def file(self, id_: str) -> dict[str, Any] | None:
        """Return a file by its id."""
        row = self._file_row(id_)
        return _file(row) if row else None

    def rows_of(self, id_: str) -> tuple[str, int] | None:
        """Return the kind of a training file's rows and their number, if it was checked when it came."""
        row = self._file_row(id_)
        return (row["kind"], row["rows"]) if row and row["kind"] else None

    def _file_row(self, id_: str) -> sqlite3.Row | None:
        return next(iter(self._file_rows(id=id_)), None)

    def _file_rows(self, **wanted: Any) -> list[sqlite3.Row]:
        known = {"now": time.time(), "id": None, "purpose": None, "place": None, "sign": -1, "limit": -1}
        with self._lock:
            return self._db.execute(_FILES, known | wanted).fetchall()

    def _place(self, query: str, *values: str) -> int:
        with self._lock:
            row = self._db.execute(query, values).fetchone()
        if row is None:
            raise UnknownCursor(values[0])
        return int(row[0])

    def files(
        self, purpose: str | None = None, *, after: str | None = None, limit: int = -1, order: str = "desc"
    ) -> list[dict[str, Any]]:
        """Return files, the newest first or the oldest, those after the file `after`; UnknownCursor if that never was."""
        place = self._place("select rowid from files where id = ?", after) if after is not None else None
        rows = self._file_rows(purpose=purpose, place=place, sign=1 if order == "asc" else -1, limit=limit)
        return [_file(r) for r in rows]

    def delete_file(self, id_: str) -> bool:
        """Forget a file; say whether there was one.  What is left is its place, for those who read the list page by page."""
        with self._transaction() as db:
            found = db.execute("update files set deleted = 1 where id = ? and not deleted", (id_,)).rowcount > 0
        if found:
            self.file_path(id_).unlink(missing_ok=True)
        return found

    def forget_expired(self) -> None:
        """Remove the content of files whose time is over."""
        with self._transaction() as db:
            query = "select id from files where not deleted and expires_at <= ?"
            gone = [row["id"] for row in db.execute(query, (time.time(),)).fetchall()]
            db.executemany("update files set deleted = 1 where id = ?", [(id_,) for id_ in gone])
        for id_ in gone:
            self.file_path(id_).unlink(missing_ok=True)

    def tidy(self) -> None:
        """Remove what expired, and what requests left that were cut off by the end of their server."""
        self.forget_expired()
        for left in (self.folder / "files").glob(".*.new"):
            if not _runs(left.name.strip(".").partition("-")[0]):
                left.unlink(missing_ok=True)
        known = {job["id"] for job in self.jobs()}
        for folder in (self.folder / "jobs").iterdir():
            if folder.name not in known and time.time() - folder.stat().st_mtime > _LONG_AGO:
                shutil.rmtree(folder, ignore_errors=True)

    # ---- jobs ----

    def job_folder(self, id_: str) -> Path:
        """Return the folder that a job's training process works in."""
        return self.folder / "jobs" / id_

    def add_job(self, job: Mapping[str, Any]) -> None:
        """Add a job, owned by this server."""
        with self._transaction() as db:
            db.execute(
                "insert into jobs values (?,?,?,?,?)",
                (job["id"], job["created_at"], job["status"], self.owner, json.dumps(job)),
            )

    def job(self, id_: str) -> dict[str, Any] | None:
        """Return a job by its id, as the protocol describes it."""
        with self._lock:
            row = self._db.execute("select data from jobs where id = ?", (id_,)).fetchone()
        return json.loads(row["data"]) if row else None

    def jobs(self) -> list[dict[str, Any]]:
        """Return all jobs, the newest first."""
        with self._lock:
            rows = self._db.execute("select data from jobs order by created_at desc, rowid desc").fetchall()
        return [json.loads(r["data"]) for r in rows]

    def update_job(self, id_: str, **changes: Any) -> dict[str, Any]:
        """Change fields of a job.  A job that has ended does not change any more."""
        with self._transaction() as db:
            row = db.execute("select data from jobs where id = ?", (id_,)).fetchone()
            job: dict[str, Any] = json.loads(row["data"])
            if job["status"] not in FINAL:
                job |= changes
                db.execute("update jobs set status = ?, data = ? where id = ?", (job["status"], json.dumps(job), id_))
        return job

    def advance(self, id_: str, *before: str, **changes: Any) -> bool:
        """Change fields of a job if its status is one of `before`, and say whether it was."""
        with self._transaction() as db:
            row = db.execute("select data from jobs where id = ?", (id_,)).fetchone()
            job: dict[str, Any] = json.loads(row["data"]) if row else {"status": ""}
            if found := job["status"] in before:
                job |= changes
                db.execute("update jobs set status = ?, data = ? where id = ?", (job["status"], json.dumps(job), id_))
        return found

    def adopt(self, id_: str) -> bool:
        """Take over an unfinished job whose server is gone; say whether it was one."""
        with self._transaction() as db:
            row = db.execute("select status, owner from jobs where id = ?", (id_,)).fetchone()
            orphan = row["status"] not in FINAL and row["owner"] != self.owner and not _alive(row["owner"])
            if orphan:
                db.execute("update jobs set owner = ? where id = ?", (self.owner, id_))
        return orphan

    def orphans(self) -> list[str]:
        """Return the unfinished jobs whose server is gone, in the order in which they were created."""
        with self._lock:
            rows = self._db.execute("select id, status, owner from jobs order by created_at, rowid").fetchall()
        return [r["id"] for r in rows if r["status"] not in FINAL and r["owner"] != self.owner and not _alive(r["owner"])]

    def tuned_folder(self, model: str) -> Path | None:
        """Return where the weights of a fine-tuned model, or of a checkpoint on the way to one, lie."""
        if not model.startswith("ft:"):
            return None
        with self._lock:
            row = self._db.execute("select job, folder from checkpoints where model = ?", (model,)).fetchone()
        if row:
            folder = self.job_folder(row["job"]) / row["folder"]
        else:
            job = next((j for j in self.jobs() if j["fine_tuned_model"] == model and j["status"] == "succeeded"), None)
            if job is None:
                return None
            folder = self.job_folder(job["id"]) / "model"
        return folder if folder.is_dir() else None

    def add_checkpoint(self, job: str, step: int, model: str, folder: str, metrics: Mapping[str, Any]) -> None:
        """Add a checkpoint of a job, whose weights lie in `folder` inside the job's folder; one of the same step goes."""
        row = (new_id("ftckpt"), job, int(time.time()), step, model, folder, json.dumps(metrics))
        with self._transaction() as db:
            db.execute("delete from checkpoints where job = ? and step = ?", (job, step))
            db.execute("insert into checkpoints values (?,?,?,?,?,?,?)", row)

    def checkpoints(self, job: str) -> list[dict[str, Any]]:
        """Return a job's checkpoints, the newest first."""
        with self._lock:
            rows = self._db.execute("select * from checkpoints where job = ? order by step desc", (job,)).fetchall()
        return [
            {
                "object": "fine_tuning.job.checkpoint",
                "id": r["id"],
                "created_at": r["created_at"],
                "fine_tuned_model_checkpoint": r["model"],
                "fine_tuning_job_id": job,
                "metrics": json.loads(r["metrics"]),
                "step_number": r["step"],
            }
            for r in rows
        ]

    # ---- events ----

    def add_event(
        self,
        job: str,
        message: str,
        *,
        level: str = "info",
        type_: str = "message",
        data: Mapping[str, Any] | None = None,
    ) -> None:
        """Add an event to a job."""
        with self._transaction() as db:
            db.execute(
                "insert into events (id, job, created_at, level, type, message, data) values (?,?,?,?,?,?,?)",
                (new_id("ftevent"), job, int(time.time()), level, type_, message, json.dumps(data or {})),
            )

    def last_step(self, job: str) -> int:
        """Return the last step of which there is an event."""
        query = "select max(json_extract(data, '$.step')) from events where job = ? and type = 'metrics'"
        with self._lock:
            return int(self._db.execute(query, (job,)).fetchone()[0] or 0)

    def events(self, job: str, *, after: str | None = None, limit: int = -1) -> list[dict[str, Any]]:
        """Return a job's events, the newest first, those after the event `after`; UnknownCursor if that is none of them."""
        known = "select number from events where id = ? and job = ?"
        place = self._place(known, after, job) if after is not None else None
        with self._lock:
            rows = self._db.execute(_EVENTS, {"job": job, "place": place, "limit": limit}).fetchall()
        return [
            {
                "object": "fine_tuning.job.event",
                "id": r["id"],
                "created_at": r["created_at"],
                "level": r["level"],
                "message": r["message"],
                "type": r["type"],
                "data": json.loads(r["data"]),
            }
            for r in rows
        ]


def _file(row: sqlite3.Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "object": "file",
        "bytes": row["bytes"],
        "created_at": row["created_at"],
        "filename": row["filename"],
        "purpose": row["purpose"],
        "expires_at": row["expires_at"],
        "status": "processed",
        "status_details": None,
    }


def _started(pid: int) -> str:
    """Return when a process started, so that a number that was given out again is not mistaken for it; empty off Linux."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def _runs(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except PermissionError:
        return True
    except (OSError, ValueError):
        return False
    return True


def _alive(owner: str) -> bool:
    pid, _, started = owner.partition(":")
    return _runs(pid) and _started(int(pid)) == started
