"""TRL: the configuration is read as `trl sft` reads it, the rows are laid out, and two steps are taken."""

from __future__ import annotations

import json
import sys
from typing import Any

import trl
from trl.scripts import sft

FEW = ["--max_steps", "2", "--use_cpu", "true", "--bf16", "false", "--save_strategy", "no", "--eval_strategy", "no"]
told: dict[str, Any] = {}


class Looking(trl.SFTTrainer):  # type: ignore[misc]
    """Says how the first row was laid out."""

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """Train as ever."""
        batch = self.data_collator([self.train_dataset[0]])
        ids, learned = batch["input_ids"][0], batch["labels"][0] != -100
        told["learned"] = self.processing_class.decode(ids[learned])
        told["told"] = self.processing_class.decode(ids[~learned])
        told["rows"] = len(self.train_dataset)
        return super().train(*args, **kwargs)


trl.SFTTrainer = Looking
sys.argv = ["sft", "--config", "trl.yaml", *FEW]
script, training, model, data = sft.make_parser().parse_args_and_config(fail_with_unknown_args=True)
told |= {"learning_rate": training.learning_rate, "length": training.max_length, "lora": model.use_peft}
sft.main(script, training, model, data)
sys.stdout.write("\n" + json.dumps(told) + "\n")
