"""Compare a training step of the embedded trainer with a plain one: the same rows, padded, in 32 bits.

    python tests/benchmarks/training.py [STEPS]

Prints row tokens a second for both, and their ratio.  The rows are questions of one form, as a recipe's are.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ftbuild.local.models import BUNDLED, fast_dtype, read, weights_folder
from ftbuild.local.training import Hyperparameters, Run, tokenised

_WORDS = (
    "keeper",
    "lantern",
    "harbour",
    "winter",
    "letter",
    "captain",
    "island",
    "storm",
    "promise",
    "garden",
    "bridge",
    "river",
)


def rows(count: int) -> list[dict[str, str]]:
    """Return rows such as a recipe makes: one long beginning in common, short questions, short answers."""
    chance = random.Random(7)
    lead = "Answer the following question about the lighthouse, Section History, subsection The keepers: \n"

    def some(least: int, most: int) -> str:
        return " ".join(chance.choices(_WORDS, k=chance.randint(least, most)))

    return [{"prompt": f"{lead}Who {some(4, 10)}? \n ### \n", "completion": f"{some(1, 6)} [DONE]"} for _ in range(count)]


def plain(model: Any, batches: list[Any]) -> Callable[[int], None]:
    """Return a function that takes a step of the plain kind: padded rows in 32 bits, PyTorch's AdamW."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)

    def step(number: int) -> None:
        batch = batches[number]
        width = max(len(r.tokens) for r in batch)
        tokens, labels = torch.zeros(len(batch), width, dtype=torch.long), torch.full((len(batch), width), -100)
        mask = torch.zeros(len(batch), width, dtype=torch.long)
        for n, row in enumerate(batch):
            tokens[n, : len(row.tokens)] = torch.tensor(row.tokens)
            mask[n, : len(row.tokens)] = 1
            labels[n, : len(row.tokens)] = torch.tensor(
                [t if w else -100 for t, w in zip(row.tokens, row.weights, strict=True)]
            )
        model(input_ids=tokens, attention_mask=mask, labels=labels).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def main() -> int:
    """Run the benchmark."""
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 6
    size = Hyperparameters.batch_size
    with tempfile.TemporaryDirectory() as folder:
        where = weights_folder(BUNDLED, Path(folder))
        model, tokenizer = read(where, Path(folder), torch.float32)
        learned = [tokenised(row, tokenizer) for row in rows((steps + 1) * size)]
        batches = [learned[n * size : (n + 1) * size] for n in range(steps + 1)]
        figures = {"plain": timed(plain(model, batches), batches)}
        own, _ = read(where, Path(folder), fast_dtype())
        run = iter(Run(own, learned, Hyperparameters(epochs=1), torch.device("cpu"), fast_dtype()))
        figures["ftbuild"] = timed(lambda _: next(run), batches)
    for name, pace in figures.items():
        print(f"{name:8} {pace:6.0f} row tokens a second")
    print(f"ratio    {figures['ftbuild'] / figures['plain']:.2f}")
    return 0


def timed(step: Callable[[int], object], batches: list[Any]) -> float:
    """Return the row tokens a second of all steps but the first."""
    step(0)
    started = time.perf_counter()
    for number in range(1, len(batches)):
        step(number)
    return sum(len(r.tokens) for batch in batches[1:] for r in batch) / (time.perf_counter() - started)


if __name__ == "__main__":
    raise SystemExit(main())
