"""What there is to export: rows, base model and hyperparameters, and for each of them where it comes from.

In: a recipe and its rows.  Out: an `Export`.  Hyperparameters that the recipe leaves to the trainer are those that ftbuild's
own trainer would take for as many rows, and each says so.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftbuild.errors import ConfigError
from ftbuild.providers import chosen_hyperparameters, weights_of

if TYPE_CHECKING:
    from ftbuild.recipe import Recipe

_ROUND = 64  # tokens to which the longest row is rounded up
_MICRO = 8  # rows at once on one device; the rest of a batch is accumulated
_WARMUP = 0.05


@dataclass(frozen=True)
class Export:
    """A dataset and how to train on it.  `derived` says where each hyperparameter comes from."""

    name: str
    kind: str
    rows: Sequence[Mapping[str, Any]]
    held_out: Sequence[Mapping[str, Any]]
    base_model: str
    method: str
    epochs: int
    batch_size: int
    learning_rate: float
    lora_rank: int
    seed: int
    max_length: int
    weight_decay: float
    separator: str
    stop: str
    derived: Mapping[str, str] = field(default_factory=dict)
    sources: Sequence[Mapping[str, Any]] = ()

    @property
    def micro(self) -> int:
        """How many rows a device takes at once: the largest part of a batch that divides it, and is not too large."""
        return next(n for n in range(min(_MICRO, self.batch_size), 0, -1) if self.batch_size % n == 0)

    @property
    def accumulated(self) -> int:
        """How often that is repeated for one step."""
        return self.batch_size // self.micro

    @property
    def warmup_steps(self) -> int:
        """How many steps the learning rate rises."""
        return math.ceil(_WARMUP * self.epochs * math.ceil(len(self.rows) / self.batch_size))

    @property
    def lora_alpha(self) -> int:
        """The scale of an adapter, as ftbuild's own trainer sets it."""
        return 2 * self.lora_rank

    @property
    def output(self) -> str:
        """The folder that the tuned model is written to."""
        return f"tuned-{self.name}"


def gathered(
    recipe: Recipe,
    rows: Sequence[Mapping[str, Any]],
    held_out: Sequence[Mapping[str, Any]],
    *,
    longest: int,
    exact: bool,
    sources: Sequence[Mapping[str, Any]] = (),
) -> Export:
    """Return what a recipe says about training, and its rows.  `longest` is the tokens of the longest row.

    ConfigError if the base model has no weights that can be had, and if a hyperparameter is none that is known.
    """
    told, format = recipe.train, recipe.format
    weights = weights_of(recipe.trainer.provider, recipe.trainer.base_model)
    if not weights:
        raise ConfigError(
            f"trainer.base_model: the weights of {recipe.trainer.base_model} are not to be had, so nobody else can train it",
            hint="name a model of the Hugging Face hub or a folder: trainer.base_model=OWNER/NAME",
        )
    given = {
        "n_epochs": told.epochs,
        "batch_size": told.batch_size,
        "learning_rate": told.learning_rate,
        "learning_rate_multiplier": told.learning_rate_multiplier,
        "method": told.method,
        "lora_rank": told.lora_rank,
        **told.options,
    }
    settings = chosen_hyperparameters(given, rows=len(rows))
    length = settings.get("max_length") or _ROUND * math.ceil((longest if exact else longest * 1.5) / _ROUND) + _ROUND
    return Export(
        recipe.name,
        format.kind,
        rows,
        held_out,
        weights,
        settings["method"],
        settings["epochs"],
        settings["batch_size"],
        settings["learning_rate"],
        settings.get("lora_rank", told.lora_rank),
        told.seed,
        length,
        settings.get("weight_decay", 0.0),
        format.separator if format.kind == "completion" else "",
        format.stop if format.kind == "completion" else "",
        _derived(recipe, settings, longest=longest, exact=exact),
        sources,
    )


def _derived(recipe: Recipe, settings: Mapping[str, Any], *, longest: int, exact: bool) -> dict[str, str]:
    train = recipe.train
    own = "the recipe leaves it to the trainer; ftbuild's own takes this"
    base = settings["learning_rate"] / settings["learning_rate_multiplier"]
    if train.learning_rate is not None or "learning_rate" in train.options:
        rate = "train.learning_rate"
    elif train.learning_rate_multiplier is not None:
        rate = (
            f"train.learning_rate_multiplier {train.learning_rate_multiplier:g} × {base:g}, the rate of ftbuild's own trainer"
        )
    else:
        rate = f"{own} for {settings['method']} fine-tuning of a small model; take less for a large one"
    row = f"the longest row has {longest} tokens" if exact else f"the longest row has about {longest} tokens, an estimate"
    return {
        "base model": "trainer.base_model",
        "epochs": "train.epochs",
        "batch size": "train.batch_size" if train.batch_size is not None else f"{own} for so many rows",
        "learning rate": rate,
        "method": "train.method",
        "adapter rank": "train.lora_rank",
        "seed": "train.seed",
        "length": "train.options.max_length" if settings.get("max_length") else row,
        "warm-up": "one step in twenty, as in ftbuild's own trainer",
    }


# ---- what every tool's files have in common ----


def jsonl(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows, one a line."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def config(export: Export, tool: str, values: Mapping[str, Any]) -> str:
    """Return a tool's configuration as YAML, with where the numbers come from above it."""
    import yaml

    kept = {k: v for k, v in values.items() if v is not None}
    notes = "".join(f"# {name}: {said}\n" for name, said in export.derived.items())
    return f"# {export.name}, for {tool}; written by ftbuild.\n{notes}\n" + yaml.dump(
        kept, Dumper=_dumper(), sort_keys=False, allow_unicode=True, width=120
    )


def _dumper() -> Any:
    """Return a YAML writer that gives small numbers a dot: `6e-04` would be read as text."""
    import yaml

    class Dumper(yaml.SafeDumper):
        pass

    def number(dumper: Any, value: float) -> Any:
        text = repr(value)
        return dumper.represent_scalar("tag:yaml.org,2002:float", text if "." in text else text.replace("e", ".0e"))

    Dumper.add_representer(float, number)
    return Dumper


def readme(export: Export, tool: str, commands: Sequence[str], notes: Sequence[str] = ()) -> str:
    """Return the page that says what lies there and what to type."""
    values = {
        "base model": export.base_model,
        "epochs": export.epochs,
        "batch size": f"{export.batch_size} ({export.micro} at once × {export.accumulated})",
        "learning rate": f"{export.learning_rate:g}",
        "method": export.method,
        "adapter rank": export.lora_rank if export.method == "lora" else None,
        "seed": export.seed,
        "length": export.max_length,
        "warm-up": f"{export.warmup_steps} steps",
    }
    table = "".join(f"| {n} | {v} | {export.derived[n]} |\n" for n, v in values.items() if v is not None)
    lines = "\n".join(commands)
    asked = [*_asked(export), *notes]
    held = f", and {len(export.held_out):,} that were held out" if export.held_out else ""
    return (
        f"# {export.name}, for {tool}\n\n{len(export.rows):,} {export.kind} rows{held}. Written by ftbuild.\n\n"
        f"```console\n{lines}\n```\n\n| | | from |\n|---|---|---|\n{table}\n" + "".join(f"- {note}\n" for note in asked)
    )


def _asked(export: Export) -> list[str]:
    notes = ["Only what the model is to say is learned; what it is asked is masked."]
    if export.kind == "completion":
        notes.append(
            f"Ask the tuned model with the prompt of the rows, up to and with the separator {export.separator!r}, and with "
            f"`stop={export.stop!r}`: each completion ends with that."
        )
    else:
        notes.append("Ask the tuned model as in the rows, with the model's own chat template.")
    if Path(export.base_model).is_absolute():
        notes.append("The base model is a folder of the machine on which this was written.")
    return notes
