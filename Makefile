# make demo and make test set up all they need.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test check lint types bench env clean

demo: $(VENV)/.installed
	PATH="$(abspath $(BIN)):$$PATH" recipes/digits/run.sh --stop-stage 5

# Several modules at a time, in their order: else the long ones of tests/e2e would come last.
test: $(VENV)/.dev
	$(BIN)/python -m pytest -q -n auto --maxprocesses 4 --dist loadscope --no-loadscope-reorder

check: lint types test

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

bench: $(VENV)/.dev
	$(BIN)/python -m pytest -q -s -m bench tests/bench

env: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --editable '.[dev,report]'
	touch $@

clean:
	rm -rf exp .demo build dist *.egg-info recipes/*/work
