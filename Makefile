# Two commands do all: `make demo` shows a charge, `make test` runs the tests. Nothing has to be installed before.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.PHONY: demo test explore conformance-report check bench replay lock clean

demo: $(VENV)/.ready
	$(BIN)/borne demo $(ARGS)

test: $(VENV)/.ready-dev
	$(BIN)/pytest -n auto $(ARGS)

# Explores every state of an EVSE with all steps, settings and pairs of start and stop points, on all processors.
# Some twelve million steps at 7,500 a second and processor: about a quarter of an hour on two that do nothing else.
explore: $(VENV)/.ready-dev
	$(BIN)/python -m tests.exploration

# Runs the certification cases and writes down what came of each.
conformance-report: $(VENV)/.ready-dev
	$(BIN)/pytest -n auto tests/conformance --conformance-report docs/conformance.md $(ARGS)

check: $(VENV)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/codespell

bench: $(VENV)/.ready-dev
	$(BIN)/python -m bench $(ARGS)

# Replays household loads against this load management, its peers and an oracle.
replay: $(VENV)/.ready-dev
	$(BIN)/python -m bench.replay $(ARGS)

# Pins what pyproject.toml asks for; without any address, so that every index serves.
lock: $(VENV)/.ready-dev
	$(BIN)/pip-compile -q --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --strip-extras -o requirements.lock pyproject.toml
	$(BIN)/pip-compile -q --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --strip-extras --extra dev --allow-unsafe -o requirements-dev.lock pyproject.toml

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.ready: requirements.lock pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps -e .
	touch $@

$(VENV)/.ready-dev: requirements-dev.lock $(VENV)/.ready
	$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements-dev.lock
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info
