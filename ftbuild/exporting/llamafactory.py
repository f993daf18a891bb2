"""LLaMA-Factory.  Source: its documentation of arguments and of dataset_info.json, version 0.9.5 (November 2026)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ftbuild.exporting.export import Export, config, jsonl, readme
from ftbuild.registries import EXPORTERS

_COMPLETION = {"formatting": "alpaca", "columns": {"prompt": "prompt", "response": "completion"}}
_CHAT = {
    "formatting": "sharegpt",
    "columns": {"messages": "messages"},
    "tags": {
        "role_tag": "role",
        "content_tag": "content",
        "user_tag": "user",
        "assistant_tag": "assistant",
        "system_tag": "system",
    },
}


@EXPORTERS("llamafactory")
def llamafactory(export: Export) -> Mapping[str, str]:
    """Rows with their dataset_info.json, and a configuration for LLaMA-Factory."""
    form = _COMPLETION if export.kind == "completion" else _CHAT
    adapter = {"lora_rank": export.lora_rank, "lora_alpha": export.lora_alpha, "lora_dropout": 0.0, "lora_target": "all"}
    values = {
        "model_name_or_path": export.base_model,
        "stage": "sft",
        "do_train": True,
        "finetuning_type": export.method,
        **(adapter if export.method == "lora" else {}),
        "dataset_dir": ".",
        "dataset": export.name,
        "eval_dataset": f"{export.name}_test" if export.held_out else None,
        # Rows of prompt and completion are taken as they are; chats are laid out by the model's own template.
        "template": "empty" if export.kind == "completion" else None,
        "cutoff_len": export.max_length,
        "train_on_prompt": False,
        "packing": False,
        "output_dir": export.output,
        "num_train_epochs": float(export.epochs),
        "per_device_train_batch_size": export.micro,
        "gradient_accumulation_steps": export.accumulated,
        "learning_rate": export.learning_rate,
        "lr_scheduler_type": "cosine_with_min_lr",
        "lr_scheduler_kwargs": {"min_lr_rate": 0.1},
        "warmup_steps": export.warmup_steps,
        "weight_decay": export.weight_decay,
        "adam_beta2": 0.95,
        "max_grad_norm": 1.0,
        "seed": export.seed,
        "logging_steps": 10,
        "save_strategy": "epoch",
        "eval_strategy": "epoch" if export.held_out else None,
        "report_to": "none",
    }
    datasets: dict[str, Any] = {export.name: {"file_name": "train.jsonl", **form}}
    files = {"train.jsonl": jsonl(export.rows)}
    if export.held_out:
        datasets[f"{export.name}_test"] = {"file_name": "test.jsonl", **form}
        files["test.jsonl"] = jsonl(export.held_out)
    page = readme(
        export,
        "LLaMA-Factory",
        ["pip install llamafactory", "llamafactory-cli train llamafactory.yaml"],
        ["On a GPU that has bfloat16, add `bf16: true`."],
    )
    return {
        **files,
        "dataset_info.json": json.dumps(datasets, ensure_ascii=False, indent=2) + "\n",
        "llamafactory.yaml": config(export, "LLaMA-Factory", values),
        "README.md": page,
    }
