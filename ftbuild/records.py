"""The records that flow between stages, one JSON object a line.

    Document → Section → Chunk → Pair → Row, and Answer for what the models say to the probes

Every record carries where it came from, all the way to the training row.  A field called `id` is stable: it depends on the
record's content and origin, never on the order of work.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Document:
    """A text as its source gave it.  `meta` holds url, revision, timestamp, licence and attribution where there are any."""

    id: str
    title: str
    text: str
    format: str = "text"
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Section:
    """The clean text below one heading, without the sections inside it.  `path` lists the headings from the top.

    It was made from the characters `start` to `end` of the clean document, of the given `revision`, if that is known.  Of one
    that was too long for a request, this is the part `part` of `parts`, counted from 1.
    """

    id: str
    document: str
    title: str
    path: tuple[str, ...]
    text: str
    start: int = 0
    end: int = 0
    revision: str = ""
    part: int = 1
    parts: int = 1


@dataclass(frozen=True)
class Origin:
    """Where a pair comes from: document, heading path, template (or kind of row) and its digest, request, line of the reply.

    `start` and `end` are the characters of the clean document, in its `revision`, that the pair was made from.
    """

    document: str = ""
    path: tuple[str, ...] = ()
    template: str = ""
    template_digest: str = ""
    request: str = ""
    line: int = 0
    passage: str = ""
    revision: str = ""
    start: int = 0
    end: int = 0

    @classmethod
    def of(cls, section: Section, *, passage: str = "") -> Origin:
        """Return the origin of what is made from a section, or from a passage of it."""
        return cls(section.document, section.path, "", "", "", 0, passage, section.revision, section.start, section.end)


@dataclass(frozen=True)
class Pair:
    """A question and its answer, or whatever else a model is to complete."""

    id: str
    prompt: str
    completion: str
    origin: Origin = field(default_factory=Origin)


@dataclass(frozen=True)
class Rejected:
    """Something that did not become training data: why, and the raw text of it."""

    reason: str
    raw: str
    origin: Origin = field(default_factory=Origin)


@dataclass(frozen=True)
class Answer:
    """What a model said to a probe, and whether that is right."""

    probe: str
    question: str
    answer: str
    right: bool
    why: str
    score: float


def write_jsonl(path: Path, records: Iterable[Any]) -> int:
    """Write records, one a line, and return how many there were."""
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for record in records:
            file.write(line(record))
            count += 1
    return count


def line(record: Any) -> str:
    """Return a record as a line of JSON."""
    return json.dumps(record, ensure_ascii=False, default=_plain) + "\n"


def _plain(record: Any) -> dict[str, Any]:
    """Return a record's fields; `json` asks for those of a record inside it by itself, and copies nothing."""
    return {f.name: getattr(record, f.name) for f in fields(record)}


def read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a JSON Lines file."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def read_documents(path: Path) -> Iterator[Document]:
    """Yield the documents of a file written by `write_jsonl`."""
    return (Document(**data) for data in read_jsonl(path))


def read_sections(path: Path) -> Iterator[Section]:
    """Yield the sections of a file written by `write_jsonl`."""
    return (Section(**{**data, "path": tuple(data["path"])}) for data in read_jsonl(path))


def read_pairs(path: Path) -> Iterator[Pair]:
    """Yield the pairs of a file written by `write_jsonl`."""
    return (Pair(**{**data, "origin": _origin(data["origin"])}) for data in read_jsonl(path))


def read_rejected(path: Path) -> Iterator[Rejected]:
    """Yield the rejects of a file written by `write_jsonl`."""
    return (Rejected(**{**data, "origin": _origin(data["origin"])}) for data in read_jsonl(path))


def _origin(data: Mapping[str, Any]) -> Origin:
    return Origin(**{**data, "path": tuple(data["path"])})
