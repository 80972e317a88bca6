# fastcount: `make run` and `make test` do all their own set-up.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PY ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export PYTHONUNBUFFERED = 1

SOURCES := $(shell find src -name '*.pyx' -o -name '*.pxd') setup.py
APT_TEST := nginx-light:nginx wrk:wrk redis-server:redis-server

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(VENV)/bin/python:
	$(PY) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check -U pip

# dependencies, again whenever pyproject.toml changes
.stamp-venv: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install -q --disable-pip-version-check setuptools 'cython>=3.3,<3.4'
	$(BIN)/pip install -q --disable-pip-version-check --no-build-isolation -e '.[dev]'
	@touch $@

.stamp-build: .stamp-venv $(SOURCES)
	$(BIN)/python setup.py -q build_ext --inplace -j2 > build/build.log 2>&1 || { mkdir -p build; cat build/build.log; exit 1; }
	@touch $@
