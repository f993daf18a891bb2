"""Start the embedded server for a build, and stop it with the build, however that ends.

The server's stdin is a pipe that this process holds: when this process is gone, the pipe closes and the server goes too.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from ftbuild.errors import ConfigError, FtbuildError
from ftbuild.local.models import BUNDLED

_NEEDS = ("torch", "transformers", "fastapi", "uvicorn", "multipart", "safetensors", "gguf", "llguidance")
_PATIENCE = 45.0  # seconds for a training process to write its checkpoint, and for the server to end

ENVIRONMENT = {
    # Tensors come and go at every step.  Left alone, the C library returns their pages to the system each time and faults
    # them in again, which costs a quarter of the training time.
    "MALLOC_MMAP_THRESHOLD_": "1073741824",
    "MALLOC_TRIM_THRESHOLD_": "2147483648",
    # A thread that waits for the others by spinning takes the processor from them where there are more processes than cores.
    "OMP_WAIT_POLICY": "PASSIVE",
    "TOKENIZERS_PARALLELISM": "false",
}


@dataclass(frozen=True)
class Server:
    """A running server: where it listens, and the key that it wants."""

    base_url: str
    api_key: str

    def __repr__(self) -> str:
        return f"Server({self.base_url!r}, api_key=…)"


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Server]:
    """Run a server on a free loopback port with a random key, its state in `folder`.

    ConfigError if the packages of the `local` extra are missing; FtbuildError if it does not come up.
    """
    _need_packages()
    folder.mkdir(parents=True, exist_ok=True)
    key = f"sk-local-{secrets.token_urlsafe(24)}"
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "ftbuild.local.serve", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**ENVIRONMENT, **os.environ, "FTBUILD_LOCAL_KEY": key},
        )
        try:
            yield Server(f"http://127.0.0.1:{_port(process, errors)}/v1", key)
        finally:
            _stop(process)


def become(
    folder: Path, listening: socket.socket, key: str, welcome: Callable[[str], None], *, threads: int, memory: int, log: str
) -> NoReturn:
    """Turn this process into a server that stands on its own, with its state in `folder`, on a socket that listens already.

    What must be in the environment before Python starts is why it is another program.  ConfigError if packages are missing.
    """
    _need_packages()
    welcome(BUNDLED)
    listening.set_inheritable(True)
    settings = {"folder": str(folder), "memory": memory, "log": log, "socket": listening.fileno()}
    given = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)} if threads else {}
    environment = {**ENVIRONMENT, **os.environ, **given, "FTBUILD_LOCAL_KEY": key}
    environment.pop("FTBUILD_API_KEY", None)
    command = [sys.executable, "-m", "ftbuild.local.standing", json.dumps(settings)]
    os.execve(command[0], command, environment)  # noqa: S606 - this Python itself


def _need_packages() -> None:
    missing = [name for name in _NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"the embedded provider needs packages that are not installed: {', '.join(missing)}",
            hint="pip install 'ftbuild[local]', or choose another provider, such as provider=openai",
        )


def _port(process: subprocess.Popen[bytes], errors: object) -> int:
    assert process.stdout is not None
    line = process.stdout.readline()
    if line:
        return int(json.loads(line)["port"])
    process.wait()
    errors.seek(0)  # type: ignore[attr-defined]
    words = errors.read().decode(errors="replace").strip().splitlines()  # type: ignore[attr-defined]
    raise FtbuildError(f"the embedded server did not start: {words[-1] if words else f'code {process.returncode}'}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    with contextlib.suppress(OSError):
        process.stdin.close()
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
