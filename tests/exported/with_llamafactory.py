"""LLaMA-Factory: its parser reads the configuration, its loader lays all rows out.

It imports torchaudio for models that hear, and an empty module stands in for that.
"""

from __future__ import annotations

import importlib.machinery
import json
import sys
import types
from pathlib import Path

import yaml

silent = types.ModuleType("torchaudio")
silent.__spec__ = importlib.machinery.ModuleSpec("torchaudio", None)
sys.modules["torchaudio"] = silent

from llamafactory.data import get_dataset, get_template_and_fix_tokenizer  # noqa: E402
from llamafactory.hparams import get_train_args  # noqa: E402
from llamafactory.model import load_tokenizer  # noqa: E402

given = yaml.safe_load(Path("llamafactory.yaml").read_text(encoding="utf-8"))
model, data, training, tuning, _ = get_train_args(given)
loaded = load_tokenizer(model)
tokenizer = loaded["tokenizer"]
template = get_template_and_fix_tokenizer(tokenizer, data)
rows = get_dataset(template, model, data, training, stage="sft", **loaded)["train_dataset"]
pairs = list(zip(rows[0]["input_ids"], rows[0]["labels"], strict=True))
told = {
    "learned": tokenizer.decode([i for i, label in pairs if label != -100]),
    "told": tokenizer.decode([i for i, label in pairs if label == -100]),
    "rows": len(rows),
    "learning_rate": training.learning_rate,
    "length": data.cutoff_len,
    "lora": tuning.finetuning_type == "lora",
}
sys.stdout.write("\n" + json.dumps(told) + "\n")
