"""What the server remembers of batches, in the state's database; their answers so far, in plain files beside it.

    batches/ID/output.jsonl, errors.jsonl     a line for each request that was answered, or could not be

A batch belongs to the server that runs it, and is taken over by another one when that is gone.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ftbuild.local.state import State, _alive

FINAL = frozenset({"completed", "failed", "expired", "cancelled"})
_SCHEMA = """
create table if not exists batches (
  number integer primary key autoincrement, id text unique, status text, owner text, data text);
"""


class BatchBook:
    """All batches.  Methods may be called from any thread."""

    def __init__(self, state: State) -> None:
        self._folder, self._owner = state.folder / "batches", state.owner
        self._folder.mkdir(exist_ok=True)
        self._lock = threading.RLock()
        self._db = sqlite3.connect(state.folder / "state.db", check_same_thread=False, timeout=30, isolation_level=None)
        self._db.executescript(_SCHEMA)

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

    def folder(self, id_: str) -> Path:
        """Return where a batch's answers so far lie."""
        return self._folder / id_

    def add(self, batch: Mapping[str, Any]) -> None:
        """Add a batch, owned by this server."""
        self.folder(batch["id"]).mkdir()
        with self._transaction() as db:
            row = (batch["id"], batch["status"], self._owner, json.dumps(batch))
            db.execute("insert into batches (id, status, owner, data) values (?,?,?,?)", row)

    def get(self, id_: str) -> dict[str, Any] | None:
        """Return a batch by its id, as the protocol describes it."""
        with self._lock:
            row = self._db.execute("select data from batches where id = ?", (id_,)).fetchone()
        return json.loads(row[0]) if row else None

    def all(self) -> list[dict[str, Any]]:
        """Return all batches, the newest first."""
        with self._lock:
            rows = self._db.execute("select data from batches order by number desc").fetchall()
        return [json.loads(row[0]) for row in rows]

    def update(self, id_: str, **changes: Any) -> dict[str, Any]:
        """Change fields of a batch.  One that has ended does not change any more, one that is cancelled is not begun."""
        with self._transaction() as db:
            row = db.execute("select data from batches where id = ?", (id_,)).fetchone()
            batch: dict[str, Any] = json.loads(row[0])
            onwards = changes.get("status") not in ("in_progress", "finalizing")
            if batch["status"] not in FINAL and (batch["status"] != "cancelling" or onwards):
                batch |= changes
                db.execute("update batches set status = ?, data = ? where id = ?", (batch["status"], json.dumps(batch), id_))
        return batch

    def adopt(self) -> list[str]:
        """Take over the unfinished batches whose servers are gone; return them, the oldest first."""
        adopted = []
        with self._transaction() as db:
            for id_, status, owner in db.execute("select id, status, owner from batches order by number").fetchall():
                if status not in FINAL and owner != self._owner and not _alive(owner):
                    db.execute("update batches set owner = ? where id = ?", (self._owner, id_))
                    adopted.append(id_)
        return adopted
