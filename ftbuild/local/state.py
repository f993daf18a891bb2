"""What the server remembers: files, fine-tuning jobs and their events, in SQLite; contents and models in plain files.

    state.db
    files/ID            uploaded files and result files
    jobs/ID/            what the training process reads and writes: job.json, rows.jsonl, checkpoint/, model/
    models/             weights of GGUF files, dequantised

Several servers may share a folder; a job belongs to the one that runs it, and may be taken over when that one is gone.
"""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_SCHEMA = """
create table if not exists files (id text primary key, created_at integer, filename text, purpose text, bytes integer);
create table if not exists jobs (
  id text primary key, created_at integer, status text, owner text, data text);
create table if not exists events (
  number integer primary key autoincrement, id text, job text, created_at integer, level text, type text, message text,
  data text);
create index if not exists events_of_job on events (job, number);
"""

FINAL = frozenset({"succeeded", "failed", "cancelled"})


def new_id(kind: str) -> str:
    """Return an id such as `file-…` or `ftjob-…`."""
    return f"{kind}-{secrets.token_hex(12)}"


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
        self._db.executescript(_SCHEMA)
        self.owner = f"{os.getpid()}:{_started(os.getpid())}"

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

    def add_file(self, content: bytes, filename: str, purpose: str) -> dict[str, Any]:
        """Keep a file's content under a new id and return what the protocol calls a file."""
        id_ = new_id("file")
        path = self.file_path(id_)
        aside = path.with_suffix(".new")
        aside.write_bytes(content)
        aside.replace(path)
        with self._transaction() as db:
            db.execute("insert into files values (?,?,?,?,?)", (id_, int(time.time()), filename, purpose, len(content)))
        return self.file(id_) or {}

    def file_path(self, id_: str) -> Path:
        """Return where a file's content lies.  Ids are ours; a name that a client gave never becomes a path."""
        return self.folder / "files" / id_

    def file(self, id_: str) -> dict[str, Any] | None:
        """Return a file by its id."""
        with self._lock:
            row = self._db.execute("select * from files where id = ?", (id_,)).fetchone()
        return _file(row) if row else None

    def files(self, purpose: str | None = None) -> list[dict[str, Any]]:
        """Return all files, the newest first."""
        with self._lock:
            rows = self._db.execute("select * from files order by created_at desc, rowid desc").fetchall()
        return [_file(r) for r in rows if purpose in (None, r["purpose"])]

    def delete_file(self, id_: str) -> bool:
        """Forget a file; say whether there was one."""
        with self._transaction() as db:
            found = db.execute("delete from files where id = ?", (id_,)).rowcount > 0
        if found:
            self.file_path(id_).unlink(missing_ok=True)
        return found

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

    def adopt(self, id_: str) -> bool:
        """Take over an unfinished job whose server is gone; say whether it was one."""
        with self._transaction() as db:
            row = db.execute("select status, owner from jobs where id = ?", (id_,)).fetchone()
            orphan = row["status"] not in FINAL and row["owner"] != self.owner and not _alive(row["owner"])
            if orphan:
                db.execute("update jobs set owner = ? where id = ?", (self.owner, id_))
        return orphan

    def tuned_folder(self, model: str) -> Path | None:
        """Return where the weights of a fine-tuned model lie."""
        job = next((j for j in self.jobs() if j["fine_tuned_model"] == model and j["status"] == "succeeded"), None)
        folder = self.job_folder(job["id"]) / "model" if job else None
        return folder if folder and folder.is_dir() else None

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

    def events(self, job: str) -> list[dict[str, Any]]:
        """Return a job's events, the newest first."""
        with self._lock:
            rows = self._db.execute("select * from events where job = ? order by number desc", (job,)).fetchall()
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
        "status": "processed",
        "status_details": None,
    }


def _started(pid: int) -> str:
    """Return when a process started, so that a number that was given out again is not mistaken for it; empty off Linux."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def _alive(owner: str) -> bool:
    pid, _, started = owner.partition(":")
    try:
        os.kill(int(pid), 0)
    except (OSError, ValueError):
        return False
    return _started(int(pid)) == started
