"""A recipe's dataset and hyperparameters for those who train elsewhere.

An exporter is `(export) -> {file name: text}`; what a recipe says, and what is derived where it says nothing, is in `Export`.
"""
