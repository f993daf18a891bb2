"""From what training left to a name that can be asked: choosing a checkpoint, and putting it to work where that is needed.

In: `model.json` of the stage train, and what the recipe says of checkpoints.  Out: the name of a model.  What was deployed is
written down (`deployments/…`), since it costs by the hour at some providers, and `ftbuild gc remote=true` takes it off again.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftbuild.digest import digest
from ftbuild.errors import ConfigError
from ftbuild.following import refused, unreachable
from ftbuild.registries import TRAINERS
from ftbuild.store import Store, read_json, write_json

if TYPE_CHECKING:
    from ftbuild.console import Console
    from ftbuild.recipe import Trainer
    from ftbuild.services import Services


def chosen(told: Mapping[str, Any], checkpoint: int | str | None) -> str:
    """Return the model that `train.checkpoint` chooses of those in `model.json`.  ConfigError if there is no such one."""
    if checkpoint is None:
        return str(told["model"])
    kept: list[Mapping[str, Any]] = list(told.get("checkpoints") or ())
    text = str(checkpoint).strip()
    if text.startswith("step"):
        found = [c for c in kept if str(c["step"]) == text.removeprefix("step").strip(" :=")]
    else:
        found = kept[int(text) - 1 : int(text)] if text.isdigit() and int(text) else []
    if not found:
        there = ", ".join(f"{n} (step {c['step']})" for n, c in enumerate(kept, start=1)) or "none"
        raise ConfigError(f"train.checkpoint: there is no checkpoint {checkpoint!r} of this job; there are: {there}")
    return str(found[0]["model"])


def deployed_as(store: Store, trainer: Trainer, model: str) -> str:
    """Return the name under which a model is asked, as far as that is known without asking anybody."""
    if not deploys(trainer):
        return model
    known = read_json(_record(store, trainer, model))
    return str(known["name"]) if isinstance(known, dict) and known.get("name") else model


def deploys(trainer: Trainer) -> bool:
    """Say whether a tuned model has to be put to work at this provider before it can be asked."""
    return bool(getattr(TRAINERS[trainer.provider.kind], "deploys", False))


def ready(services: Services, trainer: Trainer, model: str, console: Console) -> str:
    """Put a tuned model to work, if it has to be and is not, and return the name to ask it by."""
    if not deploys(trainer):
        return model
    import openai

    try:
        with console.step("deploying the model"):
            name = services.training(trainer).deploy(model)
    except openai.APIConnectionError as error:
        raise unreachable(trainer.provider, error) from error
    except openai.APIStatusError as error:
        raise refused(error, "is done, but its model cannot be deployed") from error
    record = _record(services.store, trainer, model)
    known = read_json(record)
    if not isinstance(known, dict) or known.get("gone"):
        console.note(f"deployed as {name}; it may cost by the hour until `ftbuild gc remote=true` takes it off")
        provider = trainer.provider
        at = {"kind": provider.kind, "base_url": provider.base_url, "api_key_env": provider.api_key_env}
        when = datetime.now(UTC).isoformat(timespec="seconds")
        write_json(record, {"name": name, "model": model, "since": when, "at": {**at, "service": dict(provider.service)}})
    return name


def _record(store: Store, trainer: Trainer, model: str) -> Path:
    return store.root / "deployments" / f"{digest([trainer.provider.kind, trainer.provider.base_url, model])}.json"
