"""`ftbuild gc`: throw away what nobody needs any more."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from ftbuild.errors import ConfigError
from ftbuild.words import none

if TYPE_CHECKING:
    from ftbuild.cli import Arguments
    from ftbuild.console import Console
    from ftbuild.store import Store

_MOST = 20


def gc(arguments: Arguments, console: Console) -> int:
    """Show what the store holds that nobody needs any more, and with apply=true throw it away.

    ftbuild gc [keep=5] [apply=true] [replies=DAYS] [store=DIRECTORY] [--json]
    ftbuild gc remote=true [apply=true]     what builds left at providers instead: uploaded rows, deployed models

    Kept is what the lock files of all projects that used the store name, and what the last `keep` builds of each recipe are
    made of.  The replies of teachers were paid for and stay, unless replies=DAYS gives up older ones that no such build reads.
    """
    from ftbuild.collect import needed, rubbish, sweep_out
    from ftbuild.store import Store

    none(arguments.words)
    settings = arguments.settings(store=".ftbuild", lock="ftbuild.lock", keep="5", apply="false", replies="", remote="false")
    store, keep, days = Store(Path(settings["store"])), _number("keep", settings["keep"]), settings["replies"]
    apply = _yes(settings["apply"])
    if _yes(settings["remote"]):
        return _remote(store, console, apply=apply)
    keeping = needed(store, keep=int(keep), locks=[Path(settings["lock"])])
    pieces = rubbish(store, keeping, replies_older=_number("replies", days) if days else None)
    freed = sweep_out(store, pieces) if apply else 0
    total = sum(p.size for p in pieces)
    if console.as_json:
        told = [{"kind": p.kind, "path": str(p.path), "bytes": p.size, "what": p.what} for p in pieces]
        console.json({"pieces": told, "bytes": total, "applied": apply, "freed": freed})
        return 0
    if not pieces:
        console.result(f"{store.root}: nothing to throw away")
        return 0
    rows = [(p.kind, _bytes(p.size), p.what) for p in pieces[:_MOST]]
    console.table("", ("Kind", "Size", "What it is"), rows, styles=("", "", "dim"))
    if len(pieces) > _MOST:
        console.result(f"… and {len(pieces) - _MOST:,} more; --json lists them all")
    console.result()
    counts = ", ".join(f"{n:,} {kind}s" for kind, n in Counter(p.kind for p in pieces).items())
    if apply:
        console.result(f"{store.root}: {counts} thrown away, {_bytes(freed)} freed")
    else:
        console.result(f"{store.root}: {counts}, {_bytes(total)}; nothing was removed, apply=true does it")
    return 0


def _remote(store: Store, console: Console, *, apply: bool) -> int:
    from ftbuild.remote import left, remove
    from ftbuild.services import Services

    with Services(store, console) as services:
        pieces = list(left(store, services))
        if apply:
            for piece in pieces:
                remove(piece, services)
    if console.as_json:
        told = [{"kind": p.kind, "id": p.id, "what": p.what} for p in pieces]
        console.json({"pieces": told, "applied": apply})
        return 0
    if not pieces:
        console.result(f"{store.root}: nothing is known to lie at any provider")
        return 0
    console.table("", ("Kind", "Id", "What it is"), [(p.kind, p.id, p.what) for p in pieces], styles=("", "", "dim"))
    console.result()
    counts = ", ".join(f"{n:,} {kind}s" for kind, n in Counter(p.kind for p in pieces).items())
    done = "removed" if apply else "nothing was removed, apply=true does it"
    console.result(f"{counts}; {done}")
    return 0


def _yes(value: str) -> bool:
    return value.casefold() in ("true", "yes", "1")


def _number(name: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if number < 0:
        raise ConfigError(f"{name} (command line): a number belongs here, not {value!r}")
    return number


def _bytes(size: float) -> str:
    for unit in ("B", "kB", "MB"):
        if size < 1000:  # noqa: PLR2004
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
