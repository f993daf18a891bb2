"""Digests of values and files: the identity of everything that a stage reads or writes.

A value is hashed as a tagged tree, so that `1`, `"1"`, `True` and `[1]` all differ and no two structures collide by the way
they are written down: every node is `tag length : payload`, mappings are sorted by key, dataclasses carry their name.  Fields
marked `identity=False` are left out; of those marked `ordered`, the order of the entries counts too.  Digests are 64
lower-case hexadecimal digits (SHA-256).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from ftbuild.registry import Use

ORDER = "(order)"
"""The entry that tells the order of a mapping's other entries, where that matters."""


def digest(value: Any) -> str:
    """Return the digest of a plain value, a dataclass or a structure of them.  TypeError for anything else."""
    return hashlib.sha256(_encode(value)).hexdigest()


def digest_bytes(data: bytes) -> str:
    """Return the SHA-256 of some bytes."""
    return hashlib.sha256(data).hexdigest()


def digest_file(path: Path) -> str:
    """Return the SHA-256 of a file's content, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def identity(value: Any) -> Any:
    """Return `value` as plain JSON data without the fields that have no part in its identity."""
    if isinstance(value, Use):
        return {value.noun: value.name, **{k: identity(v) for k, v in sorted(value.identity.items())}}
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: part(value, f.name) for f in fields(value) if f.metadata.get("identity", True)}
    if isinstance(value, Mapping):
        return {str(k): identity(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [identity(v) for v in value]
    return value


def part(value: Any, name: str) -> Any:
    """Return the identity of one field of a dataclass.  Where the order of a mapping counts, it is told among its entries."""
    plain = identity(getattr(value, name))
    ordered = type(value).__dataclass_fields__[name].metadata.get("ordered", False)
    return {**plain, ORDER: list(plain)} if ordered and len(plain) > 1 else plain


def _encode(value: Any) -> bytes:
    if isinstance(value, str):  # most of what there is
        data = value.encode()
        return b"s%d:%b" % (len(data), data)
    match value:
        case None:
            return _node("n", b"")
        case bool():
            return _node("b", b"1" if value else b"0")
        case int():
            return _node("i", str(value).encode())
        case float():
            return _node("f", value.hex().encode())
        case bytes():
            return _node("y", value)
        case list() | tuple():
            return _node("l", b"".join(map(_encode, value)))
        case Use():
            return _node("u", _encode([value.noun, value.name, value.identity]))
        case Mapping():
            items = sorted((str(k), v) for k, v in value.items())
            return _node("m", b"".join(_encode(k) + _encode(v) for k, v in items))
    if is_dataclass(value) and not isinstance(value, type):
        kept = {f.name: getattr(value, f.name) for f in fields(value) if f.metadata.get("identity", True)}
        return _node("d", _encode(type(value).__name__) + _encode(kept))
    raise TypeError(f"a {type(value).__name__} has no digest")


def _node(tag: str, payload: bytes) -> bytes:
    return b"%b%d:%b" % (tag.encode(), len(payload), payload)
