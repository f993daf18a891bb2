"""What a request may say about how to train: names, ranges, and the numbers that `auto` stands for.

In: hyperparameters as the protocol has them, and those of this server beside them.  Out: settings by the names that the
training process knows (`training.Hyperparameters`), and back again for the job that the client sees.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ftbuild.local.protocol import ProtocolError


@dataclass(frozen=True)
class Known:
    """One hyperparameter: its name in training, its type, the least and the most that it may be, or the words that it knows."""

    name: str
    type: type
    least: float = 0
    most: float = 0
    words: tuple[str, ...] = ()

    def checked(self, value: Any, place: str) -> Any:
        """Return the value in its type; 400 if it cannot be."""
        if self.type is bool:
            right, wanted = isinstance(value, bool), "true or false"
        elif self.type is str:
            right, wanted = value in self.words, " or ".join(map(repr, self.words))
        else:
            right = isinstance(value, int | float) and not isinstance(value, bool) and self.least <= value <= self.most
            right = right and (self.type is float or float(value).is_integer())
            wanted = f"{'a whole' if self.type is int else 'a'} number from {self.least:g} to {self.most:g}, or 'auto'"
        if not right:
            raise ProtocolError(400, f"{value!r} is no value for {place}: {wanted} is wanted", param=place)
        return self.type(value)


KNOWN = {
    "n_epochs": Known("epochs", int, 1, 1000),
    "batch_size": Known("batch_size", int, 1, 4096),
    "learning_rate_multiplier": Known("learning_rate_multiplier", float, 1e-6, 1e3),
    "beta": Known("beta", float, 1e-4, 100),
    # What only this server knows.
    "learning_rate": Known("learning_rate", float, 1e-8, 1),
    "method": Known("method", str, words=("full", "lora")),
    "lora_rank": Known("lora_rank", int, 1, 1024),
    "merge": Known("merge", bool),
    "max_length": Known("max_length", int, 8, 2**20),
    "packing": Known("packing", bool),
    "noise": Known("noise", float, 0, 1000),
    "weight_decay": Known("weight_decay", float, 0, 10),
    "checkpoints": Known("checkpoints", int, 0, 1000),
    "save_steps": Known("save_steps", int, 1, 10**9),
}

OWN = frozenset(KNOWN) - {"n_epochs", "batch_size", "learning_rate_multiplier", "beta"}
"""Those that may also stand at the top of a request, where the client's `extra_body` puts them."""

_RATES = {("supervised", "full"): 4e-4, ("supervised", "lora"): 1e-3, ("dpo", "full"): 2e-5, ("dpo", "lora"): 1e-4}
_FEW = 1000  # rows seen altogether that a small file should give
_SHOWN = ("learning_rate", "method", "lora_rank", "max_length", "packing", "noise", "weight_decay")


def checked(given: Mapping[str, Any], place: str = "hyperparameters") -> dict[str, Any]:
    """Return what is known of these hyperparameters, by the names of training.  ProtocolError names a wrong value.

    Unknown ones are ignored, and so are those that are null or `auto`.
    """
    return {
        KNOWN[name].name: KNOWN[name].checked(value, f"{place}.{name}" if place else name)
        for name, value in given.items()
        if name in KNOWN and value not in (None, "auto")
    }


def resolved(settings: Mapping[str, Any], kind: str, rows: int) -> dict[str, Any]:
    """Return settings with real numbers for what was left to be chosen.  `kind` is `supervised` or `dpo`.

    A small file is seen more often, in smaller batches.
    """
    method = settings.get("method", "full")
    base = _RATES[kind, method]
    chosen = {
        "batch_size": max(1, min(32, rows // 8)),
        "epochs": max(3, min(20, -(-_FEW // rows))) if kind == "supervised" else 2,
        "learning_rate": base * settings.get("learning_rate_multiplier", 1.0),
        "method": method,
    } | ({"beta": 0.1} if kind == "dpo" else {})
    made = {**chosen, **{k: v for k, v in settings.items() if k != "learning_rate_multiplier"}}
    return {**made, "learning_rate_multiplier": round(made["learning_rate"] / base, 6)}


def shown(settings: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Return settings as the job shows them to the client."""
    names = ["n_epochs", "batch_size", "learning_rate_multiplier", *(["beta"] if kind == "dpo" else [])]
    told = {name: settings.get(KNOWN[name].name, "auto") for name in names}
    return told | {name: settings[name] for name in _SHOWN if name in settings}
