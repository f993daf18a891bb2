"""What the options of `provider` offer, theirs and ours: who trains, and what to write on the command line to have it so.

In: the YAML files of the groups `provider` and `trainer`.  Out: `Offer`s.  Nothing is composed and nobody is asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ftbuild import paths


@dataclass(frozen=True)
class Offer:
    """A provider that trains: its option's name, the override that chooses it, the rows that it takes, what it needs."""

    name: str
    kind: str
    override: str
    rows: tuple[str, ...]
    until: str = ""
    needs: str = ""

    def words(self, rows: str) -> str:
        """Return what to add to a command whose rows are of one kind, and what has to be there for it."""
        format_ = "" if rows in self.rows else f" format={self.rows[0]}"
        return f"{self.override}{format_}" + (f" ({self.needs})" if self.needs else "")


def trainers() -> list[Offer]:
    """Return the providers that train, those that need no account first."""
    return sorted(_trainers(), key=lambda offer: (bool(offer.needs), offer.name))


def _trainers() -> Iterator[Offer]:
    known = paths.options("trainer")
    for name in paths.options("provider"):
        told = _read(name)
        if not told.get("trains", True) or "kind" not in told:
            continue
        override = f"trainer={name}" if name in known else f"+provider@trainer.provider={name} trainer.base_model=…"
        needs = [str(told["api_key_env"])] if told.get("api_key_env") else []
        needs += ["trainer.provider.base_url"] if told.get("base_url") == "???" else []
        needs += [f"trainer.provider.service.{key}" for key, value in (told.get("service") or {}).items() if value == "???"]
        shown = f"needs {', '.join(needs)}" if needs else ""
        yield Offer(
            name,
            str(told["kind"]),
            override,
            tuple(told.get("rows") or ("completion", "chat")),
            told.get("trains_until") or "",
            shown,
        )


def _read(name: str) -> dict[str, Any]:
    import yaml

    file = paths.find(f"provider/{name}.yaml", paths.conf_folders(), what="option")
    told = yaml.safe_load(file.read_text(encoding="utf-8"))
    return told if isinstance(told, dict) else {}
