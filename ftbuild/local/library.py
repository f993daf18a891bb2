"""Models in memory: loaded once, shared by whoever asks, the least recently used of them given up for the next.

In: names, and the folders of tuned weights.  Out: `Loaded`, a base model with its tokenizer and perhaps an adapter.  Adapters
on one base share it.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftbuild.local.adapters import Adapter, Hooks, read_adapter
from ftbuild.local.devices import device
from ftbuild.local.models import UnknownModel, fast_dtype, read, weights_folder
from ftbuild.local.prefixes import Prefixes
from ftbuild.local.writing import token_bytes
from ftbuild.store import read_json

if TYPE_CHECKING:
    import torch

_FEWEST = 2 * 2**30


class Base:
    """A model's weights in memory, with its tokenizer."""

    def __init__(self, where: str, model: Any, tokenizer: Any) -> None:
        self.where, self.model, self.tokenizer = where, model, tokenizer
        self.hooks = Hooks(model)
        self.prefixes = Prefixes()
        self.size: int = sum({p.data_ptr(): p.numel() * p.element_size() for p in model.parameters()}.values())

    @cached_property
    def device(self) -> torch.device:
        """Where the model computes."""
        device: torch.device = next(self.model.parameters()).device
        return device

    @cached_property
    def context(self) -> int:
        """How many tokens, prompt and answer together, the model takes."""
        return int(getattr(self.model.config.get_text_config(decoder=True), "max_position_embeddings", None) or 2048)

    @cached_property
    def words(self) -> int:
        """How many tokens the model knows."""
        words: int = self.model.get_output_embeddings().weight.shape[0]
        return words

    @cached_property
    def ends(self) -> frozenset[int]:
        """The tokens that end an answer."""
        told = self.model.generation_config.eos_token_id
        return frozenset({*(told if isinstance(told, list) else [told]), self.tokenizer.eos_token_id} - {None})

    @cached_property
    def grammars(self) -> Any:
        """The tokenizer as the library for constrained decoding knows it."""
        import llguidance.hf

        ends = sorted(self.ends) or None
        return llguidance.hf.from_tokenizer(self.tokenizer, n_vocab=max(self.words, len(self.tokenizer)), eos_token=ends)

    @cached_property
    def bytes_of(self) -> list[bytes]:
        """The bytes of every token; joined, they are a text in UTF-8."""
        return token_bytes(self.tokenizer, self.words) or [
            self.grammars.decode_bytes([token]) if token < len(self.tokenizer) else b"" for token in range(self.words)
        ]


@dataclass(frozen=True)
class Loaded:
    """A model ready to answer: a base model, and what was tuned on it."""

    name: str
    base: Base
    adapter: Adapter | None = None
    stamp: float = 0

    @property
    def model(self) -> Any:
        """The base model."""
        return self.base.model

    @property
    def tokenizer(self) -> Any:
        """The tokenizer."""
        return self.base.tokenizer

    def encode(self, text: str) -> list[int]:
        """Return a text's tokens, none added."""
        tokens: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return tokens


class Library:
    """Models in memory, at most `most_bytes` of weights, but always the one that was asked for last."""

    def __init__(self, cache: Path, most_bytes: int | None = None) -> None:
        self._cache = cache
        self._most = most_bytes or _half_of_memory()
        self._loaded: OrderedDict[str, Loaded] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """The bytes of all weights in memory."""
        bases: dict[int, int] = {id(one.base): one.base.size for one in self._loaded.values()}
        adapters = [one.adapter.size for one in self._loaded.values() if one.adapter]
        return sum(bases.values()) + sum(adapters)

    @property
    def names(self) -> list[str]:
        """The models in memory, the least recently used first."""
        return list(self._loaded)

    def load(self, name: str, folder: Path | None = None) -> Loaded:
        """Return the model called `name`, whose tuned weights lie in `folder` if it is not a base model.

        UnknownModel or OSError if there is none.
        """
        stamp = _stamp(folder or Path(name))
        with self._lock:
            known = self._loaded.get(name)
            if known is None or known.stamp != stamp:
                self._loaded.pop(name, None)
                self._loaded[name] = self._read(name, folder, stamp)
                self._shrink(self._most)
            self._loaded.move_to_end(name)
            return self._loaded[name]

    def forget(self, name: str) -> None:
        """Drop a model whose weights are gone."""
        with self._lock:
            self._loaded.pop(name, None)

    def _shrink(self, most: int) -> None:
        while self.size > most and len(self._loaded) > 1:
            self._loaded.popitem(last=False)

    def _read(self, name: str, folder: Path | None, stamp: float) -> Loaded:
        where = str(folder) if folder else weights_folder(name, self._cache)
        config = read_json(Path(where) / "adapter_config.json") if Path(where).is_dir() else None
        if config is not None:
            base = self._base(weights_folder(config["base_model_name_or_path"], self._cache))
            adapter = read_adapter(Path(where), config, base.model)
            if adapter is not None:
                return Loaded(name, base, adapter, stamp)
        return Loaded(name, self._base(where), None, stamp)

    def _base(self, where: str) -> Base:
        known = next((one.base for one in self._loaded.values() if one.base.where == where), None)
        if known is None:
            self._shrink(max(0, self._most - _on_disk(where)))
            model, tokenizer = read(where, self._cache, fast_dtype())
            model.eval()
            _check(model)
            known = Base(where, model.to(device()), tokenizer)
            _ = known.bytes_of
        return known


def _check(model: Any) -> None:
    """UnknownModel if the engine cannot decode with a model."""
    from ftbuild.local.cache import Rows, Unsuitable

    try:
        Rows(model.config)
    except Unsuitable as error:
        raise UnknownModel(str(error)) from error


def memory_bound() -> int | None:
    """Return the bytes that models may take in memory, from `FTBUILD_MODEL_MEMORY` (in gigabytes); None if it says nothing."""
    told = os.environ.get("FTBUILD_MODEL_MEMORY", "")
    return int(float(told) * 2**30) if told else None


def _half_of_memory() -> int:
    try:
        return max(_FEWEST, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2)
    except (ValueError, OSError):
        return 4 * _FEWEST


def _on_disk(where: str) -> int:
    return sum(f.stat().st_size for f in Path(where).glob("*.safetensors")) if Path(where).is_dir() else 0


def _stamp(folder: Path) -> float:
    """Return when a directory's weights were written, so that what was trained again is loaded again."""
    try:
        return max((f.stat().st_mtime for f in folder.glob("*.safetensors")), default=0) if folder.is_dir() else 0
    except OSError:
        return 0
