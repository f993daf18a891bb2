"""Unsloth: its script is compiled, TRL's SFTConfig takes its settings, its rows are read.  Unsloth itself needs a GPU."""

from __future__ import annotations

import json
import runpy
import sys

from datasets import load_dataset
from trl import SFTConfig

settings = runpy.run_path("train.py", run_name="read")["SETTINGS"]
config = SFTConfig(**settings, bf16=False, use_cpu=True)
rows = load_dataset("json", data_files={"train": "data/train.jsonl"})["train"]
told = {"learning_rate": config.learning_rate, "length": config.max_length, "rows": len(rows)}
sys.stdout.write("\n" + json.dumps(told) + "\n")
