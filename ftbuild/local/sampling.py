"""From the model's numbers to the next token of each row.

In: logits of all rows of a batch, and how each row wants to be sampled.  Out: a token for each, and the log-probabilities of
those that asked for them, which are the model's own, before temperature, bias and penalties.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Sampling:
    """How to choose tokens.

    `bias` adds to a token's logit, `presence` and `frequency` take from those of tokens that were chosen before, `logprobs`
    is how many likely tokens to report beside the chosen one, `grammar` what the text must look like.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    seed: int | None = None
    presence: float = 0.0
    frequency: float = 0.0
    bias: tuple[tuple[int, float], ...] = ()
    logprobs: int | None = None
    grammar: str | None = None


@dataclass(frozen=True)
class Scored:
    """A token with its log-probability, and those of the likeliest tokens in its place, the likeliest first."""

    token: int
    logprob: float | None
    top: tuple[tuple[int, float], ...] = ()


@dataclass
class Sampler:
    """One row's way of choosing: its settings, and what depends on the tokens that it chose."""

    settings: Sampling
    matcher: Any = None
    chosen: Counter[int] = field(default_factory=Counter)
    lost: bool = False  # the grammar has become more than its library can follow
    _generator: Any = None

    def draw(self) -> float:
        """Return a number between 0 and 1."""
        import torch

        if self._generator is None and self.settings.seed is not None:
            self._generator = torch.Generator().manual_seed(self.settings.seed % 2**63)
        return float(torch.rand((), generator=self._generator, dtype=torch.float64))

    @property
    def plain(self) -> bool:
        """Whether the model's logits are taken as they are."""
        s = self.settings
        return not (s.bias or s.presence or s.frequency or self.matcher is not None)

    def adjust(self, logits: torch.Tensor) -> torch.Tensor:
        """Return a row's logits with bias, penalties and what the grammar forbids."""
        import torch

        settings = self.settings
        logits = logits.clone()
        if self.chosen and (settings.presence or settings.frequency):
            tokens = torch.tensor(list(self.chosen))
            counts = torch.tensor(list(self.chosen.values()), dtype=logits.dtype)
            logits[tokens] -= settings.presence + settings.frequency * counts
        for token, bias in settings.bias:
            logits[token] += bias
        if self.matcher is not None and not self.lost:
            try:
                allowed = torch.frombuffer(bytearray(self.matcher.compute_logit_bias()), dtype=torch.uint8)
            except ValueError:
                self.lost = True
                return logits
            logits[: len(allowed)].masked_fill_(allowed == 0, float("-inf"))
            logits[len(allowed) :] = float("-inf")
        return logits

    def take(self, token: int) -> None:
        """Remember the token that was chosen."""
        if self.settings.presence or self.settings.frequency:
            self.chosen[token] += 1
        if self.matcher is not None and not self.matcher.is_stopped():
            self.lost = self.lost or not self.matcher.consume_token(token)


def choose(logits: torch.Tensor, samplers: Sequence[Sampler]) -> list[Scored]:
    """Choose the next token of every row; `logits` is (rows, tokens) in 32 bits on the CPU."""
    import torch

    adjusted = logits
    if not all(s.plain for s in samplers):
        adjusted = torch.stack([one if s.plain else s.adjust(one) for one, s in zip(logits, samplers, strict=True)])
    tokens = adjusted.argmax(-1).tolist()
    for cut in (False, True):  # apart, so that a seed gives the same whoever else is there
        random = [n for n, s in enumerate(samplers) if s.settings.temperature > 0 and (s.settings.top_p < 1) is cut]
        if random:
            for n, token in zip(random, _sample(adjusted[random], [samplers[n] for n in random], cut=cut), strict=True):
                tokens[n] = token
    scored = [score(logits[n], token, samplers[n].settings.logprobs) for n, token in enumerate(tokens)]
    for sampler, token in zip(samplers, tokens, strict=True):
        sampler.take(token)
    return scored


def _sample(logits: torch.Tensor, samplers: Sequence[Sampler], *, cut: bool) -> list[int]:
    """Draw a token for each row; with `cut`, out of the likeliest that together have a share of `top_p`."""
    import torch

    temperatures = torch.tensor([max(s.settings.temperature, 1e-4) for s in samplers])
    shares = torch.softmax(logits / temperatures[:, None], -1).double()
    if cut:
        top_p = torch.tensor([[s.settings.top_p] for s in samplers], dtype=torch.float64)
        shares, places = shares.sort(dim=-1, descending=True)
        shares[(shares.cumsum(-1) - shares) >= top_p.clamp(min=1e-9)] = 0  # the likeliest one always stays
    sums = shares.cumsum(-1)
    draws = torch.tensor([[s.draw()] for s in samplers], dtype=torch.float64)
    found = torch.searchsorted(sums, draws * sums[:, -1:], right=True).clamp(max=sums.shape[-1] - 1)
    tokens: list[int] = (places.gather(-1, found) if cut else found)[:, 0].tolist()
    return tokens


def score(logits: torch.Tensor, token: int, top: int | None) -> Scored:
    """Return a token with its log-probability, if `top` says that it is wanted."""
    import torch

    if top is None:
        return Scored(token, None)
    shares = torch.log_softmax(logits, -1)
    values, tokens = shares.topk(min(top, len(shares)))
    likeliest = tuple(zip(tokens.tolist(), values.tolist(), strict=True))
    return Scored(token, float(shares[token]), likeliest)
