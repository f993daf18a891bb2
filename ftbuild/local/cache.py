"""What a model has read, kept for many rows at once: rows join, leave and grow while others go on.

A row's tokens stand at the right end of its columns; what is left of them is padding, which the engine's mask hides.  Unlike
the cache of transformers, which is copied whole at every step, this one is written in place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

_SLACK = 128  # columns of reserve, so that memory is asked for now and then only

Beginning = list[tuple[torch.Tensor, torch.Tensor]]
"""Keys and values of one row's first tokens, a pair for each layer: (heads, tokens, size)."""


class Unsuitable(Exception):
    """The model keeps something else than keys and values, such as the state of a linear attention."""


class _Layer(DynamicLayer):  # type: ignore[no-untyped-call]
    """Keys and values of one layer: (rows, heads, columns, size), in a store with room for more of each."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.rows = self.columns = 0
        self.stores: list[torch.Tensor] = []

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write the keys and values of new columns, and return all."""
        new = (key_states, value_states)
        rows, _heads, count, _size = key_states.shape
        self.reserve(rows, self.columns + count, new)
        for store, states in zip(self.stores, new, strict=True):
            store[:rows, :, self.columns : self.columns + count] = states
        self.rows, self.columns = rows, self.columns + count
        return self.show()

    def show(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the keys and values that are in use."""
        self.keys, self.values = (store[: self.rows, :, : self.columns] for store in self.stores)
        return self.keys, self.values

    def reserve(self, rows: int, columns: int, like: Sequence[torch.Tensor] = ()) -> None:
        """Make sure that there is room; what is new is zero."""
        if not self.stores:
            self.is_initialized = True
            self.dtype, self.device = like[0].dtype, like[0].device
            self.stores = [one.new_zeros(rows, one.shape[1], columns + _SLACK, one.shape[3]) for one in like]
        old = self.stores[0]
        if rows <= old.shape[0] and columns <= old.shape[2]:
            return
        most = (max(rows, old.shape[0]), max(columns + _SLACK, old.shape[2]))
        for n, store in enumerate(self.stores):
            self.stores[n] = store.new_zeros(most[0], store.shape[1], most[1], store.shape[3])
            self.stores[n][: self.rows, :, : self.columns] = store[: self.rows, :, : self.columns]

    def get_seq_length(self) -> int:
        """Return the number of columns in use."""
        return self.columns


class Rows(Cache):
    """The cache of a batch, one layer after the other."""

    def __init__(self, config: Any) -> None:
        kinds = DynamicCache(config=config).layers
        if any(not isinstance(layer, DynamicLayer) for layer in kinds):
            raise Unsuitable("the model has layers without keys and values, which this server cannot decode together")
        super().__init__(layers=[_Layer() for _ in range(config.get_text_config(decoder=True).num_hidden_layers)])

    @property
    def columns(self) -> int:
        """How many columns are in use."""
        return self._all[0].columns

    def begin(self, beginning: Beginning, rows: int, tokens: int) -> None:
        """Fill an empty cache with the first tokens of a beginning, the same for all rows."""
        for layer, pair in zip(self._all, beginning, strict=False):
            same = [one[None, :, :tokens].expand(rows, -1, -1, -1) for one in pair]
            layer.update(*same)

    def beginning(self, row: int, columns: slice) -> Beginning:
        """Return a copy of a row's columns."""
        return [(k[row, :, columns].clone(), v[row, :, columns].clone()) for k, v in (one.show() for one in self._used())]

    def join(self, others: Rows) -> None:
        """Take another batch's rows in, after one's own; both end in the same column afterwards."""
        width = max(self.columns, others.columns)
        for mine, theirs in zip(self._used(), others._used(), strict=True):
            old, new = mine.rows, theirs.rows
            mine.reserve(old + new, width)
            shift, lead = width - mine.columns, width - theirs.columns
            for store, added in zip(mine.stores, theirs.show(), strict=True):
                if shift:
                    store[:old, :, shift:width] = store[:old, :, : mine.columns].clone()
                    store[:old, :, :shift] = 0
                store[old : old + new, :, :lead] = 0
                store[old : old + new, :, lead:width] = added
            mine.rows, mine.columns = old + new, width

    def drop(self, row: int) -> None:
        """Let a row go; the last one takes its place."""
        for layer in self._used():
            layer.rows -= 1
            for store in layer.stores:
                store[row, :, : layer.columns] = store[layer.rows, :, : layer.columns]

    def trim(self, count: int) -> None:
        """Take columns away at the left."""
        for layer in self._used():
            left = layer.columns - count
            for store in layer.stores:
                store[: layer.rows, :, :left] = store[: layer.rows, :, count : layer.columns].clone()
            layer.columns = left

    def size(self) -> int:
        """Return the bytes that a token of one row takes."""
        return sum(s.shape[1] * s.shape[3] * s.element_size() for layer in self._used() for s in layer.stores)

    @property
    def _all(self) -> list[_Layer]:
        return cast("list[_Layer]", self.layers)

    def _used(self) -> list[_Layer]:
        return [layer for layer in self._all if layer.stores]
