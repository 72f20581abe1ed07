# Every command that a contributor or the CI needs. `make setup` is implied by the others.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-faults check bench clean docs fmt

# Ray would ask for a token, report usage, and start workers through uv.
export RAY_AUTH_MODE := disabled
export RAY_USAGE_STATS_ENABLED := 0
export RAY_ENABLE_UV_RUN_RUNTIME_ENV := 0
# Modules are compiled when they are first imported, most never are. Tests start hundreds of
# processes: what one has compiled the others read, whatever the shell says.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
READY := .venv/.ready
# The first Python that is new enough; empty where there is none.
PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$name; break; }; done)

help:
	@echo "make setup   a virtual environment in .venv with everything"
	@echo "make demo    train a small model and label the docstrings of this machine"
	@echo "make test    all tests but those below"
	@echo "make test-faults   rows and models that kill replicas, nodes that die; minutes"
	@echo "make check   lint, format, types, layers"
	@echo "make bench   the benchmarks, side by side with what people use today"
	@echo "make docs    generate docs/config.md from the code, docs/architectures.md from the tests"
	@echo "make fmt     format, and mend what can be mended"
	@echo "make clean   remove the environment and what the commands above left"

setup: $(READY)

# The stamp is older than these files when they have changed: then the environment is made anew.
$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "no Python >= 3.11 found; make setup PYTHON=/path/to/python3.11" >&2; exit 2; }
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install -q --no-compile -c constraints.txt -e '.[dev]'
	touch $@

demo: $(READY)
	$(BIN)/labelmill demo

# Whole modules go to two processes; one thread each, or they would wait for each other's.
test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 --dist loadfile --no-loadscope-reorder

test-faults: $(READY)
	$(BIN)/pytest -q -m faults

check: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)
	$(BIN)/python -m benchmarks.label --rows 400 --peer-rows 100 --repeats 1 --out bench/speed.json

docs: $(READY)
	$(BIN)/python -m tests.support.pages

fmt: $(READY)
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

clean:
	rm -rf .venv .venv-bench bench labelmill-demo build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
