"""`ftbuild export`: a recipe's dataset and hyperparameters for those who train elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftbuild.errors import ConfigError, FtbuildError
from ftbuild.paths import shown

if TYPE_CHECKING:
    from ftbuild.cli import Arguments
    from ftbuild.config import Build
    from ftbuild.console import Console
    from ftbuild.exporting.export import Export
    from ftbuild.making import Made


def export(build: Build, arguments: Arguments, console: Console) -> tuple[int, float | None]:
    """Write a recipe's dataset and a ready configuration for another trainer.

    ftbuild export TOOL +recipe=NAME [KEY=VALUE …] [--to FOLDER] [--json]

      trl            data and trl.yaml            for  trl sft --config trl.yaml
      axolotl        data and axolotl.yaml        for  axolotl train axolotl.yaml
      llamafactory   data and llamafactory.yaml   for  llamafactory-cli train llamafactory.yaml
      unsloth        data and train.py            for  python train.py
      hf             a dataset with its card      for  load_dataset, or hf upload

    The recipe is built as far as its rows first, if it is not yet; nothing is trained here.  Everything lands in
    builds/NAME/export/TOOL, or in FOLDER, with a README.md that says what to type and where each number comes from.  Another
    base model is trainer.base_model=OWNER/NAME.
    """
    from ftbuild.registries import EXPORTERS
    from ftbuild.schema import nearest

    if len(arguments.words) != 1:
        raise ConfigError(
            "which tool is it for?", hint=f"ftbuild export TOOL +recipe=NAME; TOOL is one of {', '.join(EXPORTERS)}"
        )
    (tool,) = arguments.words
    if tool not in EXPORTERS:
        raise ConfigError(f"there is no export for {tool!r}; {nearest(tool, EXPORTERS)}")
    files = EXPORTERS[tool](_gathered(build, console))
    folder = Path(arguments.options.get("to") or build.folder / "export" / tool)
    _write(folder, files)
    if console.as_json:
        console.json({"recipe": build.recipe.name, "tool": tool, "folder": str(folder), "files": list(files)})
        return 0, None
    console.result(f"{build.recipe.name} for {tool}: {folder}")
    for name, text in files.items():
        console.result(f"  {name:<20} {_about(name, text)}".rstrip())
    return 0, None


def _gathered(build: Build, console: Console) -> Export:
    """Build the recipe as far as its rows, and return them with what the recipe says about training."""
    from ftbuild.exporting.export import gathered
    from ftbuild.making import make
    from ftbuild.providers import weights_of
    from ftbuild.records import read_jsonl, read_pairs
    from ftbuild.rows import Formatter

    trainer = build.recipe.trainer
    if weights_of(trainer.provider, trainer.base_model):  # otherwise it is said without building anything
        made = make(replace(build, options=replace(build.options, until="format")), console)
        if made.ran:
            console.note(f"built as far as its rows: {', '.join(made.ran)}")
        rows = list(read_jsonl(_output(build, made, "format", "rows.jsonl")))
        checked: Mapping[str, Any] = made.done["format"].facts.get("checked", {})
        formatter = Formatter(build.recipe.format, build.recipe.vars)
        held = [
            formatter.row(p.prompt, p.completion, p.origin.path, p.origin.document)
            for p in read_pairs(_output(build, made, "curate", "held_out.jsonl"))
        ]
        return gathered(
            build.recipe,
            rows,
            held,
            longest=int(checked.get("longest", 0)),
            exact=bool(checked.get("exact")),
            sources=list(_sources(build, made)),
        )
    return gathered(build.recipe, [], [], longest=0, exact=False)


def _output(build: Build, made: Made, stage: str, name: str) -> Path:
    return build.store.sound(made.done[stage].outputs[name])


def _sources(build: Build, made: Made) -> Iterator[Mapping[str, Any]]:
    from ftbuild.records import read_documents

    for document in read_documents(_output(build, made, "fetch", "documents.jsonl")):
        yield {"title": document.title, **document.meta}


def _write(folder: Path, files: Mapping[str, str]) -> None:
    from ftbuild.store import aside

    try:
        for name, text in files.items():
            with aside(folder / name) as file:
                file.write(text.encode())
    except OSError as error:
        raise FtbuildError(
            f"{shown(folder)}: cannot be written: {error.strerror}", hint="choose another with --to FOLDER"
        ) from error


def _about(name: str, text: str) -> str:
    return f"{text.count(chr(10)):,} rows" if name.endswith(".jsonl") else ""
