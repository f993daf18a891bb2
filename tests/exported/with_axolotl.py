"""Axolotl: the configuration passes its schema, and its own strategy lays the first row out."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import transformers
import yaml
from axolotl.prompt_strategies import load
from axolotl.utils.dict import DictDefault
from axolotl.utils.schemas.config import AxolotlInputConfig

given = yaml.safe_load(Path("axolotl.yaml").read_text(encoding="utf-8"))
unknown = set(given) - set(AxolotlInputConfig.model_fields)
config = DictDefault(AxolotlInputConfig(**given).model_dump(exclude_none=True))
tokenizer = transformers.AutoTokenizer.from_pretrained(given["base_model"])
strategy = load(config.datasets[0].type, tokenizer, config, config.datasets[0])
rows = [json.loads(line) for line in Path("train.jsonl").read_text(encoding="utf-8").splitlines()]
laid = strategy.tokenize_prompt(rows[0])
pairs = list(zip(laid["input_ids"], laid["labels"], strict=True))
told = {
    "learned": tokenizer.decode([i for i, label in pairs if label != -100]),
    "told": tokenizer.decode([i for i, label in pairs if label == -100]),
    "rows": len(rows),
    "learning_rate": config.learning_rate,
    "length": config.sequence_len,
    "lora": config.adapter == "lora",
    "unknown": sorted(unknown),
}
sys.stdout.write("\n" + json.dumps(told) + "\n")
