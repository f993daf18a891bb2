"""Prompts in, completions out, many at once: rows join a batch while others are being decoded, and leave when they end.

In: `Row`s, each with its prompt, its adapter and how it is to be continued.  Out: their texts, tokens and reasons for ending,
a token a step.  What prompts share at the beginning is read once.  Everything here runs in one thread, and knows no protocol.

Source: iteration-level scheduling as in Orca (Yu et al., 2022).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ftbuild.local.sampling import Sampler, Sampling, Scored, choose, score
from ftbuild.local.writing import Writing

if TYPE_CHECKING:
    import torch

    from ftbuild.local.library import Loaded

_CHUNK = 512  # columns of prompts that are read in one go; what is not read yet takes no memory
_MOST_ROWS = 48
_MOST_BYTES = 2 * 2**30  # of keys and values
_PADDING = 64  # columns that no row needs any more, before they are taken away


@dataclass(frozen=True)
class Wanted:
    """One completion to make: the prompt's tokens and how to continue them.

    `scored` asks for the log-probabilities of the prompt's own tokens.
    """

    tokens: tuple[int, ...]
    max_tokens: int = 16
    stop: tuple[str, ...] = ()
    sampling: Sampling = field(default_factory=Sampling)
    scored: bool = False


class Row:
    """A completion that is being made.

    `finish` is empty until it ends, then `stop` or `length`.  `tell` is called by the engine after each step of the row.
    """

    def __init__(self, loaded: Loaded, wanted: Wanted, tell: Callable[[Row], None] | None = None) -> None:
        self.loaded, self.wanted, self.tell = loaded, wanted, tell
        self.writing = Writing(wanted.stop)
        self.scores: list[Scored] = []
        self.prompt_scores: list[Scored] = []
        self.finish = ""
        self.cached = 0
        self.cancelled = False
        matcher = None
        if wanted.sampling.grammar is not None:
            import llguidance

            matcher = llguidance.LLMatcher(loaded.base.grammars, wanted.sampling.grammar, log_level=0)
        self.sampler = Sampler(wanted.sampling, matcher)

    @property
    def text(self) -> str:
        """The text so far."""
        return self.writing.text

    @property
    def tokens(self) -> list[int]:
        """The tokens so far, without the one that ended the text."""
        return [s.token for s in self.scores]

    def add(self, scored: Scored) -> None:
        """Add a token, and end at an end token, at a stop string, or when there are enough."""
        if self.sampler.lost:
            self.finish = "length"  # what there is does not keep to the grammar any more
        elif scored.token in self.loaded.base.ends:
            self.finish = "stop"
        else:
            self.scores.append(scored)
            self.writing.add(self.loaded.base.bytes_of[scored.token])
            matcher = self.sampler.matcher
            if self.writing.stopped or (matcher is not None and matcher.is_stopped()):
                self.finish = "stop"
            elif len(self.scores) >= self.wanted.max_tokens:
                self.finish = "length"
        if self.finish:
            self.writing.end()


class Batch:
    """The rows that one base model is at, and what it has read of them."""

    def __init__(self, loaded: Loaded) -> None:
        self.base = loaded.base
        self.rows: list[Row] = []
        self._cache: Any = None
        self._mask: torch.Tensor | None = None

    def takes(self, rows: Sequence[Row]) -> bool:
        """Say whether there is room for these rows beside the others."""
        if not self.rows:
            return len(rows) <= _MOST_ROWS
        if len(self.rows) + len(rows) > _MOST_ROWS:
            return False
        columns = max(self._cache.columns, *(len(row.wanted.tokens) for row in rows)) + _CHUNK // 2
        return bool((len(self.rows) + len(rows)) * columns * self._cache.size() <= _MOST_BYTES)

    def admit(self, rows: Sequence[Row]) -> None:
        """Read the prompts of new rows and choose the first token of each."""
        import torch

        from ftbuild.local.prefixes import groups

        with torch.inference_mode():
            for row in rows:
                if row.wanted.scored:
                    self._score_prompt(row)
                if not row.wanted.max_tokens:
                    row.finish = "length"
            rows = [row for row in rows if not row.finish]
            for adapter in {row.loaded.adapter: None for row in rows}:
                mine = [row for row in rows if row.loaded.adapter is adapter]
                known = [self.base.prefixes.find(adapter, row.wanted.tokens)[0] for row in mine]
                for places in groups([row.wanted.tokens for row in mine], known):
                    self._read([mine[p] for p in places])

    def step(self) -> list[Row]:
        """Continue every row by a token, and return them; those that have ended leave the batch."""
        import torch

        if not self.rows:
            return []
        assert self._mask is not None
        with torch.inference_mode():
            self._mask = torch.cat([self._mask, self._mask.new_ones(len(self.rows), 1)], 1)
            positions = self._mask.sum(1, keepdim=True) - 1
            tokens = torch.tensor([[row.scores[-1].token] for row in self.rows], device=self.base.device)
            logits = self._forward(tokens, self._mask, positions, self._cache, self.rows)[:, -1]
            stepped = list(self.rows)
            for row, scored in zip(stepped, choose(logits, [row.sampler for row in stepped]), strict=True):
                row.add(scored)
            self.leave()
        return stepped

    def leave(self) -> None:
        """Let go of the rows that have ended or that nobody waits for."""
        for place in range(len(self.rows) - 1, -1, -1):
            if self.rows[place].finish or self.rows[place].cancelled:
                assert self._mask is not None
                self._cache.drop(place)
                self.rows[place] = self.rows[-1]
                self._mask[place] = self._mask[-1]
                self._mask = self._mask[:-1]
                self.rows.pop()
        if not self.rows:
            self._cache = self._mask = None
            return
        assert self._mask is not None
        empty = int(self._mask.any(0).int().argmax())
        if empty >= _PADDING:
            self._cache.trim(empty)
            self._mask = self._mask[:, empty:]

    # ---- reading prompts ----

    def _read(self, rows: Sequence[Row]) -> None:
        import torch

        cache, shared, cached = self._begin(rows)
        rests = [row.wanted.tokens[shared:] for row in rows]
        width = max(map(len, rests))
        tokens = torch.zeros(len(rows), width, dtype=torch.long)
        mask = torch.zeros(len(rows), shared + width, dtype=torch.long)
        mask[:, :shared] = 1
        for place, rest in enumerate(rests):
            tokens[place, width - len(rest) :] = torch.tensor(rest)
            mask[place, shared + width - len(rest) :] = 1
        mask, tokens = mask.to(self.base.device), tokens.to(self.base.device)
        logits = self._forward_all(tokens, mask, cache, rows)[-1][:, -1]
        if len(rows) == 1:
            self._remember(rows[0], cache, len(rows[0].wanted.tokens))
        for row, scored in zip(rows, choose(logits, [row.sampler for row in rows]), strict=True):
            row.cached = cached
            row.add(scored)
        self._join(rows, cache, mask)

    def _begin(self, rows: Sequence[Row]) -> tuple[Any, int, int]:
        """Return a cache that holds what the prompts begin with in common, how many tokens that is, and how many were known."""
        import torch

        from ftbuild.local.cache import Rows
        from ftbuild.local.prefixes import WORTH, common

        config = self.base.model.config
        cache, first = Rows(config), rows[0].wanted.tokens
        if _slides(config):
            return cache, 0, 0
        shared = min(min(common(first, row.wanted.tokens), len(row.wanted.tokens) - 1) for row in rows)
        known, count = self.base.prefixes.find(rows[0].loaded.adapter, first[: shared + 1])
        cached = count
        if len(rows) > 1 and shared - count >= WORTH:
            alone = Rows(config)
            if known:
                alone.begin(known.kept, 1, count)
            tokens = torch.tensor([first[count:shared]], device=self.base.device)
            mask = torch.ones(1, shared, dtype=torch.long, device=self.base.device)
            self._forward_all(tokens, mask, alone, rows[:1])
            known, count = self._remember(rows[0], alone, shared), shared
        if known:
            cache.begin(known.kept, len(rows), count)
        return cache, count, cached

    def _remember(self, row: Row, cache: Any, count: int) -> Any:
        from ftbuild.local.prefixes import WORTH, Known

        if count < WORTH or _slides(self.base.model.config):
            return None
        known = Known(row.loaded.adapter, row.wanted.tokens[:count], cache.beginning(0, slice(0, count)))
        self.base.prefixes.keep(known)
        return known

    def _join(self, rows: Sequence[Row], cache: Any, mask: torch.Tensor) -> None:
        import torch

        if self._cache is None:
            self._cache, self._mask = cache, mask
        else:
            assert self._mask is not None
            self._cache.join(cache)
            width = max(self._mask.shape[1], mask.shape[1])
            padded = [torch.nn.functional.pad(one, (width - one.shape[1], 0)) for one in (self._mask, mask)]
            self._mask = torch.cat(padded)
        self.rows += rows
        self.leave()

    def _score_prompt(self, row: Row) -> None:
        """Find how likely the model holds each token of a prompt, after those before it."""
        import torch

        from ftbuild.local.cache import Rows

        told, top = row.wanted.tokens, row.wanted.sampling.logprobs
        row.prompt_scores = [Scored(told[0], None)]
        tokens = torch.tensor([told], device=self.base.device)
        for chunk in self._forward_all(tokens, torch.ones_like(tokens), Rows(self.base.model.config), [row], every=True):
            for logits in chunk[0]:
                if len(row.prompt_scores) < len(told):
                    row.prompt_scores.append(score(logits, told[len(row.prompt_scores)], top))

    # ---- the model ----

    def _forward_all(
        self, tokens: torch.Tensor, mask: torch.Tensor, cache: Any, rows: Sequence[Row], *, every: bool = False
    ) -> list[torch.Tensor]:
        """Read tokens a chunk at a time; return each chunk's logits, those of its last column or, with `every`, of all."""
        start = mask.shape[1] - tokens.shape[1]
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        seen = []
        for first in range(0, tokens.shape[1], _CHUNK):
            part = tokens[:, first : first + _CHUNK]
            upto = start + first + part.shape[1]
            seen.append(self._forward(part, mask[:, :upto], positions[:, start + first : upto], cache, rows, every=every))
        return seen

    def _forward(
        self,
        tokens: torch.Tensor,
        mask: torch.Tensor,
        positions: torch.Tensor,
        cache: Any,
        rows: Sequence[Row],
        *,
        every: bool = False,
    ) -> torch.Tensor:
        """Return the logits of the last column, or of all: (rows, columns, tokens), 32 bits, on the CPU."""
        with self.base.hooks.using([row.loaded.adapter for row in rows]):
            logits: torch.Tensor = self.base.model(
                input_ids=tokens,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=0 if every else 1,
            ).logits
        return logits.float().cpu()


def complete(loaded: Loaded, wanted: Sequence[Wanted]) -> list[Row]:
    """Complete all prompts, and return their rows."""
    batch, rows = Batch(loaded), [Row(loaded, one) for one in wanted]
    waiting = list(rows)
    while waiting or batch.rows:
        count = next((n for n in range(len(waiting), 0, -1) if batch.takes(waiting[:n])), 0)
        batch.admit(waiting[:count])
        waiting = waiting[count:]
        batch.step()
    return rows


def _slides(config: Any) -> bool:
    """Say whether the model's attention has a window, in which the padding between a shared beginning and the rest counts."""
    kinds = getattr(config.get_text_config(decoder=True), "layer_types", None) or ()
    return any("sliding" in kind or "chunked" in kind for kind in kinds)
