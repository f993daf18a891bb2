"""curate: decide which pairs become training data.

In: the pairs of all templates, kinds and sources.  Out: `pairs.jsonl`, the pairs to train on; `held_out.jsonl`, those kept
back to test with; `rejected.jsonl`, all others, each with the filter's reason, together with what generate rejected.

No probe may be trained on: a pair that asks a probe's question is rejected here, whatever the filters say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from ftbuild.digest import digest
from ftbuild.errors import ConfigError
from ftbuild.filters import same_question
from ftbuild.records import Pair, Rejected, read_pairs, read_rejected, write_jsonl
from ftbuild.registry import Use
from ftbuild.stage import Task, stage


@stage(
    reads=("curate", "evaluate"),
    inputs=("fetch/pairs.jsonl", "generate/pairs.jsonl", "generate/rejected.jsonl"),
    outputs=("pairs.jsonl", "held_out.jsonl", "rejected.jsonl"),
    quick=True,
)
def curate(task: Task) -> None:
    """Filter the pairs, and keep the probes' questions out of them."""
    rules = task.recipe.curate
    rejected = list(read_rejected(task.input("generate/rejected.jsonl")))
    pairs: Iterable[Pair] = chain(*(read_pairs(task.input(f"{s}/pairs.jsonl")) for s in ("fetch", "generate")))
    for name, use in rules.filters.items():
        pairs = _filtered(pairs, name, use, rejected)
    kept, probes = [], {same_question(p.question) for p in task.recipe.evaluate.probes.values()}
    for pair in pairs:
        if same_question(pair.prompt) in probes:
            rejected.append(_rejected(pair, "is a probe"))
        else:
            kept.append(pair)
    held = _held_out(kept, rules.hold_out)
    write_jsonl(task.out / "held_out.jsonl", (p for p in kept if p.id in held))
    task.facts["pairs"] = write_jsonl(task.out / "pairs.jsonl", (p for p in kept if p.id not in held))
    task.facts["held_out"] = len(held)
    task.facts["rejected"] = write_jsonl(task.out / "rejected.jsonl", rejected)


def _filtered(
    pairs: Iterable[Pair], name: str, use: Use[Iterable[tuple[Pair, str]]], rejected: list[Rejected]
) -> Iterator[Pair]:
    for pair, reason in use(pairs):
        if reason:
            rejected.append(_rejected(pair, f"{name}: {reason}"))
        else:
            yield pair


def _rejected(pair: Pair, reason: str) -> Rejected:
    return Rejected(reason, f"{pair.prompt} → {pair.completion}", pair.origin)


def _held_out(pairs: list[Pair], count: int) -> set[str]:
    """Choose pairs to hold out by their digests, so that the choice does not depend on their order."""
    if count >= len(pairs) > 0:
        raise ConfigError(f"curate.hold_out: {count} of {len(pairs)} pairs would leave nothing to train on")
    return {p.id for p in sorted(pairs, key=lambda p: digest(["held out", p.id]))[:count]}
