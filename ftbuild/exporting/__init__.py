"""A recipe's dataset and hyperparameters for those who train elsewhere.  Importing this package registers all tools.

An exporter is `(export) -> {file name: text}`; what a recipe says, and what is derived where it says nothing, is in `Export`.
"""

from ftbuild.exporting import axolotl, hub, llamafactory, trl

__all__ = ["axolotl", "hub", "llamafactory", "trl"]
