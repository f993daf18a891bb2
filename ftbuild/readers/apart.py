"""A process apart for what may take all the time and memory that there is: it gets so much of both, and one file after another.

In: the bytes of a file.  Out: its document, or a SourceError, also where the process was ended because it passed a limit; the
next file gets a new one.  The limits are of the kernel's, in seconds of CPU time for each step that the reader tells of and
bytes of memory: a busy machine does not make a document bad.

Messages are a length in eight bytes, and JSON or the file itself.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import struct
import subprocess
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, Literal

from ftbuild.errors import FtbuildError, SourceError
from ftbuild.records import Document

SECONDS = 1.5
MEMORY = 1_000_000_000

_LOCK = threading.Lock()
_RUNNING: list[subprocess.Popen[bytes]] = []


def apart(kind: Literal["docx", "pdf"], data: bytes, name: str) -> Document:
    """Return the document of a file, read in a process apart.  SourceError if it cannot be read, or not within the limits."""
    with _LOCK:
        process = _process()
        assert process.stdin
        assert process.stdout
        doing = "the file"
        try:
            _send(process.stdin, kind.encode())
            _send(process.stdin, name.encode())
            _send(process.stdin, data)
            while (message := _receive(process.stdout)) is not None:
                told = json.loads(message)
                if "doing" in told:
                    doing = told["doing"]
                elif "error" in told:
                    raise SourceError(told["error"], hint=told["hint"])  # noqa: TRY301 - it is what the file is
                else:
                    return Document(**told["document"])
        except BrokenPipeError:
            pass
        except BaseException as error:
            if not isinstance(error, SourceError):
                _end()  # it may be in the middle of an answer
            raise
        _end()
    limits = f"{MEMORY / 1e9:g} GB of memory"
    raise SourceError(f"{name}: {doing} takes too long, or more than {limits}, or breaks its reader", hint="is it damaged?")


def _process() -> subprocess.Popen[bytes]:
    if not _RUNNING or _RUNNING[0].poll() is not None:
        _RUNNING.clear()
        home = str(Path(__file__).resolve().parents[2])
        paths = os.pathsep.join(filter(None, (home, os.environ.get("PYTHONPATH", ""))))
        _RUNNING.append(
            subprocess.Popen(
                [sys.executable, "-m", "ftbuild.readers.apart"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": paths},
                start_new_session=True,
            )
        )
    return _RUNNING[0]


def _end() -> None:
    """End the process, if it has not ended by itself."""
    for process in _RUNNING:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe:
                with contextlib.suppress(OSError):
                    pipe.close()
    _RUNNING.clear()


def _send(to: IO[bytes], message: bytes) -> None:
    to.write(struct.pack(">Q", len(message)))
    to.write(message)
    to.flush()


def _receive(from_: IO[bytes]) -> bytes | None:
    """Return the next message, or None if there is none any more."""
    head = from_.read(8)
    if len(head) < 8:  # noqa: PLR2004
        return None
    (length,) = struct.unpack(">Q", head)
    message = from_.read(length)
    return message if len(message) == length else None


def main() -> None:
    """Read file after file, until nobody asks any more."""
    import resource
    import signal

    into, from_ = os.fdopen(os.dup(1), "wb"), os.fdopen(os.dup(0), "rb")
    os.dup2(2, 1)  # whatever else prints, does not print into an answer
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    def answer(told: Any) -> None:
        _send(into, json.dumps(told).encode())

    def alive(doing: str, more: float = 0.0) -> None:
        signal.setitimer(signal.ITIMER_PROF, SECONDS + more)  # when it has run for so long, the signal ends this process
        answer({"doing": doing})

    while (kind := _receive(from_)) is not None:
        name, data = _receive(from_), _receive(from_)
        if name is None or data is None:
            return
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY + len(data), resource.RLIM_INFINITY))
        try:
            reader = importlib.import_module(f"ftbuild.readers.{kind.decode()}file")
            answer({"document": asdict(reader.read(data, name.decode(), alive))})
        except FtbuildError as error:
            answer({"error": error.message, "hint": error.hint})
        except Exception as error:  # noqa: BLE001 - it is the file's fault, and it is named
            told = f"{type(error).__name__}: {str(error).partition(chr(10))[0][:200]}"
            answer({"error": f"{name.decode()}: cannot be read as {kind.decode()}: {told}", "hint": "is it damaged?"})


if __name__ == "__main__":
    main()
