# install: .venv with everything at the exact versions of requirements/, vLLM's CPU build included
# demo:    a student distilled in stages from a small built-in corpus
# test:    all tests but those marked slow; test-all: all tests; lint: style, format, types
# docs:    the documentation as a site, in site/
# lock:    write requirements/*.txt anew from pyproject.toml
# Needs Python 3.11 or later, make and gcc. `make PYTHON=/path/to/python3.12 install` chooses another Python.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := install
.PHONY: install install-dev demo test test-all lint docs lock clean

PYTHON ?= $(firstword $(shell for name in python3.11 python3.12 python3.13 python3; do command -v $$name; done))
BIN := .venv/bin
# Without byte code on disk, each of the many processes of a run would spend some 15 s on compiling what it imports.
unexport PYTHONDONTWRITEBYTECODE
WARM_UP := import ray.train.torch, datasets, transformers, mckd_ray.student.tagger, mckd_ray.student.seq2seq
# All versions are exact, so nothing is left to resolve; byte code is written when a module is first imported.
PIP_INSTALL := $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --no-deps --no-compile

install: .venv/.installed
install-dev: .venv/.installed-dev

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "no Python found: install Python 3.11 or later, or give PYTHON=..." >&2; exit 2; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$(PYTHON) is too old: Python 3.11 or later is needed; give PYTHON=..." >&2; exit 2; }
	"$(PYTHON)" -m venv .venv

.venv/.installed: pyproject.toml requirements/cpu.txt | $(BIN)/python
	@echo "Installing $$(grep -c == requirements/cpu.txt) packages into .venv (some 700 MB; a few minutes)"
	$(PIP_INSTALL) --requirement requirements/cpu.txt
	@# Where pip found no CPU build of torch, this adds the CUDA libraries that the default build links to.
	$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --constraint requirements/cpu.txt torch
	$(PIP_INSTALL) --no-build-isolation --editable .
	@$(BIN)/python -c "$(WARM_UP)"
	@touch $@

.venv/.installed-dev: requirements/dev.txt .venv/.installed
	$(PIP_INSTALL) --requirement requirements/dev.txt
	@touch $@

demo: install
	$(BIN)/mckd run configs/demo.yaml

test: PYTEST_OPTIONS += -m "not slow"
test test-all: install-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $(PYTEST_OPTIONS)

lint: install-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

docs: install-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

lock: $(BIN)/python
	$(BIN)/python requirements/lock.py

clean:
	rm -rf .venv build dist site *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
