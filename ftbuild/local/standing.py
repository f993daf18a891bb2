"""The server process of `ftbuild serve`: `python -m ftbuild.local.standing SETTINGS`, which stands on its own.

In: settings as JSON (`folder`, `models`, `log`, and `socket`, the number of a socket that listens already); the key in the
environment (`FTBUILD_LOCAL_KEY`).  It goes on at once with jobs that servers before it left unfinished, and ends with Ctrl-C or
SIGTERM, when the training process has written its checkpoint; the second time at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import sqlite3
import sys
from pathlib import Path
from typing import NoReturn


def main() -> NoReturn:
    """Serve until somebody ends it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until there is something to end in good order
    import uvicorn

    from ftbuild.local.app import create_app

    settings = json.loads(sys.argv[1])
    key = os.environ.pop("FTBUILD_LOCAL_KEY")
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    try:
        app = create_app(Path(settings["folder"]), key, recover=True, memory=settings["memory"], log=settings["log"])
    except (OSError, sqlite3.Error) as error:
        print(f"error: cannot use the state in {settings['folder']}: {error}", file=sys.stderr)  # noqa: T201
        raise SystemExit(1) from None
    server = uvicorn.Server(
        uvicorn.Config(app, log_level="error", access_log=False, lifespan="on", timeout_graceful_shutdown=2)
    )
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign, assignment]

    def end() -> None:
        server.force_exit = server.should_exit
        server.should_exit = True

    async def run() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, end)
        await server.serve(sockets=[socket.socket(fileno=settings["socket"])])

    asyncio.run(run())
    sys.stdout.flush()
    os._exit(0)  # and do not wait for the engine, which may still be at an answer that nobody reads any more


if __name__ == "__main__":
    main()
