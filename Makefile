# Two commands do all: `make demo` shows a charge, `make test` runs the tests. Nothing has to be installed before.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.PHONY: demo test fuzz explore conformance-report check bench replay lock clean

demo: $(VENV)/.ready
	$(BIN)/borne demo $(ARGS)

test: $(VENV)/.ready-dev
	$(BIN)/pytest -n auto $(ARGS)

# Explores every state of an EVSE with all steps, settings and pairs of start and stop points; EXPLORE_TIME.
explore: $(VENV)/.ready-dev
	$(BIN)/python -m tests.exploration

# Tries the properties with random examples, ten times as many as `make test`; what it finds becomes an @example.
fuzz: $(VENV)/.ready-dev
	$(BIN)/pytest -n auto -m hypothesis --hypothesis-profile fuzz --timeout 3600 $(ARGS)

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
