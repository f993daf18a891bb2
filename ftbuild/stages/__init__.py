"""The stages, in the order in which they run.  Importing this package registers all of them.

    fetch → clean → structure → generate → curate → format → train → evaluate → report
                                                   (baseline: the untuned model's answers, before train)
"""

# isort: off - the order of these imports is the order of the stages
from ftbuild.stages import fetch
from ftbuild.stages import clean
from ftbuild.stages import structure
from ftbuild.stages import generate
from ftbuild.stages import curate
from ftbuild.stages import format
from ftbuild.stages import baseline
from ftbuild.stages import train
from ftbuild.stages import evaluate
from ftbuild.stages import report

__all__ = ["baseline", "clean", "curate", "evaluate", "fetch", "format", "generate", "report", "structure", "train"]
