"""The fine-tuning itself: rows in, one step after the other, and a state to go on from.

In: a model, tokenised rows, hyperparameters.  Out: the trained model, and each step's metrics.  Nothing is written or said here
but by `save`.

Only the completion is learned.  The optimizer's weights are kept in 32 bits; the model itself is computed in bfloat16 where
the processor has instructions for it (source: Mixed Precision Training, Micikevicius et al., 2017).
"""

from __future__ import annotations

import contextlib
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftbuild.local.conversation import chat
from ftbuild.local.devices import Place
from ftbuild.local.packing import Batch, Row, Tree, batch, packs
from ftbuild.local.preferences import Preferences
from ftbuild.local.saving import saving
from ftbuild.store import flush, read_json, write_json

if TYPE_CHECKING:
    import torch


_TOGETHER = 24  # parameters that the optimizer takes on at once


@dataclass(frozen=True)
class Hyperparameters:
    """How to train.

    `batch_size` is in rows, `learning_rate` the highest of a cosine that ends at a tenth of it, `noise` the alpha of NEFTune.
    Rows are cut to `max_length` tokens, if that is given; `beta` is how much preferences weigh against the untouched model.
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
    max_length: int = 0
    packing: bool = True
    beta: float = 0.1

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Hyperparameters:
        """Return hyperparameters with what `values` says; what it leaves out, or calls `auto`, keeps its default."""
        known = cls.__dataclass_fields__
        return cls(**{k: v for k, v in values.items() if k in known and v not in (None, "auto")})


def tokenised(row: Mapping[str, Any], tokenizer: Any) -> Row:
    """Turn a training row into tokens and weights: 1 for what the model is to say, 0 for what it is told.

    Rows are `{"prompt", "completion"}`, or `{"messages"}` with an optional `weight` of 0 or 1 on the assistant's turns.
    """
    if "messages" in row:
        return chat(row, tokenizer)
    prompt = tokenizer(row["prompt"], add_special_tokens=False)["input_ids"]
    completion = tokenizer(row["completion"], add_special_tokens=False)["input_ids"]
    return Row((*prompt, *completion), (*(0.0 for _ in prompt), *(1.0 for _ in completion)))


class Run:
    """The steps of one training run.  Iterating takes the steps that are left and yields each one's metrics."""

    def __init__(
        self,
        model: Any,
        rows: Sequence[Any],
        settings: Hyperparameters,
        device: torch.device,
        dtype: torch.dtype,
        where: Place | None = None,
    ) -> None:
        import torch

        self.place = where or Place(device)
        self.objective: Preferences | None = None
        self.model, self.rows, self.settings, self.device, self.dtype = model, rows, settings, device, dtype
        self.step = 0
        self._row_tokens = max(1.0, sum(len(r.tokens) for r in rows) / max(1, len(rows)))
        self._exact = dtype == torch.float32  # the model's own parameters are the optimizer's
        model.to(device)
        self._computed = [p for p in model.parameters() if p.requires_grad]
        # Taken before they are rounded: what lies on the 16-bit grid needs many small steps to be rounded to anything else.
        self._weights = self._computed if self._exact else [torch.nn.Parameter(p.detach().float()) for p in self._computed]
        model.to(dtype)
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

    @property
    def computed(self) -> list[torch.nn.Parameter]:
        """The model's own parameters that are trained."""
        return self._computed

    @contextlib.contextmanager
    def at_rest(self) -> Iterator[None]:
        """Keep the model as it is, without noise, and compute no gradients."""
        import torch

        self.model.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            self.model.train()

    def measure(self, rows: Sequence[Any]) -> dict[str, float]:
        """Return loss and accuracy over rows that are not learned."""
        with self.at_rest():
            if self.objective:
                return self.objective.measure(self, rows)
            told = [0.0, 0.0, 0.0]
            for pack in self.place.mine(self._packs(rows)):
                laid = batch([pack], self.dtype)
                part, hits = self.loss(laid)
                told = [told[0] + float(part), told[1] + hits, told[2] + float(laid.weights.sum())]
            loss, right, learned = self.place.agreed(told)
            return {"valid_loss": loss / max(1.0, learned), "valid_accuracy": right / max(1.0, learned)}

    def _packs(self, rows: Sequence[Row]) -> list[Tree]:
        most_rows = 16 if self.settings.packing else 1
        return packs(rows, most_tokens=self.settings.pack_tokens, most_rows=most_rows)

    def _order(self) -> Iterator[list[Any]]:
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

    def _take_step(self, rows: Sequence[Any]) -> dict[str, float]:
        import torch

        rate = self._rate()
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        torch.manual_seed(self.settings.seed + self.step)  # a run that was stopped goes on with the noise it would have had
        told = self.objective.learn(self, rows) if self.objective else self._learn(rows)
        torch.nn.utils.clip_grad_norm_(self._computed, 1.0)
        self._update()
        self.step += 1
        return {"step": self.step, **told, "learning_rate": rate}

    def _learn(self, rows: Sequence[Row]) -> dict[str, float]:
        """Compute the gradients of one step."""
        laid = [batch([pack], self.dtype) for pack in self._packs(rows)]
        learned = max(1.0, sum(float(one.weights.sum()) for one in laid))
        loss = right = 0.0
        for one in self.place.mine(laid):  # one after the other: what is held for the backward pass is what takes the memory
            part, hits = self.loss(one)
            (part / learned).backward()  # type: ignore[no-untyped-call]
            loss, right = loss + float(part.detach()) / learned, right + hits / learned
        loss, right = self.place.add_up(self._computed, [loss, right])
        if not math.isfinite(loss):
            raise ValueError("the loss is not a number any more; a smaller learning_rate may help")
        return {"train_loss": loss, "train_accuracy": right}

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

    def loss(self, laid: Batch) -> tuple[torch.Tensor, float]:
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
        return embedded + torch.empty_like(embedded).uniform_(-size, size) if size and self.model.training else embedded

    # ---- stopping and going on ----

    def save(self, folder: Path) -> None:
        """Write weights, optimizer state and step, so that `resume` goes on exactly here.  Nothing is pickled."""
        from safetensors.torch import save_file

        tensors = {}
        for n, parameter in enumerate(self._weights):
            tensors[f"{n}.weight"] = parameter.detach().cpu()
            for name, value in self._optimizer.state[parameter].items():
                tensors[f"{n}.{name}"] = value.detach().cpu()
        with saving(folder, aside := folder / "state.new"):
            folder.mkdir(parents=True, exist_ok=True)
            save_file(tensors, str(aside))
            flush(aside)
            aside.replace(folder / f"state-{self.step}.safetensors")
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


def with_adapter(model: Any, settings: Hyperparameters) -> Any:
    """Return a model of which an adapter is trained, and nothing else."""
    import peft

    config = peft.LoraConfig(
        r=settings.lora_rank, lora_alpha=2 * settings.lora_rank, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    return peft.get_peft_model(model, config)
