"""The server process: `python -m ftbuild.local.serve FOLDER`, for a build that holds its stdin.

The key comes in the environment (`FTBUILD_LOCAL_KEY`).  Once it listens, it prints its port on stdout.  When its stdin
closes, because the build ended, was killed or lost its machine's power cord, it stops the training process and ends.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import NoReturn

import uvicorn

from ftbuild.local.app import create_app


def main() -> NoReturn:
    """Serve on a free loopback port until stdin closes."""
    folder = Path(sys.argv[1])
    key = os.environ.pop("FTBUILD_LOCAL_KEY")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the build closes our stdin
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        create_app(folder, key), log_level="warning", access_log=False, lifespan="on", timeout_graceful_shutdown=2
    )
    server = uvicorn.Server(config)
    server.capture_signals = _no_signals  # type: ignore[method-assign, assignment]

    def watch() -> None:
        while sys.stdin.buffer.read(1):
            pass
        server.should_exit = True

    async def serve() -> None:
        threading.Thread(target=watch, daemon=True).start()
        task = asyncio.create_task(server.serve(sockets=[listening]))
        while not server.started and not task.done():  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # uvicorn has no event to wait for
        if server.started:
            print(json.dumps({"port": listening.getsockname()[1]}), flush=True)  # noqa: T201 - the build reads this
        await task

    asyncio.run(serve())
    sys.stdout.flush()
    os._exit(0)  # and do not wait for the engine, which may still be at an answer that nobody reads any more


def _no_signals() -> object:
    import contextlib

    return contextlib.nullcontext()


if __name__ == "__main__":
    main()
