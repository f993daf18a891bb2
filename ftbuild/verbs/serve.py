"""`ftbuild serve`: the embedded provider on its own, for anybody's OpenAI client."""

from __future__ import annotations

import ipaddress
import os
import secrets
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from ftbuild.errors import ConfigError
from ftbuild.words import none

if TYPE_CHECKING:
    from ftbuild.cli import Arguments
    from ftbuild.console import Console

KEY = "FTBUILD_API_KEY"
_LOGS = ("requests", "bodies", "none")
_EXAMPLE = """\
  from openai import OpenAI
  client = OpenAI(base_url="{url}", api_key={key})
  rows = client.files.create(file=open("rows.jsonl", "rb"), purpose="fine-tune")
  job = client.fine_tuning.jobs.create(model="{model}", training_file=rows.id)

  curl {url}/models -H "Authorization: Bearer {shell}"
"""


def serve(arguments: Arguments, console: Console) -> int:
    """Serve OpenAI's protocol on this machine: fine-tune open-weight models, and ask them, with anybody's OpenAI client.

    ftbuild serve [host=127.0.0.1] [port=8000] [store=DIRECTORY] [threads=N] [memory=GB] [log=requests|bodies|none] [--json]

    The key that clients need is taken from the environment variable FTBUILD_API_KEY; without one, a key is made and shown
    once.  Beyond this machine (host=0.0.0.0) nothing is served without a key from the environment.
    `threads` is for the processor, `memory` how many gigabytes models may take (half of the machine's, unless told), `log`
    what goes to stderr: a line for each request, without prompts; the bodies too; or nothing.  Keys are never logged.  port=0
    takes a free port.
    Ctrl-C ends it.  Unfinished jobs go on with the next `ftbuild serve` in the same store, whatever ended this one.
    """
    from ftbuild.providers import serve as stand

    none(arguments.words)
    settings = arguments.settings(host="127.0.0.1", port="8000", store=".ftbuild", threads="0", memory="0", log="requests")
    if settings["log"] not in _LOGS:
        raise ConfigError(f"log (command line): {settings['log']!r} is not one of {', '.join(_LOGS)}")
    port, threads, memory = (_whole(name, settings[name], 0) for name in ("port", "threads", "memory"))
    key, given = _key()
    listening = _listening(settings["host"], port, given=given)
    folder = Path(settings["store"]) / "local"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        listening.close()
        raise ConfigError(
            f"cannot write to the store {settings['store']}: {error.strerror}", hint="choose another with store=DIRECTORY"
        ) from error

    def welcome(model: str) -> None:
        url = _url(listening)
        if console.as_json:
            console.json(
                {"base_url": url, "docs": f"{url[:-3]}/docs", "state": str(folder)} | ({} if given else {"api_key": key})
            )
            return
        console.result(f"ftbuild serves {url}   (docs at {url[:-3]}/docs, state in {folder})")
        if not given:
            console.result(f"API key, shown this once: {key}")
            console.result(f"To choose one: export {KEY}=…")
        python = f'os.environ["{KEY}"]' if given else f'"{key}"'
        console.result("\n" + _EXAMPLE.format(url=url, key=python, model=model, shell=f"${KEY}" if given else key))
        console.result("Ctrl-C ends it; unfinished jobs go on with the next `ftbuild serve`.")

    with listening:
        stand(folder, listening, key, welcome, threads=threads, memory=memory, log=settings["log"])


def _key() -> tuple[str, bool]:
    """Return the key that clients need, and whether it comes from the environment."""
    key = os.environ.get(KEY, "").strip()
    if key and not (key.isascii() and key.isprintable() and " " not in key):
        raise ConfigError(f"the environment variable {KEY} holds what cannot be a key", hint="letters, digits, dashes")
    return (key, True) if key else (f"sk-local-{secrets.token_urlsafe(24)}", False)


def _listening(host: str, port: int, *, given: bool) -> socket.socket:
    """Return a socket that listens.  ConfigError if it may not or cannot."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"host (command line): {host!r} is not an address of this machine: {error}") from error
    if not given and not ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback:
        raise ConfigError(
            f"others can reach {host}: without a key of your own nothing is served there",
            hint=f'export {KEY}="$(openssl rand -hex 24)", or leave host=127.0.0.1',
        )
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind(address)
        made.listen(2048)
    except OSError as error:
        made.close()
        raise ConfigError(
            f"cannot listen on {host} port {port}: {error.strerror}",
            hint=f"another program may be there: choose another port, such as port={port + 1 if port else 8000}",
        ) from error
    return made


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    address = ipaddress.ip_address(host.partition("%")[0])
    name = socket.gethostname() if address.is_unspecified else f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}/v1"


def _whole(name: str, value: str, least: int) -> int:
    most = 65535 if name == "port" else 4096
    if not value.isdecimal() or not least <= int(value) <= most:
        raise ConfigError(f"{name} (command line): a whole number from {least} to {most} belongs here, not {value!r}")
    return int(value)
