# fastcount: `make run` and `make test` do all their own set-up, on a bare Debian with Python 3.11 and gcc too.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
PY ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install -q --disable-pip-version-check
export PYTHONUNBUFFERED = 1

NATIVE := $(shell find src -name '*.pyx' -o -name '*.pxd') setup.py
ARGS ?=

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: .stamp-build ## serve on 127.0.0.1: HTTP and dashboard on 8127, binary increments on 8128 (ARGS='--help' for more)
	$(BIN)/fastcount serve $(ARGS)

test: lint .stamp-apt ## everything that CI runs (ARGS='-k udp' for a part)
	$(BIN)/python -m pytest -q $(ARGS)

bench: .stamp-dev .stamp-bench .stamp-build .stamp-apt ## every figure of the README, beside its bound or peer (ARGS='--quick')
	$(BIN)/python -m bench $(ARGS)

build: .stamp-build ## compile the native part in place

dist: .stamp-dev ## sdist and wheel into dist/
	$(BIN)/python -m build

lint: .stamp-dev .stamp-build ## ruff, cython-lint, mypy --strict, stubtest, Cython's performance hints
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PATH="$(BIN):$$PATH" $(BIN)/cython-lint src
	$(BIN)/mypy
	MYPYPATH=src $(BIN)/python -m mypy.stubtest --concise --allowlist tests/stubtest_allowlist.txt $(STUBS)
	@! grep -n 'performance hint' build/build.log

STUBS := fastcount._core fastcount._batch fastcount._receiver fastcount._replay fastcount.api.reading fastcount.native.samples fastcount.native.blake2 fastcount.native.hyperloglog

debug: .stamp-dev .stamp-apt ## the tests of the native part on a build with our own asserts and bounds checks
	FASTCOUNT_DEBUG=1 $(BIN)/python setup.py -q build --build-base build/debug --build-lib build/debug/lib > build/debug.log 2>&1 || { cat build/debug.log; exit 1; }
	PYTHONPATH=build/debug/lib $(BIN)/python -m pytest -q -p no:cacheprovider $(NATIVE_TESTS) $(ARGS)

asan: .stamp-dev .stamp-apt ## the same under AddressSanitizer and UndefinedBehaviorSanitizer
	FASTCOUNT_SANITIZE=1 $(BIN)/python setup.py -q build --build-base build/asan --build-lib build/asan/lib > build/asan.log 2>&1 || { cat build/asan.log; exit 1; }
	LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" \
	ASAN_OPTIONS=detect_leaks=0:abort_on_error=1:detect_stack_use_after_return=0 PYTHONMALLOC=malloc \
	PYTHONPATH=build/asan/lib $(BIN)/python -m pytest -q -p no:cacheprovider $(NATIVE_TESTS) $(ARGS)

NATIVE_TESTS := tests/property tests/unit

clean: ## remove what was built (the virtual environment stays)
	rm -rf build dist .stamp-build src/*.egg-info
	find src -name '*.so' -delete

.PHONY: help run test bench build dist lint debug asan clean

# --- set-up

APT := DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends

# a compiler, headers and venv, where they are missing
.stamp-python:
	@$(PY) -c 'import ensurepip, pathlib, sysconfig; pathlib.Path(sysconfig.get_path("include"), "Python.h").stat()' 2>/dev/null \
	  && command -v gcc > /dev/null || { echo "installing gcc, python3-venv and python3-dev"; apt-get update -q && $(APT) gcc libc6-dev python3-venv python3-dev; }
	@touch $@

$(BIN)/python: | .stamp-python
	$(PY) -m venv $(VENV)

# the package, editable and without its native part, which the next rule builds in place
.stamp-run: pyproject.toml | $(BIN)/python
	$(PIP) 'setuptools>=77' 'cython>=3.3,<3.4'
	FASTCOUNT_PURE=1 $(PIP) --no-build-isolation -e .
	@touch $@

.stamp-dev: .stamp-run
	FASTCOUNT_PURE=1 $(PIP) --no-build-isolation -e '.[dev]'
	@touch $@

# what the bench sets itself beside
.stamp-bench: .stamp-run
	FASTCOUNT_PURE=1 $(PIP) --no-build-isolation -e '.[bench]'
	@touch $@

.stamp-build: .stamp-run $(NATIVE)
	@mkdir -p build
	@echo "compiling the native part (a minute or less)"
	@$(BIN)/python setup.py build_ext --inplace --force -j2 > build/build.log 2>&1 || { cat build/build.log; exit 1; }
	@touch $@

# the servers and the browser that tests and benchmarks use
.stamp-apt:
	@missing=; for pair in nginx:nginx-light wrk:wrk redis-server:redis-server curl:curl chromium:chromium chromedriver:chromium-driver; do \
	  command -v $${pair%%:*} > /dev/null || [ -x /usr/sbin/$${pair%%:*} ] || missing="$$missing $${pair##*:}"; done; \
	if [ -n "$$missing" ]; then echo "installing$$missing"; apt-get update -q && $(APT) $$missing; fi
	@touch $@
