"""Rows that a Python function makes, one for each line of a word list: no teacher is asked."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

from ftbuild.digest import digest
from ftbuild.errors import ConfigError, SourceError
from ftbuild.paths import find_file
from ftbuild.records import Origin, Pair
from ftbuild.registries import SOURCES
from ftbuild.sources.file import read_text


def load(reference: str) -> Callable[[str], Any]:
    """Return the function that `functions/file.py:name` names.  ConfigError if there is none."""
    file, _, name = reference.rpartition(":")
    if not file or not name:
        raise ConfigError(f"{reference!r} names no function", hint="write it as functions/my_rows.py:my_function")
    path = find_file(file)
    module = types.ModuleType(f"ftbuild_user_{path.stem}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # dataclasses look for their module there
    try:
        exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)  # noqa: S102 - an import would leave a cache behind
    except Exception as error:
        raise SourceError(f"{file}: {type(error).__name__}: {error}") from error
    function = getattr(module, name, None)
    if not callable(function):
        raise ConfigError(f"{file} has no function {name!r}")
    return function  # type: ignore[no-any-return]


@SOURCES("function", files=("function", "items"))
def function(*, function: str, items: str) -> Iterator[Pair]:
    """Call a function of the user's own with each line of a text file; it returns the answer to that line."""
    call = load(function)
    for number, line in enumerate(read_text(find_file(items)).splitlines(), start=1):
        item = line.strip()
        if not item or item.startswith("#"):
            continue
        try:
            answer = str(call(item))
        except Exception as error:
            raise SourceError(f"{items}:{number}: {function} failed on {item!r}: {type(error).__name__}: {error}") from error
        origin = Origin(document=items, template=function, line=number)
        yield Pair(digest([function, item, answer])[:16], item, answer, origin)
