"""Compare many questions at once with one, and the engine with plain transformers, on the bundled model.

    python tests/benchmarks/inference.py [ROUNDS]

Prints, through a real server: the time to the first answer, the time to the first token, and 16 questions at once against one;
and in one process, started by itself: the time to load the model, and tokens a second of the engine and of `generate`, for one
prompt and for 16.  Figures are medians of the rounds, which take turns, so that other work on the machine falls on all alike.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import openai
import torch

from ftbuild.local.engine import Wanted, complete
from ftbuild.local.launch import ENVIRONMENT, Server, running
from ftbuild.local.library import Library, Loaded
from ftbuild.local.models import BUNDLED, weights_folder
from ftbuild.local.sampling import Sampling

_AT_ONCE = 16
_TOKENS = 32
_WORDS = (
    "sea",
    "winter",
    "letter",
    "captain",
    "island",
    "storm",
    "promise",
    "garden",
    "bridge",
    "river",
    "lamp",
    "song",
    "ship",
    "king",
    "road",
    "tree",
)


def questions(round_: int) -> list[str]:
    """Return questions that no round before has asked."""
    return [f"In story {round_}, what did the old man say about the {word} when his daughter came home?" for word in _WORDS]


async def ask(client: openai.AsyncOpenAI, question: str) -> tuple[float, float]:
    """Ask one question; return the seconds to the first token and to the last one."""
    began, first = time.perf_counter(), 0.0
    stream: Any = await client.chat.completions.create(
        model=BUNDLED,
        messages=[{"role": "user", "content": question}],
        max_tokens=_TOKENS,
        temperature=0,
        logit_bias={"2": -100},  # no end: all answers are of one length
        stream=True,
    )
    async for chunk in stream:
        if not first and chunk.choices and chunk.choices[0].delta.content:
            first = time.perf_counter() - began
    return first, time.perf_counter() - began


async def through_a_server(server: Server, rounds: int) -> None:
    """Print what clients see."""
    async with openai.AsyncOpenAI(base_url=server.base_url, api_key=server.api_key, timeout=900) as client:
        began = time.perf_counter()
        await ask(client, "Hello?")
        print(f"first answer of a new server: {time.perf_counter() - began:6.2f} s")
        one, many, first, first_of_many = [], [], [], []
        for n in range(rounds):
            asked = questions(n)
            told = await ask(client, f"Who wrote tale {n} of the lighthouse, and why did nobody believe it at first?")
            first.append(told[0])
            one.append(told[1])
            began = time.perf_counter()
            all_ = await asyncio.gather(*(ask(client, question) for question in asked))
            many.append(time.perf_counter() - began)
            first_of_many.append(median(f for f, _ in all_))
    print(f"one question:                 {median(one):6.2f} s, its first token after {median(first):.2f} s")
    print(f"{_AT_ONCE} questions at once:         {median(many):6.2f} s, first tokens after {median(first_of_many):.2f} s")
    print(f"ratio:                        {median(m / o for m, o in zip(many, one, strict=True)):6.2f}")


def engine(loaded: Loaded, prompts: list[list[int]]) -> None:
    """Continue prompts with the engine."""
    loaded.base.prefixes = type(loaded.base.prefixes)()  # nothing is known from the round before
    sampling = Sampling(0, bias=tuple((end, -100.0) for end in loaded.base.ends))
    rows = complete(loaded, [Wanted(tuple(p), _TOKENS, sampling=sampling) for p in prompts])
    assert all(len(row.tokens) == _TOKENS for row in rows)


def plain(loaded: Loaded, prompts: list[list[int]]) -> None:
    """Continue prompts with `generate`, padded on the left."""
    width = max(map(len, prompts))
    tokens = torch.tensor([[0] * (width - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
    with torch.inference_mode():
        loaded.model.generate(
            tokens, attention_mask=mask, max_new_tokens=_TOKENS, min_new_tokens=_TOKENS, do_sample=False, pad_token_id=0
        )


def seconds(do: Callable[[], None]) -> float:
    """Return how long something takes."""
    began = time.perf_counter()
    do()
    return time.perf_counter() - began


def in_one_process(cache: Path, rounds: int) -> None:
    """Print tokens a second of the engine and of `generate`."""
    began = time.perf_counter()
    loaded = Library(cache).load(BUNDLED)
    print(f"load, packages imported:      {time.perf_counter() - began:6.2f} s")
    for count in (1, _AT_ONCE):
        taken: dict[str, list[float]] = {"engine": [], "generate": []}
        for n in range(rounds):
            prompts = [loaded.encode(question) for question in questions(n)[:count]]
            taken["engine"].append(seconds(lambda p=prompts: engine(loaded, p)))  # type: ignore[misc]
            taken["generate"].append(seconds(lambda p=prompts: plain(loaded, p)))  # type: ignore[misc]
        speeds = {name: count * _TOKENS / median(times) for name, times in taken.items()}
        ratio = median(g / e for e, g in zip(taken["engine"], taken["generate"], strict=True))
        print(
            f"{count:2} prompts: engine {speeds['engine']:6.1f} tokens/s, generate {speeds['generate']:6.1f}; ratio {ratio:.2f}"
        )


def main() -> None:
    """Print all figures."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    if sys.argv[2:]:
        in_one_process(Path(sys.argv[2]), rounds)
        return
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder) / "models"
        weights_folder(BUNDLED, cache)  # dequantise: only the first server ever has to
        with running(Path(folder)) as server:
            asyncio.run(through_a_server(server, rounds))
        subprocess.run([sys.executable, __file__, str(rounds), str(cache)], env={**os.environ, **ENVIRONMENT}, check=True)


if __name__ == "__main__":
    main()
