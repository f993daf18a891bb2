"""A dataset for the Hugging Face hub: train and test split, and the dataset's card.

Source: the documentation of `datasets` and of dataset cards on the hub (November 2026).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ftbuild.exporting.export import Export, jsonl
from ftbuild.registries import EXPORTERS

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


@EXPORTERS("hf")
def hf(export: Export) -> Mapping[str, str]:
    """Rows as a dataset of the Hugging Face hub, with its card."""
    files = {"data/train.jsonl": jsonl(export.rows)}
    if export.held_out:
        files["data/test.jsonl"] = jsonl(export.held_out)
    return {**files, "README.md": _card(export, [f.split("/")[1].split(".")[0] for f in files])}


def _card(export: Export, splits: list[str]) -> str:
    import yaml

    count = len(export.rows) + len(export.held_out)
    about: dict[str, Any] = {
        "pretty_name": export.name,
        "task_categories": ["question-answering", "text-generation"],
        "size_categories": [next((name for most, name in _SIZES if count < most), "n>1M")],
        "tags": ["ftbuild", "fine-tuning"],
        "configs": [
            {"config_name": "default", "data_files": [{"split": s, "path": f"data/{s}.jsonl"} for s in splits]},
        ],
    }
    head = yaml.safe_dump(about, sort_keys=False, allow_unicode=True)
    lines = "\n".join(_body(export))
    return f"---\n{head}---\n\n# {export.name}\n\n{lines}\n"


def _body(export: Export) -> Iterator[str]:
    yield f"{len(export.rows):,} {export.kind} rows to train on" + (
        f", and {len(export.held_out):,} that were held out to test with." if export.held_out else "."
    )
    yield ""
    yield "```python"
    yield "from datasets import load_dataset"
    yield ""
    yield 'data = load_dataset("path/to/this/folder")  # or OWNER/NAME, once it is uploaded'
    yield "```"
    yield ""
    yield "    hf upload OWNER/NAME . --repo-type dataset"
    if export.kind == "completion":
        yield ""
        yield f"Prompts end with {export.separator!r}, completions with {export.stop!r}."
    if export.sources:
        yield ""
        yield "## Where it comes from"
        yield ""
        for source in export.sources:
            told = ", ".join(f"{k}: {v}" for k, v in source.items() if v and k != "title")
            yield f"- {source['title']}" + (f" ({told})" if told else "")
    yield ""
    yield "Written by ftbuild."
