"""Six trivial stages, for tools that run commands: `python steps.py STAGE INPUT OUTPUT`.

Each is told in the file that STAGES_LOG names when it begins, and each record of `generate` when it is written.  This file is
copied beside the tools' own files, so it needs the standard library only.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from pathlib import Path

STAGES = ("fetch", "clean", "structure", "generate", "curate", "format")
PAUSE = 0.1


def log(word: str) -> None:
    """Append a word to the log; several processes may do so at once."""
    with Path(os.environ["STAGES_LOG"]).open("a", encoding="utf-8") as file:
        file.write(word + "\n")


def run(stage: str, source: Path, target: Path) -> None:
    """Run one stage."""
    log(stage)
    text = source.read_text(encoding="utf-8")
    match stage:
        case "clean":
            text = re.sub(r"<!--.*?-->\n?", "", text, flags=re.DOTALL)
        case "structure":
            parts = re.findall(r"^== (.+?) ==\n(.*?)(?=^== |\Z)", text, flags=re.DOTALL | re.MULTILINE)
            text = "".join(json.dumps(part) + "\n" for part in parts)
        case "generate":
            return generate(text, target)
        case "curate":
            text = "".join(line + "\n" for line in dict.fromkeys(text.splitlines()))
        case "format":
            rows = [json.loads(line) for line in text.splitlines()]
            text = "".join(json.dumps({"prompt": q, "completion": f" {a}"}) + "\n" for q, a in rows)
    target.write_text(text, encoding="utf-8")
    return None


def generate(text: str, target: Path) -> None:
    """Make a record of each line, which takes a while, and write it at once."""
    with target.open("w", encoding="utf-8") as file:
        for line in text.splitlines():
            time.sleep(PAUSE)
            heading, told = json.loads(line)
            file.write(json.dumps([f"What of {heading}?", told.strip()]) + "\n")
            file.flush()
            log("record")


if __name__ == "__main__":
    run(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
