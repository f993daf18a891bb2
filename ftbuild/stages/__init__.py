"""The stages, in the order in which they run.  Importing this package registers all of them.

fetch → clean → structure → generate → curate → format → train → evaluate → report
                                               (baseline: the untuned model's answers, before train)
"""

from importlib import import_module

ORDER = ("fetch", "clean", "structure", "generate", "curate", "format", "baseline", "train", "evaluate", "report")

for _name in ORDER:  # a loop, because whoever tidies imports would sort them
    import_module(f"{__name__}.{_name}")
