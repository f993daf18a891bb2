"""TRL, by its command line, and Unsloth, by a script that uses TRL's trainer.

Sources: the documentation of TRL 1.16 (SFTConfig, ModelConfig, dataset formats) and of Unsloth, both of November 2026.
"""

from __future__ import annotations

import pprint
from collections.abc import Mapping, Sequence
from typing import Any

from ftbuild.exporting.export import Export, config, jsonl, readme
from ftbuild.registries import EXPORTERS

_PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


@EXPORTERS("trl")
def trl(export: Export) -> Mapping[str, str]:
    """Rows for TRL's SFTTrainer, and a configuration for `trl sft`."""
    adapter = {
        "use_peft": True,
        "lora_r": export.lora_rank,
        "lora_alpha": export.lora_alpha,
        "lora_target_modules": "all-linear",
    }
    values = {
        "model_name_or_path": export.base_model,
        "dtype": "float32",
        "dataset_name": "data",
        **(adapter if export.method == "lora" else {}),
        **_settings(export),
    }
    page = readme(
        export,
        "TRL",
        ["pip install 'trl[peft]>=1.0'", "trl sft --config trl.yaml"],
        [
            "TRL adds the model's end token to completions; it comes after the stop token and does no harm.",
            "The optimizer's weights are kept in 32 bits (`dtype: float32`), computed in bfloat16 where there is a GPU for it.",
        ],
    )
    return {**_data(export), "trl.yaml": config(export, "TRL", values), "README.md": page}


@EXPORTERS("unsloth")
def unsloth(export: Export) -> Mapping[str, str]:
    """Rows, and a script for Unsloth."""
    page = readme(export, "Unsloth", ["pip install unsloth", "python train.py"], ["Unsloth wants a GPU."])
    return {**_data(export), "train.py": _script(export), "README.md": page}


def _settings(export: Export) -> dict[str, Any]:
    """Return the arguments of TRL's SFTConfig."""
    return {
        "output_dir": export.output,
        "num_train_epochs": export.epochs,
        "per_device_train_batch_size": export.micro,
        "gradient_accumulation_steps": export.accumulated,
        "learning_rate": export.learning_rate,
        "lr_scheduler_type": "cosine_with_min_lr",
        "lr_scheduler_kwargs": {"min_lr_rate": 0.1},
        "warmup_steps": export.warmup_steps,
        "weight_decay": export.weight_decay,
        "adam_beta2": 0.95,
        "max_grad_norm": 1.0,
        "max_length": export.max_length,
        "completion_only_loss": True,
        "packing": False,
        "seed": export.seed,
        "logging_steps": 10,
        "save_strategy": "epoch",
        "eval_strategy": "epoch" if export.held_out else "no",
        "report_to": "none",
    }


def _data(export: Export) -> dict[str, str]:
    files = {"data/train.jsonl": jsonl([_row(r) for r in export.rows])}
    return files | ({"data/test.jsonl": jsonl([_row(r) for r in export.held_out])} if export.held_out else {})


def _row(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a row as prompt and completion, so that the prompt is masked whatever the model's chat template knows."""
    turns: Sequence[Any] = row.get("messages", ())
    return {"prompt": turns[:-1], "completion": turns[-1:]} if turns else row


def _script(export: Export) -> str:
    full = export.method == "full"
    settings = pprint.pformat(_settings(export), sort_dicts=False, width=100)
    notes = "\n".join(f"    {name}: {said}" for name, said in export.derived.items())
    adapter = f"""
model = FastLanguageModel.get_peft_model(
    model, r={export.lora_rank}, lora_alpha={export.lora_alpha}, target_modules={_PROJECTIONS!r}, random_state={export.seed}
)
"""
    test = '"test": "data/test.jsonl"' if export.held_out else ""
    evaluated = ', eval_dataset=data["test"]' if export.held_out else ""
    return f'''"""{export.name}, for Unsloth; written by ftbuild.  `python train.py`

{notes}
"""

SETTINGS = {settings}


def main():
    from unsloth import FastLanguageModel  # before trl and transformers, which it changes

    from datasets import load_dataset
    from trl import SFTConfig, SFTTrainer

    model, tokenizer = FastLanguageModel.from_pretrained(
        {export.base_model!r}, max_seq_length={export.max_length}, load_in_4bit=False, full_finetuning={full}
    )
{"" if full else _indented(adapter)}
    data = load_dataset("json", data_files={{"train": "data/train.jsonl", {test}}})
    trainer = SFTTrainer(
        model=model, processing_class=tokenizer, args=SFTConfig(**SETTINGS), train_dataset=data["train"]{evaluated}
    )
    trainer.train()
    model.save_pretrained({export.output!r})
    tokenizer.save_pretrained({export.output!r})


if __name__ == "__main__":
    main()
'''


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" if line else "" for line in text.strip("\n").splitlines())
