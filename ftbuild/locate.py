"""Where a configuration key was set: the file and line, or the command line.  Only consulted once something is wrong.

In: a dotted key such as `train.epocs` or `sources.article.path`, and the options that Hydra chose.  Out: a short text for
an error message.  YAML is read again here with its line marks, which OmegaConf does not keep.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ftbuild import paths


def locate(key: str, choices: Mapping[str, Any], overrides: Sequence[str] = ()) -> str:
    """Return where `key`, or the nearest mapping around it, was set."""
    parts = [p for p in re.split(r"[.\[\]]", key) if p]
    named = {re.split(r"[=]", o.lstrip("+~"), maxsplit=1)[0] for o in overrides}
    for n in range(len(parts), 0, -1):
        if ".".join(parts[:n]) in named:
            return "command line"
        for file, package in _files(choices):
            if (line := _line(file, package, parts[:n])) is not None:
                return f"{paths.shown(file)}:{line}"
    return "recipe"


def _files(choices: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """Yield the chosen files with the package their content lies in, the recipe first, since it has the last word."""
    chosen = sorted(((g, o) for g, o in choices.items() if not g.startswith("hydra/") and o), key=lambda c: c[0] != "recipe")
    for group, option in chosen:
        folder, _, package = group.partition("@")
        for name in option if isinstance(option, list | tuple) else [option]:
            for conf in paths.conf_folders():
                if (file := conf / folder / f"{name}.yaml").is_file():
                    header = re.search(r"(?m)^#\s*@package\s+(\S+)", file.read_text(encoding="utf-8"))
                    default = package or folder.replace("/", ".")
                    yield file, ("" if header and header[1] == "_global_" else header[1] if header else default)
                    break
    for conf in paths.conf_folders():
        if (file := conf / "config.yaml").is_file():
            yield file, ""
            break


def _line(file: Path, package: str, parts: Sequence[str]) -> int | None:
    import yaml

    prefix = [p for p in package.split(".") if p]
    if list(parts[: len(prefix)]) != prefix:
        return None
    try:
        node = yaml.compose(file.read_text(encoding="utf-8"))
    except yaml.YAMLError:
        return None
    line: int | None = None
    for part in parts[len(prefix) :]:
        if isinstance(node, yaml.MappingNode):
            found = next(((k, v) for k, v in node.value if str(k.value) == part), None)
            if found is None:
                return None
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and part.isdigit() and int(part) < len(node.value):
            node = node.value[int(part)]
            line = node.start_mark.line + 1
        else:
            return None
    return line
