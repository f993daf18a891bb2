"""Several LoRA adapters on one base model in memory, each row of a batch with its own.

In: adapters as peft saves them.  Out: hooks on the base model's layers that add what the rows' adapters say, so that the
base's weights are there once, whoever asks.  An adapter of another kind than plain LoRA is left to peft.

Source: LoRA (Hu et al., 2021); batches of rows with different adapters as in S-LoRA (Sheng et al., 2023).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_WEIGHTS = "adapter_model.safetensors"
_UNUSUAL = ("use_dora", "modules_to_save", "alpha_pattern", "rank_pattern", "fan_in_fan_out", "trainable_token_indices")


@dataclass(frozen=True, eq=False)
class Adapter:
    """For each layer that is adapted, the two matrices whose product is added to it; the second is scaled already."""

    pairs: Mapping[str, tuple[torch.Tensor, torch.Tensor]]

    @property
    def size(self) -> int:
        """The bytes that it takes."""
        return sum(m.numel() * m.element_size() for pair in self.pairs.values() for m in pair)


def read_adapter(folder: Path, config: Mapping[str, Any], model: Any) -> Adapter | None:
    """Return the adapter in a folder for a model that is loaded; None if it is not a plain LoRA."""
    from safetensors.torch import load_file

    if config.get("peft_type") != "LORA" or config.get("bias", "none") != "none" or any(config.get(k) for k in _UNUSUAL):
        return None
    tensors = load_file(str(folder / _WEIGHTS)) if (folder / _WEIGHTS).is_file() else {}
    scale = config.get("lora_alpha", 1) / (config["r"] ** (0.5 if config.get("use_rslora") else 1))
    first = next(model.parameters())
    layers = dict(model.named_modules())
    pairs = {}
    for key, down in tensors.items():
        name, _, kind = key.removeprefix("base_model.model.").rpartition(".lora_")
        if kind not in ("A.weight", "B.weight") or not hasattr(layers.get(name), "in_features"):
            return None
        if kind == "A.weight":
            up = tensors[key.replace(".lora_A.", ".lora_B.")] * scale
            pairs[name] = (down.to(first.device, first.dtype), up.to(first.device, first.dtype))
    return Adapter(pairs) if pairs else None


class Hooks:
    """What makes one base model answer with adapters."""

    def __init__(self, model: Any) -> None:
        self._layers = dict(model.named_modules())
        self._hooked: set[str] = set()
        self._active: list[tuple[Adapter, list[int] | None]] = []

    @contextlib.contextmanager
    def using(self, rows: Sequence[Adapter | None]) -> Iterator[None]:
        """Let each row of the batches that are computed meanwhile have its adapter, or none."""
        apart: dict[Adapter, list[int]] = {}
        for row, adapter in enumerate(rows):
            if adapter is not None:
                apart.setdefault(adapter, []).append(row)
        for adapter in apart:
            self._hook(adapter)
        self._active = [(adapter, None if len(places) == len(rows) else places) for adapter, places in apart.items()]
        try:
            yield
        finally:
            self._active = []

    def _hook(self, adapter: Adapter) -> None:
        for name in adapter.pairs.keys() - self._hooked:
            self._layers[name].register_forward_hook(self._adding(name))
            self._hooked.add(name)

    def _adding(self, name: str) -> Callable[[Any, Any, Any], Any]:
        def add(_layer: Any, inputs: tuple[Any, ...], output: Any) -> Any:
            for adapter, rows in self._active:
                if name in adapter.pairs:
                    down, up = adapter.pairs[name]
                    if rows is None:
                        output = output + inputs[0] @ down.T @ up.T
                    else:
                        output[rows] += inputs[0][rows] @ down.T @ up.T
            return output

        return add
