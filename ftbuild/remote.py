"""What lies at providers because of builds: uploaded rows, files of results, deployed models; and taking them off again.

In: a store, which has a record of each.  Out: `Left`, one for each thing that may go; nothing is removed before `remove`.
Rows may go once no job that was created with them goes on; a deployed model may go at any time, since it is deployed again
when it is asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftbuild.errors import ConfigError
from ftbuild.following import refused, unreachable
from ftbuild.store import Store, read_json, write_json

if TYPE_CHECKING:
    from ftbuild.providers.training import Training
    from ftbuild.services import Services


@dataclass(frozen=True)
class Left:
    """One thing at a provider: its kind, its id there, where it is recorded, and what it is in words."""

    kind: str
    id: str
    record: Path
    what: str
    at: Mapping[str, Any]


def left(store: Store, services: Services) -> Iterator[Left]:
    """Yield what may be taken off.  Providers are asked about the jobs that were created with uploaded rows."""
    for file, told in _records(store, "uploads"):
        results = _results(store, services, str(told.get("file") or ""))
        if results is None or not told.get("file"):
            continue
        sent = f"rows sent {str(told.get('sent', ''))[:16].replace('T', ' ')}"
        for result in results:
            yield Left("result", result, file, f"metrics of a job, which are kept here; its {sent}", told["at"])
        yield Left("file", str(told["file"]), file, f"{sent} to {_who(told['at'])}", told["at"])
    for file, told in _records(store, "deployments"):
        if told.get("gone"):
            continue
        since = str(told.get("since", ""))[:16].replace("T", " ")
        yield Left(
            "deployment", str(told["name"]), file, f"{told['model']}, deployed {since} at {_who(told['at'])}", told["at"]
        )


def remove(piece: Left, services: Services) -> None:
    """Take one thing off, and forget that it was there.  FtbuildError if the provider refuses."""
    import openai

    provider = _provider(piece.at)
    training = _training(piece.at, services)
    try:
        training.retire(piece.id) if piece.kind == "deployment" else training.remove(piece.id)
    except openai.NotFoundError:
        pass  # somebody else has done it
    except openai.APIConnectionError as error:
        raise unreachable(provider, error) from error
    except openai.APIStatusError as error:
        raise refused(error, f"is done, but {piece.kind} {piece.id} cannot be removed") from error
    if piece.kind == "file":
        piece.record.unlink(missing_ok=True)
    elif piece.kind == "deployment":  # the name is still that under which answers are kept
        write_json(piece.record, {**read_json(piece.record), "gone": True})


def _results(store: Store, services: Services, file: str) -> list[str] | None:
    """Return the result files of the jobs that were created with a file; None while one of those goes on."""
    import openai

    results: list[str] = []
    for _, told in _records(store, "jobs"):
        if told.get("file") != file or not told.get("job"):
            continue
        try:
            job = _training(told["at"], services).retrieve(str(told["job"]))
        except openai.NotFoundError:
            continue
        except openai.APIConnectionError as error:
            raise unreachable(_provider(told["at"]), error) from error
        except openai.APIStatusError as error:
            raise refused(error, f"{told['job']} cannot be looked at") from error
        if not job.ended:
            return None
        results += job.results
    return results


def _records(store: Store, folder: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    for file in sorted((store.root / folder).glob("*.json")):
        told = read_json(file)
        if isinstance(told, dict) and isinstance(told.get("at"), dict):
            yield file, told


def _training(at: Mapping[str, Any], services: Services) -> Training:
    from ftbuild.recipe import Trainer

    return services.training(Trainer(_provider(at), "", 1.0))


def _provider(at: Mapping[str, Any]) -> Any:
    from ftbuild.recipe import Provider
    from ftbuild.registries import TRAINERS

    if at.get("kind") not in TRAINERS:
        raise ConfigError(f"a record names the provider {at.get('kind')!r}, which there is not")
    return Provider(at["kind"], at.get("base_url"), at.get("api_key_env"), service=at.get("service") or {})


def _who(at: Mapping[str, Any]) -> str:
    return str(at.get("base_url") or at.get("kind"))
