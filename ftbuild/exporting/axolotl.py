"""Axolotl.  Source: its configuration reference and dataset formats, version 0.19 (November 2026)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ftbuild.exporting.export import Export, config, jsonl, readme
from ftbuild.registries import EXPORTERS

_CHAT = {
    "type": "chat_template",
    "field_messages": "messages",
    "message_property_mappings": {"role": "role", "content": "content"},
    "roles_to_train": ["assistant"],
    "train_on_eos": "turn",
}


@EXPORTERS("axolotl")
def axolotl(export: Export) -> Mapping[str, str]:
    """Rows and a configuration for Axolotl."""
    form = {"type": "input_output"} if export.kind == "completion" else _CHAT
    adapter = {
        "adapter": "lora",
        "lora_r": export.lora_rank,
        "lora_alpha": export.lora_alpha,
        "lora_dropout": 0.0,
        "lora_target_linear": True,
    }
    values = {
        "base_model": export.base_model,
        "datasets": [{"path": "train.jsonl", "ds_type": "json", **form}],
        "test_datasets": [{"path": "test.jsonl", "ds_type": "json", "split": "train", **form}] if export.held_out else None,
        "dataset_prepared_path": "prepared",
        "output_dir": export.output,
        "train_on_inputs": False,
        **(adapter if export.method == "lora" else {}),
        "sequence_len": export.max_length,
        "sample_packing": False,
        "num_epochs": float(export.epochs),
        "micro_batch_size": export.micro,
        "gradient_accumulation_steps": export.accumulated,
        "optimizer": "adamw_torch",
        "adam_beta2": 0.95,
        "learning_rate": export.learning_rate,
        "lr_scheduler": "cosine",
        "cosine_min_lr_ratio": 0.1,
        "warmup_steps": export.warmup_steps,
        "weight_decay": export.weight_decay,
        "max_grad_norm": 1.0,
        "bf16": "auto",
        "seed": export.seed,
        "logging_steps": 10,
        "saves_per_epoch": 1,
    }
    files = {"train.jsonl": jsonl([_row(r) for r in export.rows])}
    if export.held_out:
        files["test.jsonl"] = jsonl([_row(r) for r in export.held_out])
    page = readme(export, "Axolotl", ["pip install axolotl", "axolotl train axolotl.yaml"])
    return {**files, "axolotl.yaml": config(export, "Axolotl", values), "README.md": page}


def _row(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a row of prompt and completion in pieces, which are taken as they are: no template, and no end token added."""
    if "messages" in row:
        return row
    return {"segments": [{"label": False, "text": row["prompt"]}, {"label": True, "text": row["completion"]}]}
