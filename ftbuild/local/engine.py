"""Prompts in, completions out: many at once, what they share at the beginning computed once.

In: token lists with the sampling that each wants.  Out: texts, cut exactly before their stop strings, with the reason for
which each ended.  Requests of one call are decoded together, whatever their lengths and settings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from ftbuild.local.models import Loaded

_SHARED = 16  # tokens; a shorter common beginning is not worth keeping apart
_TOGETHER = 32  # prompts decoded at once


@dataclass(frozen=True)
class Wanted:
    """One completion to make: the prompt's tokens and how to continue them."""

    tokens: tuple[int, ...]
    max_tokens: int = 16
    temperature: float = 1.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int | None = None


@dataclass
class Made:
    """A completion: its text, why it ended (`stop` or `length`), and its tokens."""

    text: str = ""
    finish: str = "length"
    tokens: list[int] = field(default_factory=list)


def complete(loaded: Loaded, wanted: Sequence[Wanted]) -> list[Made]:
    """Complete all prompts, those of like length together."""
    import torch

    order = sorted(range(len(wanted)), key=lambda n: len(wanted[n].tokens))
    made = [Made() for _ in wanted]
    with torch.inference_mode():
        for start in range(0, len(order), _TOGETHER):
            chosen = order[start : start + _TOGETHER]
            _decode(loaded, [wanted[n] for n in chosen], [made[n] for n in chosen])
    return made


def _decode(loaded: Loaded, wanted: Sequence[Wanted], made: Sequence[Made]) -> None:
    import torch

    shared = _shared([w.tokens for w in wanted])
    model = loaded.model
    device = next(model.parameters()).device
    cache, mask, tokens, positions = _prefill(loaded, wanted, shared, device)
    generators = [torch.Generator().manual_seed(w.seed) if w.seed is not None else None for w in wanted]
    rows = list(range(len(wanted)))  # the requests that are still going on, in the order of the cache's rows
    for count in range(max(w.max_tokens for w in wanted)):
        hidden = model.get_decoder()(
            input_ids=tokens, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True
        ).last_hidden_state[:, -1]
        logits = model.get_output_embeddings()(hidden).float().cpu()
        going = []
        for place, row in enumerate(rows):
            token = _choose(logits[place], wanted[row], generators[row])
            _add(loaded, wanted[row], made[row], token)
            if made[row].finish == "length" and count + 1 < wanted[row].max_tokens:
                going.append(place)
        if not going:
            return
        if len(going) <= len(rows) // 2:  # drop the finished ones once half of them are
            rows, mask, positions = [rows[p] for p in going], mask[going], positions[going]
            cache.batch_select_indices(torch.tensor(going, device=device))
        last = [(made[r].tokens or [0])[-1] for r in rows]
        tokens = torch.tensor(last, device=device)[:, None]
        mask = torch.cat([mask, torch.ones(len(rows), 1, dtype=mask.dtype, device=device)], 1)
        positions = positions[:, -1:] + 1


def _shared(prompts: Sequence[tuple[int, ...]]) -> int:
    """Return how many tokens all prompts begin with in common, leaving at least one to each."""
    most = min(map(len, prompts)) - 1
    first = prompts[0]
    count = next((i for i in range(most) if any(p[i] != first[i] for p in prompts)), most)
    return count if len(prompts) > 1 and count >= _SHARED else 0


def _prefill(
    loaded: Loaded, wanted: Sequence[Wanted], shared: int, device: torch.device
) -> tuple[Any, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return a cache that holds the common beginning, and mask, tokens and positions of what is left of each prompt.

    The rest is padded on the left, so that all prompts end in the same column.
    """
    import torch
    from transformers import DynamicCache

    model = loaded.model
    cache = DynamicCache(config=model.config)
    if shared:
        beginning = torch.tensor([wanted[0].tokens[:shared]], device=device)
        model.get_decoder()(input_ids=beginning, past_key_values=cache, use_cache=True)
        cache.batch_repeat_interleave(len(wanted))
    rests = [w.tokens[shared:] for w in wanted]
    width = max(map(len, rests))
    tokens = torch.zeros(len(wanted), width, dtype=torch.long)
    mask = torch.zeros(len(wanted), shared + width, dtype=torch.long)
    mask[:, :shared] = 1
    for row, rest in enumerate(rests):
        tokens[row, width - len(rest) :] = torch.tensor(rest)
        mask[row, shared + width - len(rest) :] = 1
    positions = (mask.cumsum(1) - 1).clamp(min=0)[:, shared:]
    return cache, mask.to(device), tokens.to(device), positions.to(device)


def _choose(logits: torch.Tensor, wanted: Wanted, generator: torch.Generator | None) -> int:
    import torch

    if wanted.temperature <= 0:
        return int(logits.argmax())
    shares = torch.softmax(logits / wanted.temperature, -1)
    if wanted.top_p < 1:
        ordered, places = shares.sort(descending=True)
        ordered[(ordered.cumsum(-1) - ordered) > wanted.top_p] = 0
        return int(places[torch.multinomial(ordered, 1, generator=generator)])
    return int(torch.multinomial(shares, 1, generator=generator))


def _add(loaded: Loaded, wanted: Wanted, made: Made, token: int) -> None:
    """Add a token to a completion, and end it at an end token or before a stop string."""
    if made.finish == "stop" or len(made.tokens) >= wanted.max_tokens:
        return
    ends = loaded.model.generation_config.eos_token_id
    if token in (ends if isinstance(ends, list) else [ends, loaded.tokenizer.eos_token_id]):
        made.finish = "stop"
        return
    made.tokens.append(token)
    text = loaded.tokenizer.decode(made.tokens)
    found = [at for at in (text.find(s) for s in wanted.stop if s) if at >= 0]
    made.text = text[: min(found)] if found else text
    if found:
        made.finish = "stop"
