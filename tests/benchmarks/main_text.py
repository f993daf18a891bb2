"""How well the main text of web pages is found, beside trafilatura by itself: precision, recall and F1 of reference segments.

    python tests/benchmarks/main_text.py EVALDATA.json PAGES

EVALDATA.json is of the form of trafilatura's own evaluation set: `{address: {"file": name, "with": […], "without": […]}}`,
segments that belong to the main text of a page and such that do not; PAGES is the folder of the pages.  As there, a segment
counts as found if it stands in the result as it is.  One core; times are of the whole set.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from ftbuild.errors import SourceError
from ftbuild.readers.choose import read


def ours(main: str) -> Callable[[bytes], str]:
    """Return the HTML reader with one value of `main`, as a function from a page to its text."""

    def extract(page: bytes) -> str:
        try:
            (document,) = read(page, "page.html", reader="html", options={"html": {"main": main}})
        except SourceError:
            return ""
        return f"{document.title}\n{document.text}"

    return extract


def theirs(page: bytes, *, precise: bool = True) -> str:
    """Return what trafilatura gives by itself."""
    import trafilatura

    return trafilatura.extract(page, favor_precision=precise, include_comments=False) or ""


def main() -> None:
    """Print a line for each way to extract."""
    data = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    folder = Path(sys.argv[2])
    entries = [(e, (folder / e["file"]).read_bytes()) for e in data.values() if (folder / e["file"]).is_file()]
    print(f"{len(entries)} pages, {sum(len(page) for _, page in entries) / 1e6:.1f} MB")
    ways: dict[str, Callable[[bytes], str]] = {
        "ours, auto": ours("auto"), "ours, always": ours("always"), "ours, never": ours("never"),
        "trafilatura, precise": theirs, "trafilatura": lambda page: theirs(page, precise=False),
    }  # fmt: skip
    for name, extract in ways.items():
        found = missed = wrong = right = 0
        began = time.perf_counter()
        texts = [extract(page) for _, page in entries]
        took = time.perf_counter() - began
        for (entry, _), text in zip(entries, texts, strict=True):
            plain = " ".join(text.split())
            has = [" ".join(s.split()) in plain for s in entry["with"]]
            found, missed = found + sum(has), missed + len(has) - sum(has)
            has = [" ".join(s.split()) in plain for s in entry["without"]]
            wrong, right = wrong + sum(has), right + len(has) - sum(has)
        precision, recall = found / max(1, found + wrong), found / max(1, found + missed)
        f1, accuracy = (
            2 * precision * recall / max(1e-9, precision + recall),
            (found + right) / (found + missed + wrong + right),
        )
        told = f"precision {precision:.3f}  recall {recall:.3f}  F1 {f1:.3f}  accuracy {accuracy:.3f}"
        print(f"{name:22} {told}  {took:5.1f} s")


if __name__ == "__main__":
    main()
