"""Rows that begin alike, laid out as one tree, so that what they share is computed once.

Every row of a recipe begins with the same words, and a question may have several answers.  A pack holds each distinct prefix
once: every token is a node, its position is its depth, and it sees its ancestors and itself.  The loss is the same as over
the padded rows, number for number; only the work is less.

Source: the tree attention of SpecInfer (Miao et al., 2023), used here for training.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


_ROUND = 64


@dataclass(frozen=True)
class Row:
    """A tokenised training row: all its tokens, and which of them the model is to learn (`weights`, one a token)."""

    tokens: tuple[int, ...]
    weights: tuple[float, ...]

    def longest(self) -> int:
        """Return how many tokens the row has."""
        return len(self.tokens)

    def cut(self, most: int) -> Row:
        """Return the row cut to `most` tokens."""
        return Row(self.tokens[:most], self.weights[:most])


@dataclass(frozen=True)
class Tree:
    """A pack as plain lists, one entry a node, parents before children."""

    tokens: list[int]
    depths: list[int]
    parents: list[int]
    weights: list[float]

    def ancestors(self) -> Iterator[list[int]]:
        """Yield, for each node, the nodes that it sees."""
        seen: list[list[int]] = []
        for node, parent in enumerate(self.parents):
            seen.append([*(seen[parent] if parent >= 0 else []), node])
            yield seen[-1]


def tree(rows: Iterable[Row]) -> Tree:
    """Merge rows into a tree of their prefixes.  A node's weight is the sum of what its rows give it."""
    nodes: dict[tuple[int, int], int] = {}
    made = Tree([], [], [], [])
    for row in rows:
        parent = -1
        for depth, (token, weight) in enumerate(zip(row.tokens, row.weights, strict=True)):
            node = nodes.get((parent, token))
            if node is None:
                node = nodes[parent, token] = len(made.tokens)
                made.tokens.append(token)
                made.depths.append(depth)
                made.parents.append(parent)
                made.weights.append(0.0)
            if depth:
                made.weights[node] += weight
            parent = node
    return made


@dataclass(frozen=True)
class Batch:
    """Packs of one step as tensors.

    `tokens` and `positions` are (packs, nodes); `mask` is (packs, 1, nodes, nodes), 0 where a node sees another and minus
    infinity where it does not; `sources`, `targets` and `weights` say which node predicts which token, and how much it counts.
    """

    tokens: torch.Tensor
    positions: torch.Tensor
    mask: torch.Tensor
    sources: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor


def packs(rows: Sequence[Row], *, most_tokens: int, most_rows: int = 16) -> list[Tree]:
    """Lay rows out as trees of at most `most_tokens` nodes each, rows that begin alike together."""
    made: list[Tree] = []
    waiting: list[Row] = []
    for row in sorted(rows, key=lambda r: r.tokens):
        grown = tree([*waiting, row])
        if waiting and (len(grown.tokens) > most_tokens or len(waiting) >= most_rows):
            made.append(tree(waiting))
            waiting = []
        waiting.append(row)
    return [*made, tree(waiting)] if waiting else made


def batch(trees: Sequence[Tree], dtype: torch.dtype) -> Batch:
    """Turn trees into tensors, padded to the largest of them and then to a round size.

    Round sizes come again: memory that one step frees fits the next one, and does not fall to pieces.
    """
    import torch

    width = _round(max(len(t.tokens) for t in trees))
    tokens = torch.zeros(len(trees), width, dtype=torch.long)
    positions = torch.zeros(len(trees), width, dtype=torch.long)
    mask = torch.full((len(trees), 1, width, width), float("-inf"), dtype=dtype)
    sources, targets, weights = [], [], []
    for n, pack in enumerate(trees):
        size = len(pack.tokens)
        tokens[n, :size] = torch.tensor(pack.tokens)
        positions[n, :size] = torch.tensor(pack.depths)
        for node, seen in enumerate(pack.ancestors()):
            mask[n, 0, node, seen] = 0
        mask[n, 0, size:, 0] = 0  # padding must see something, or its softmax is not a number
        learned = [i for i, weight in enumerate(pack.weights) if weight]
        sources += [n * width + pack.parents[i] for i in learned]
        targets += [pack.tokens[i] for i in learned]
        weights += [pack.weights[i] for i in learned]
    missing = _round(len(sources)) - len(sources)
    sources, targets, weights = sources + [0] * missing, targets + [0] * missing, weights + [0.0] * missing
    nodes, words = torch.tensor(sources, dtype=torch.long), torch.tensor(targets, dtype=torch.long)
    return Batch(tokens, positions, mask, nodes, words, torch.tensor(weights, dtype=torch.float))


def _round(size: int) -> int:
    return -(-size // _ROUND) * _ROUND
