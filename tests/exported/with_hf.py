"""The hub: `load_dataset` reads the folder by its card."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from datasets import load_dataset

data = load_dataset(str(Path.cwd()))
told = {"rows": len(data["train"]), "splits": sorted(data), "columns": data["train"].column_names}
sys.stdout.write("\n" + json.dumps(told) + "\n")
