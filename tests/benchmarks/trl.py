"""Compare the speed of the embedded trainer with that of TRL's SFTTrainer: `python tests/benchmarks/trl.py`.

    python tests/benchmarks/trl.py [--steps 5] [--batch 16] [--rows shared|apart] [--method full|lora] [--parts] [--aside DIR]

Both train the bundled model in one process, on the same tokens in the same order, with the same optimizer settings, in bfloat16
with weights in 32 bits where the processor knows bfloat16.  Their steps alternate, so that whatever else the machine does slows
both.  The first step of each is not counted.  TRL's gradient checkpointing is off, which makes it faster.  `shared` rows begin
with the same sentence, as a recipe's do; rows `apart` have nothing in common.  `--parts` leaves one of our measures out at a
time.  TRL is installed without its dependencies into DIR, or into a temporary one, and works with the installed torch.

Printed: row tokens a second, how much of the machine's matrix product that is (6 × parameters × tokens in full fine-tuning, 4 ×
with an adapter), the loss over all rows before and after, and the ratios.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # for this is run as a script

import torch

from ftbuild.local.launch import ENVIRONMENT
from ftbuild.local.models import BUNDLED, fast_dtype, read, weights_folder
from ftbuild.local.packing import Batch, Row, Tree, batch, tree
from ftbuild.local.training import Hyperparameters, Run, tokenised, with_adapter
from tests.benchmarks.training import rows as shared

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("trl==1.16.0", "datasets==5.2.0", "pyarrow==24.0.0", "multiprocess==0.70.19", "dill==0.4.1", "xxhash==4.1.0")
FLOP = {"full": 6, "lora": 4}
CPU = torch.device("cpu")


# ---- ours, without one of its measures ----


def unshared(rows: Sequence[Row]) -> Tree:
    """Lay rows out one after the other, none of which sees another: packing without shared prefixes."""
    made = Tree([], [], [], [])
    for one in (tree([row]) for row in rows):
        start = len(made.tokens)
        made.tokens.extend(one.tokens)
        made.depths.extend(one.depths)
        made.parents.extend(p + start if p >= 0 else -1 for p in one.parents)
        made.weights.extend(one.weights)
    return made


class Unshared(Run):
    """Packs rows without computing what they share only once."""

    def _packs(self, rows: Sequence[Row]) -> list[Tree]:
        made, waiting = [], list[Row]()
        for row in sorted(rows, key=lambda r: r.tokens):
            if waiting and sum(len(r.tokens) for r in (*waiting, row)) > self.settings.pack_tokens:
                made.append(unshared(waiting))
                waiting = []
            waiting.append(row)
        return [*made, unshared(waiting)]


class Padded(Run):
    """Pads rows to the longest of eight, in the order in which they come."""

    by_length = False

    def _learn(self, rows: Sequence[Row]) -> dict[str, float]:
        ordered = sorted(rows, key=lambda r: len(r.tokens)) if self.by_length else rows
        laid = [batch([tree([r]) for r in ordered[n : n + 8]], self.dtype) for n in range(0, len(ordered), 8)]
        learned = sum(float(one.weights.sum()) for one in laid)
        total = 0.0
        for one in laid:
            part, _ = self.loss(one)
            (part / learned).backward()  # type: ignore[no-untyped-call]
            total += float(part.detach()) / learned
        return {"train_loss": total}


class Sorted(Padded):
    """Pads rows to the longest of eight of like length."""

    by_length = True


class AllLogits(Run):
    """Computes what every token predicts, as well as those that are told and not learned."""

    def loss(self, laid: Batch) -> tuple[torch.Tensor, float]:
        """Return the same loss as without what is left out."""
        nodes = torch.arange(laid.tokens.numel())
        more = dataclasses.replace(
            laid,
            sources=torch.cat([laid.sources, nodes]),
            targets=torch.cat([laid.targets, torch.zeros_like(nodes)]),
            weights=torch.cat([laid.weights, torch.zeros(len(nodes))]),
        )
        return super().loss(more)


PARTS: dict[str, type[Run]] = {
    "packed, nothing shared": Unshared,
    "padded, by length": Sorted,
    "padded, as they come": Padded,
    "all logits": AllLogits,
}


# ---- the runs ----


class Paced:
    """Steps that are timed one by one."""

    def __init__(self, name: str, step: Callable[[], object]) -> None:
        self.name, self._step, self.seconds = name, step, list[float]()

    def __call__(self) -> None:
        """Take a step."""
        started = time.perf_counter()
        self._step()
        self.seconds.append(time.perf_counter() - started)

    def pace(self, tokens: Sequence[int]) -> float:
        """Return the row tokens a second of all steps but the first."""
        return sum(tokens[1 : len(self.seconds)]) / sum(self.seconds[1:])


def ours(kind: type[Run], model: Any, rows: Sequence[Row], settings: Hyperparameters, dtype: torch.dtype) -> Run:
    """Return a run of the embedded trainer, or of it without one of its measures."""
    trained = with_adapter(model, settings) if settings.method == "lora" else model
    trained.train()
    return kind(trained, rows, settings, CPU, dtype)


def theirs(model: Any, tokenizer: Any, batches: list[list[Row]], run: Run, folder: str, between: Callable[[], None]) -> Paced:
    """Train with TRL's SFTTrainer; after each of its steps, `between` is called.  Return the pace of its steps."""
    import trl
    from datasets import Dataset
    from datasets.table import InMemoryTable
    from peft import LoraConfig
    from transformers import TrainerCallback

    settings, steps = run.settings, len(batches)
    ordered = [row for one in batches for row in one]
    laid = {
        "input_ids": [list(r.tokens) for r in ordered],
        "labels": [[t if w else -100 for t, w in zip(r.tokens, r.weights, strict=True)] for r in ordered],
    }
    data = Dataset(InMemoryTable.from_pydict(laid), fingerprint="rows")
    paced = Paced("TRL", lambda: None)

    class Clock(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.started = time.perf_counter()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            paced.seconds.append(time.perf_counter() - self.started)
            between()

    class InOrder(trl.SFTTrainer):  # type: ignore[misc]
        def _get_train_sampler(self, *_: Any) -> Any:
            return torch.utils.data.SequentialSampler(data)

    def rate(step: int) -> float:  # ours
        warm = min(1.0, (step + 1) / steps / settings.warmup)
        return warm * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * min(1.0, (step + 1) / steps))))

    config = trl.SFTConfig(
        output_dir=folder, use_cpu=True, bf16=run.dtype == torch.bfloat16, per_device_train_batch_size=settings.batch_size,
        num_train_epochs=1, gradient_checkpointing=False, max_length=None, max_grad_norm=1.0,
        save_strategy="no", report_to="none", logging_strategy="no", disable_tqdm=True, dataloader_pin_memory=False,
        dataset_kwargs={"skip_prepare_dataset": True},
    )  # fmt: skip
    rank = settings.lora_rank
    adapter = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")
    trainer = InOrder(
        model=model, args=config, train_dataset=data, processing_class=tokenizer, callbacks=[Clock()],
        peft_config=adapter if settings.method == "lora" else None,
    )  # fmt: skip
    trainer.optimizer = torch.optim.AdamW(
        [p for p in trainer.model.parameters() if p.requires_grad], lr=settings.learning_rate, betas=(0.9, 0.95),
        weight_decay=settings.weight_decay, fused=True,
    )  # fmt: skip
    trainer.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(trainer.optimizer, rate)
    trainer.train()
    measured = Run(trainer.model, ordered, settings, CPU, run.dtype).measure(ordered)["valid_loss"]
    print(f"loss after   TRL {measured:.3f}   ftbuild {run.measure(ordered)['valid_loss']:.3f}", flush=True)
    return paced


def product(dtype: torch.dtype) -> float:
    """Return how many floating-point operations a second a large matrix product takes on this machine, at its best."""
    size, best = 2048, 0.0
    one, other = torch.randn(size, size).to(dtype), torch.randn(size, size).to(dtype)
    for _ in range(4):
        started = time.perf_counter()
        one @ other
        best = max(best, 2 * size**3 / (time.perf_counter() - started))
    return best


def train(options: argparse.Namespace, folder: str) -> None:
    """Run both, alternating, and print what is found."""
    dtype, cache, exact = fast_dtype(), options.aside or Path(folder), torch.float32
    where = weights_folder(BUNDLED, cache)
    limits = [product(dtype)]
    _, tokenizer = read(where, cache, exact)
    rows = shared(options.steps * options.batch)
    if options.rows == "apart":
        rows = [{**row, "prompt": f"{n} {row['prompt'].splitlines()[1]}\n"} for n, row in enumerate(rows)]
    learned = [tokenised(row, tokenizer) for row in rows]
    rate = {"full": 1e-4, "lora": 1e-3}[options.method]
    settings = Hyperparameters(epochs=1, batch_size=options.batch, learning_rate=rate, method=options.method)
    run = ours(Run, read(where, cache, exact)[0], learned, settings, dtype)
    batches = list(run._order())
    tokens = [sum(len(r.tokens) for r in one) for one in batches]
    parameters = sum(p.numel() for n, p in run.model.named_parameters() if "lora" not in n)
    print(
        f"{options.method}, rows {options.rows}: {len(batches)} steps of {options.batch} rows, {sum(tokens)} tokens, {dtype}",
        flush=True,
    )
    print(f"loss before  {run.measure(learned)['valid_loss']:.3f}", flush=True)

    def told(paced: Paced, than: float) -> float:
        pace = paced.pace(tokens)
        share = FLOP[options.method] * parameters * pace / statistics.median(limits)
        ratio = f"x {pace / than:.2f}" if than else ""
        print(f"{paced.name:26} {pace:6.0f} tokens/s  {share:4.0%} of the product  {ratio}", flush=True)
        return pace

    steps: Iterator[Any] = iter(run)
    own = Paced("ftbuild", lambda: next(steps))
    import transformers

    other = transformers.AutoModelForCausalLM.from_pretrained(where, dtype=torch.float32)

    def between() -> None:
        own()
        limits.append(product(dtype))

    pace = told(theirs(other, tokenizer, batches, run, folder, between), 0)
    told(own, pace)
    print(f"matrix product, between the steps: {statistics.median(limits) / 1e9:.0f} GFLOP/s", flush=True)
    for name, kind in PARTS.items() if options.parts else ():
        with_it = iter(ours(Run, read(where, cache, exact)[0], learned, settings, dtype))
        without = iter(ours(kind, read(where, cache, exact)[0], learned, settings, dtype))
        pair = Paced("ftbuild", lambda it=with_it: next(it)), Paced(name, lambda it=without: next(it))  # type: ignore[misc]
        for _ in range(min(4, len(batches))):
            for paced in pair:
                paced()
        told(pair[1], told(pair[0], 0))


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rows", choices=("shared", "apart"), default="shared")
    parser.add_argument("--method", choices=tuple(FLOP), default="full")
    parser.add_argument("--parts", action="store_true")
    parser.add_argument("--aside", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if "FTBUILD_BENCHMARK" in os.environ:
            train(options, folder)
            return 0
        aside = options.aside or Path(folder) / "trl"
        if not (aside / "trl").is_dir():
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(aside)]
            subprocess.run([*pip, *PACKAGES], check=True)
        paths = f"{ROOT}{os.pathsep}{aside}"
        environment = {
            **ENVIRONMENT,
            **os.environ,
            "PYTHONPATH": paths,
            "FTBUILD_BENCHMARK": "1",
            "PYTHONSAFEPATH": "1",
            "PYTHONWARNINGS": "ignore",
        }
        return subprocess.run([sys.executable, __file__, *sys.argv[1:]], env=environment, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())
