"""Packing: rows as a tree of their prefixes, over which the loss is the same, number for number, as over the rows."""

from __future__ import annotations

import math
from collections import defaultdict

import pytest
import torch
from torch import nn

from ftbuild.local.packing import Row, Tree, batch, packs, tree

SHARED = (1, 2, 3)
ROWS = [
    Row((*SHARED, 4, 5), (0, 0, 0, 1, 1)),
    Row((*SHARED, 4, 6), (0, 0, 0, 1, 1)),
    Row((*SHARED, 7), (0, 0, 0, 1)),
    Row((8, 9), (0, 1)),
]
VOCABULARY = 12

Taught = dict[tuple[tuple[int, ...], int], float]
"""After which tokens which token is learned, and with what weight."""


def path(packed: Tree, node: int) -> tuple[int, ...]:
    """Return the tokens that a node sees, itself the last."""
    return tuple(packed.tokens[n] for n in list(packed.ancestors())[node])


def learned(rows: list[Row]) -> Taught:
    """Add up what rows teach, each row by itself."""
    found: Taught = defaultdict(float)
    for row in rows:
        for n, weight in enumerate(row.weights):
            if n and weight:
                found[row.tokens[:n], row.tokens[n]] += weight
    return found


def test_shared_prefixes_are_one_path() -> None:
    packed = tree(ROWS)
    assert packed.tokens == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert packed.parents == [-1, 0, 1, 2, 3, 3, 2, -1, 7]
    assert packed.depths == [0, 1, 2, 3, 4, 4, 3, 0, 1]
    assert packed.weights == [0, 0, 0, 2, 1, 1, 1, 0, 1]


def test_every_node_sees_its_ancestors_and_itself() -> None:
    seen = list(tree(ROWS).ancestors())
    assert seen == [[0], [0, 1], [0, 1, 2], [0, 1, 2, 3], [0, 1, 2, 3, 4], [0, 1, 2, 3, 5], [0, 1, 2, 6], [7], [7, 8]]


def test_the_same_tokens_after_other_tokens_are_other_nodes() -> None:
    assert len(tree([Row((1, 2, 3), (0, 0, 1)), Row((2, 2, 3), (0, 0, 1))]).tokens) == 6


def test_a_row_that_occurs_twice_counts_twice_on_the_same_nodes() -> None:
    assert tree([ROWS[3], ROWS[3]]) == Tree([8, 9], [0, 1], [-1, 0], [0, 2])


def test_a_row_that_ends_inside_another_adds_no_node() -> None:
    packed = tree([Row((1, 2, 3), (0, 1, 1)), Row((1, 2), (0, 1))])
    assert (packed.tokens, packed.weights) == ([1, 2, 3], [0, 2, 1])


def test_a_first_token_is_never_learned_because_nothing_predicts_it() -> None:
    assert tree([Row((5, 6), (1, 1))]).weights == [0, 1]


def test_packs_hold_every_row_once_and_stay_below_their_bounds() -> None:
    rows = [Row((n % 3, n % 7, n, n + 1), (0, 0, 1, 1)) for n in range(60)]
    made = packs(rows, most_tokens=20, most_rows=5)
    assert max(len(p.tokens) for p in made) <= 20
    assert len(made) >= 60 / 5
    total: Taught = defaultdict(float)
    for packed in made:
        for node, weight in enumerate(packed.weights):
            if weight:
                *before, last = path(packed, node)
                total[tuple(before), last] += weight
    assert total == learned(rows)


def test_a_row_longer_than_a_pack_gets_a_pack_of_its_own() -> None:
    long = Row(tuple(range(30)), (0.0,) * 29 + (1.0,))
    assert sorted(len(p.tokens) for p in packs([*ROWS, long], most_tokens=10)) == [9, 30]


def test_no_rows_are_no_packs() -> None:
    assert packs([], most_tokens=10) == []


def test_a_batch_says_which_node_predicts_which_token_and_how_much_it_counts() -> None:
    trees = packs(ROWS, most_tokens=6)
    laid = batch(trees, torch.float32)
    width = laid.tokens.shape[1]
    assert len(trees) > 1
    assert width >= max(len(t.tokens) for t in trees)
    assert laid.tokens.shape == laid.positions.shape == (len(trees), width)
    found: Taught = defaultdict(float)
    for source, target, weight in zip(laid.sources, laid.targets, laid.weights, strict=True):
        pack, node = divmod(int(source), width)
        if weight:  # what is there only to make the size a round one counts nothing
            found[path(trees[pack], node), int(target)] += float(weight)
    assert found == learned(ROWS)
    assert (laid.sources.dtype, laid.targets.dtype) == (torch.long, torch.long)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_mask_opens_a_node_s_ancestors_and_nothing_else(dtype: torch.dtype) -> None:
    trees = packs(ROWS, most_tokens=6)
    laid = batch(trees, dtype)
    assert laid.mask.dtype == dtype
    assert laid.mask.shape == (len(trees), 1, laid.tokens.shape[1], laid.tokens.shape[1])
    for n, packed in enumerate(trees):
        for node, seen in enumerate(packed.ancestors()):
            row = laid.mask[n, 0, node]
            assert [i for i, value in enumerate(row.tolist()) if value == 0] == seen
            assert {value for i, value in enumerate(row.tolist()) if i not in seen} <= {-math.inf}


def test_padding_sees_something_so_that_its_softmax_is_a_number() -> None:
    laid = batch(packs(ROWS, most_tokens=6), torch.float32)
    assert not torch.softmax(laid.mask, dim=-1).isnan().any()


def test_rows_that_teach_nothing_make_a_batch_without_targets() -> None:
    laid = batch([tree([Row((1, 2), (0, 0))])], torch.float32)
    assert laid.sources.tolist() == laid.targets.tolist() == laid.weights.tolist() == []
    assert laid.sources.dtype == torch.long


class Reader(nn.Module):
    """A causal language model of one attention layer, in double precision."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(VOCABULARY, 8, dtype=torch.float64)
        self.places = nn.Embedding(16, 8, dtype=torch.float64)
        self.out = nn.Linear(8, VOCABULARY, dtype=torch.float64)

    def forward(self, tokens: torch.Tensor, positions: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return logits for tokens and positions (packs, nodes) under an additive mask (packs, 1, nodes, nodes)."""
        hidden = (self.words(tokens) + self.places(positions)).unsqueeze(1)
        seen = nn.functional.scaled_dot_product_attention(hidden, hidden, hidden, attn_mask=mask)
        logits: torch.Tensor = self.out(seen.squeeze(1))
        return logits


def loss_over_rows(model: Reader, rows: list[Row]) -> torch.Tensor:
    """Return the weighted mean loss, every row by itself, as a plain causal model would be trained."""
    total, count = torch.zeros((), dtype=torch.float64), 0.0
    for row in rows:
        size = len(row.tokens)
        mask = torch.full((size, size), -math.inf, dtype=torch.float64).triu(1)
        logits = model(torch.tensor([row.tokens]), torch.arange(size)[None], mask[None, None])[0, :-1]
        losses = nn.functional.cross_entropy(logits, torch.tensor(row.tokens[1:]), reduction="none")
        weights = torch.tensor(row.weights[1:], dtype=torch.float64)
        total, count = total + (losses * weights).sum(), count + float(weights.sum())
    return total / count


def loss_over_packs(model: Reader, rows: list[Row], most_tokens: int) -> torch.Tensor:
    laid = batch(packs(rows, most_tokens=most_tokens), torch.float64)
    logits = model(laid.tokens, laid.positions, laid.mask).reshape(-1, VOCABULARY)[laid.sources]
    losses = nn.functional.cross_entropy(logits, laid.targets, reduction="none")
    return (losses * laid.weights).sum() / laid.weights.sum()


@pytest.mark.parametrize("most_tokens", [5, 6, 9, 100])
def test_loss_and_gradients_are_those_of_the_separate_rows(most_tokens: int) -> None:
    torch.manual_seed(7)
    model = Reader()
    rows = [*ROWS, ROWS[0], Row((*SHARED, 10, 11, 4), (0, 0, 1, 0, 1, 0.5))]
    plain = torch.autograd.grad(loss_over_rows(model, rows), list(model.parameters()))
    packed = torch.autograd.grad(loss_over_packs(model, rows, most_tokens), list(model.parameters()))
    assert float(loss_over_packs(model, rows, most_tokens).detach()) == pytest.approx(
        float(loss_over_rows(model, rows).detach()), abs=1e-12
    )
    for one, other in zip(plain, packed, strict=True):
        assert torch.allclose(one, other, atol=1e-12)
