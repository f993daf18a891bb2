"""The training process: `python -m ftbuild.local.training JOB_FOLDER`.

In: `job.json` (base model, method, hyperparameters) and `rows.jsonl` in the job's folder.  Out: `model/` in the Hugging Face
format, and one JSON object a line on stdout: how far it is, the loss, the end.  It stops at the next step, leaving a
checkpoint from which it goes on, when its stdin closes or on SIGTERM; so nobody has to outlive it.

Only the completion is learned.  The optimizer's weights are kept in 32 bits; the model itself is computed in bfloat16 where
the processor has instructions for it (source: Mixed Precision Training, Micikevicius et al., 2017).
"""

from __future__ import annotations

import json
import math
import os
import random
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftbuild.local.packing import Batch, Row, batch, packs
from ftbuild.store import read_json, write_json

if TYPE_CHECKING:
    import torch


_TOGETHER = 24  # parameters that the optimizer takes on at once


@dataclass(frozen=True)
class Hyperparameters:
    """How to train.

    `batch_size` is in rows, `learning_rate` the highest of a cosine that ends at a tenth of it, `noise` the alpha of NEFTune.
    """

    epochs: int = 3
    batch_size: int = 32
    learning_rate: float = 4e-4
    method: str = "full"
    lora_rank: int = 32
    warmup: float = 0.05
    weight_decay: float = 0.0
    noise: float = 0.0
    seed: int = 7
    pack_tokens: int = 512

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Hyperparameters:
        """Return hyperparameters with what `values` says; what it leaves out, or calls `auto`, keeps its default."""
        known = cls.__dataclass_fields__
        return cls(**{k: v for k, v in values.items() if k in known and v not in (None, "auto")})


def main() -> int:
    """Train the job in the folder given on the command line."""
    folder = Path(sys.argv[1])
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the server decides
    threading.Thread(target=_watch, args=(stop,), daemon=True).start()
    try:
        return train(folder, stop)
    except Exception as error:  # noqa: BLE001 - the last word of a process; the server tells it to the user
        _say({"type": "failed", "message": f"{type(error).__name__}: {error}".splitlines()[0]}, stop)
        return 1


def _watch(stop: threading.Event) -> None:
    """Wait until whoever started this process closes the pipe, or is gone."""
    while sys.stdin.buffer.read(1):
        pass
    stop.set()


def _say(message: Mapping[str, Any], stop: threading.Event) -> None:
    try:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()
    except (BrokenPipeError, ValueError):
        stop.set()


def train(folder: Path, stop: threading.Event) -> int:
    """Train until the end or until `stop` is set.  Returns 0, or 75 if there is more to do."""
    import torch

    from ftbuild.local.models import fast_dtype, read, weights_folder

    job = read_json(folder / "job.json")
    cache = Path(job["cache"])
    settings = Hyperparameters.of(job["hyperparameters"])
    torch.manual_seed(settings.seed)
    if job.get("threads"):
        torch.set_num_threads(job["threads"])
    _say({"type": "message", "message": f"loading {job['base_model']}"}, stop)
    model, tokenizer = read(job["weights"] or weights_folder(job["base_model"], cache), cache, fast_dtype())
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if settings.method == "lora":
        model = _with_adapter(model, settings)
    model.train()
    with (folder / "rows.jsonl").open(encoding="utf-8") as lines:  # not splitlines(), which breaks a row at U+2028
        rows = [tokenised(json.loads(line), tokenizer) for line in lines]
    longest = min(getattr(model.config, "max_position_embeddings", 2048), 2048)
    if (most := max(len(r.tokens) for r in rows)) > longest:
        raise ValueError(f"a row has {most} tokens, more than the {longest} that can be trained")
    run = Run(model, rows, settings, device, fast_dtype())
    run.resume(folder / "checkpoint")
    tokens = sum(len(r.tokens) for r in rows) * settings.epochs
    _say({"type": "started", "steps": run.steps, "step": run.step, "rows": len(rows), "trained_tokens": tokens}, stop)
    for metrics in run:
        _say({"type": "metrics", "steps": run.steps, **metrics}, stop)
        if stop.is_set() and run.step < run.steps:
            run.save(folder / "checkpoint")
            _say({"type": "stopped", "step": run.step}, stop)
            return os.EX_TEMPFAIL
    _save(model, tokenizer, folder)
    _say({"type": "succeeded", "trained_tokens": tokens}, stop)
    return 0


def tokenised(row: Mapping[str, Any], tokenizer: Any) -> Row:
    """Turn a training row into tokens and weights: 1 for what the model is to say, 0 for what it is told.

    Rows are `{"prompt", "completion"}`, or `{"messages"}` with an optional `weight` of 0 or 1 on the assistant's turns.
    """
    if "messages" in row:
        return _chat(row["messages"], tokenizer)
    prompt = tokenizer(row["prompt"], add_special_tokens=False)["input_ids"]
    completion = tokenizer(row["completion"], add_special_tokens=False)["input_ids"]
    return Row((*prompt, *completion), (*(0.0 for _ in prompt), *(1.0 for _ in completion)))


def _chat(messages: Sequence[Mapping[str, Any]], tokenizer: Any) -> Row:
    """Lay a conversation out with the model's chat template; each assistant turn is learned up to its end token."""
    tokens: list[int] = []
    weights: list[float] = []
    text = ""
    for n, message in enumerate(messages):
        learned = message["role"] == "assistant" and message.get("weight", 1) != 0
        told = [{"role": m["role"], "content": m["content"]} for m in messages[: n + 1]]
        if message["role"] == "assistant":
            lead = tokenizer.apply_chat_template(told[:-1], tokenize=False, add_generation_prompt=True)
            new = tokenizer(lead[len(text) :], add_special_tokens=False)["input_ids"]
            tokens += new
            weights += [0.0] * len(new)
            text = lead
        whole = tokenizer.apply_chat_template(told, tokenize=False)
        new = tokenizer(whole[len(text) :], add_special_tokens=False)["input_ids"]
        tokens += new
        weights += [float(learned)] * len(new)
        text = whole
    return Row(tuple(tokens), tuple(weights))


class Run:
    """The steps of one training run.  Iterating takes the steps that are left and yields each one's metrics."""

    def __init__(
        self, model: Any, rows: Sequence[Row], settings: Hyperparameters, device: torch.device, dtype: torch.dtype
    ) -> None:
        import torch

        self.model, self.rows, self.settings, self.device, self.dtype = model, rows, settings, device, dtype
        self.step = 0
        self._row_tokens = max(1.0, sum(len(r.tokens) for r in rows) / max(1, len(rows)))
        model.to(device, dtype)
        self._computed = [p for p in model.parameters() if p.requires_grad]
        self._exact = dtype == torch.float32  # the model's own parameters are the optimizer's
        self._weights = self._computed if self._exact else [torch.nn.Parameter(p.detach().float()) for p in self._computed]
        self._optimizer = torch.optim.AdamW(
            self._weights, lr=settings.learning_rate, betas=(0.9, 0.95), weight_decay=settings.weight_decay, fused=True
        )

    @property
    def steps(self) -> int:
        """How many steps the whole run has."""
        return self.settings.epochs * math.ceil(len(self.rows) / self.settings.batch_size)

    def __iter__(self) -> Iterator[dict[str, float]]:
        for number, chosen in enumerate(self._order()):
            if number >= self.step:
                yield self._take_step(chosen)

    def _order(self) -> Iterator[list[Row]]:
        """Yield the rows of every step, in an order that depends on the seed and the epoch alone."""
        size = self.settings.batch_size
        for epoch in range(self.settings.epochs):
            order = list(range(len(self.rows)))
            random.Random(f"{self.settings.seed}/{epoch}").shuffle(order)  # noqa: S311 - an order, not a secret
            for start in range(0, len(order), size):
                yield [self.rows[i] for i in order[start : start + size]]

    def _rate(self) -> float:
        done = (self.step + 1) / self.steps
        warm = min(1.0, done / self.settings.warmup) if self.settings.warmup else 1.0
        return self.settings.learning_rate * warm * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * done)))

    def _take_step(self, rows: Sequence[Row]) -> dict[str, float]:
        import torch

        rate = self._rate()
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        torch.manual_seed(self.settings.seed + self.step)  # a run that was stopped goes on with the noise it would have had
        laid = [batch([pack], self.dtype) for pack in packs(rows, most_tokens=self.settings.pack_tokens)]
        learned = sum(float(one.weights.sum()) for one in laid)
        loss = right = 0.0
        for one in laid:  # one after the other: what is held for the backward pass is what takes the memory
            part, hits = self._loss(one)
            (part / learned).backward()  # type: ignore[no-untyped-call]
            loss, right = loss + float(part.detach()) / learned, right + hits / learned
        torch.nn.utils.clip_grad_norm_(self._computed, 1.0)
        self._update()
        self.step += 1
        return {"step": self.step, "train_loss": loss, "train_accuracy": right, "learning_rate": rate}

    def _update(self) -> None:
        """Take the optimizer's step, a few parameters at a time, so that their gradients in 32 bits need little memory."""
        for start in range(0, len(self._weights), len(self._weights) if self._exact else _TOGETHER):
            if not self._exact:
                several = slice(start, start + _TOGETHER)
                for weight, computed in zip(self._weights[several], self._computed[several], strict=True):
                    weight.grad, computed.grad = computed.grad.float(), None
            self._optimizer.step()
            self._optimizer.zero_grad(set_to_none=True)
        self._compute_with_weights()

    def _compute_with_weights(self) -> None:
        """Bring the model's own parameters up to the optimizer's."""
        import torch

        with torch.no_grad():
            for weight, computed in zip(self._weights, self._computed, strict=True):
                computed.copy_(weight)

    def _loss(self, laid: Batch) -> tuple[torch.Tensor, float]:
        """Return the weighted sum of the losses of the learned tokens, and of those that the model had right."""
        import torch

        to = self.device
        hidden = self.model.get_decoder()(
            inputs_embeds=self._embedded(laid.tokens.to(to)),
            attention_mask=laid.mask.to(to),
            position_ids=laid.positions.to(to),
            use_cache=False,
        ).last_hidden_state
        sources = hidden.reshape(-1, hidden.shape[-1])[laid.sources.to(to)]
        logits = self.model.get_output_embeddings()(sources).float()
        targets, weights = laid.targets.to(to), laid.weights.to(to)
        losses = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
        right = ((logits.argmax(-1) == targets) * weights).sum()
        return (losses * weights).sum(), float(right)

    def _embedded(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return the tokens' embeddings with a little noise, so that a question need not come in the words it was learned in.

        Source: NEFTune (Jain et al., 2023).
        """
        import torch

        embedded: torch.Tensor = self.model.get_input_embeddings()(tokens)
        size = self.settings.noise / math.sqrt(self._row_tokens * embedded.shape[-1])
        return embedded + torch.empty_like(embedded).uniform_(-size, size) if size else embedded

    # ---- stopping and going on ----

    def save(self, folder: Path) -> None:
        """Write weights, optimizer state and step, so that `resume` goes on exactly here.  Nothing is pickled."""
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        tensors = {}
        for n, parameter in enumerate(self._weights):
            tensors[f"{n}.weight"] = parameter.detach().cpu()
            for name, value in self._optimizer.state[parameter].items():
                tensors[f"{n}.{name}"] = value.detach().cpu()
        save_file(tensors, str(folder / "state.new"))
        (folder / "state.new").replace(folder / f"state-{self.step}.safetensors")
        write_json(folder / "step.json", {"step": self.step})
        for old in folder.glob("state-*.safetensors"):
            if old.name != f"state-{self.step}.safetensors":
                old.unlink()

    def resume(self, folder: Path) -> None:
        """Go on from a checkpoint, if there is one."""
        import torch
        from safetensors.torch import load_file

        step = (read_json(folder / "step.json") or {}).get("step")
        file = folder / f"state-{step}.safetensors"
        if step is None or not file.is_file():
            return
        tensors = load_file(str(file))
        with torch.no_grad():
            for n, parameter in enumerate(self._weights):
                parameter.copy_(tensors[f"{n}.weight"])
                names = {k.split(".", 1)[1] for k in tensors if k.startswith(f"{n}.")} - {"weight"}
                self._optimizer.state[parameter] = {name: tensors[f"{n}.{name}"].to(parameter.device) for name in names}
                self._optimizer.state[parameter]["step"] = tensors[f"{n}.step"]
        self._compute_with_weights()
        self.step = step


def _with_adapter(model: Any, settings: Hyperparameters) -> Any:
    import peft

    config = peft.LoraConfig(
        r=settings.lora_rank, lora_alpha=2 * settings.lora_rank, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    return peft.get_peft_model(model, config)


def _save(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write the model aside and put it in its place whole."""
    import shutil

    import torch

    aside = folder / "model.new"
    shutil.rmtree(aside, ignore_errors=True)
    if hasattr(model, "peft_config"):
        model.save_pretrained(str(aside))
    else:
        model.to(torch.bfloat16).save_pretrained(str(aside))
    tokenizer.save_pretrained(str(aside))
    aside.replace(folder / "model")
    shutil.rmtree(folder / "checkpoint", ignore_errors=True)


if __name__ == "__main__":
    raise SystemExit(main())
