# `make demo` shows a charge, `make test` runs the tests; both install their dependencies first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
# Some environments keep Python from writing byte code: each of the some thousand programs that the tests start would compile its
# modules anew.
export PYTHONDONTWRITEBYTECODE :=
# These are for the target that they were given with, and not for a `make` that its command starts.
MAKEOVERRIDES :=
unexport ARGS REPORT
# Tests wait for programs and real time, so more run at once than there are processors.
export PYTEST_XDIST_AUTO_NUM_WORKERS ?= $(shell $(PYTHON) -c 'import os; print(3 * (os.cpu_count() or 1))')
# Stations commit to their storage all the time: in memory, their tests take a sixth less processor time. Not where that has little
# room, or runs no programs (noexec).
MEMORY := /dev/shm
test fuzz conformance-report lowest: export TMPDIR ?= $(shell $(PYTHON) -c 'import os; disk = os.statvfs("$(MEMORY)"); \
	roomy = disk.f_bavail * disk.f_frsize > 2**31; programs = not disk.f_flag & os.ST_NOEXEC; \
	print("$(MEMORY)" if roomy and programs else "/tmp")' 2>/dev/null || echo /tmp)

# Installs only files whose hashes are in the lock file.
INSTALL := $(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes
# For every Python from 3.11 on; the lock file names no package index, so any index can be used.
COMPILE := UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile -q --universal --python-version 3.11 \
	--generate-hashes --extra build pyproject.toml
LOWEST := $(VENV)/lowest
# Strict: a broken link or a page outside the menu is an error; with --quiet it would not be.
DOCS := NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build
# Tests of what is exposed to the network: the page, the API, TLS, certificates, passwords.
SECURITY_TESTS := $(addprefix tests/station/security/, access certificates test_credentials.py test_network_profiles.py \
	test_security_events.py) tests/station/storage/test_private_files.py $(addprefix tests/walks/test_, \
	access.py api.py connection_limits.py hostile_requests.py nonsense.py revocation.py security.py tls.py web_server.py)

.PHONY: demo test fuzz explore conformance-report check docs lowest bench replay deb sbom image-disk image-oci \
	home-assistant-addon test-machine release lock clean

demo: $(VENV)/.ready
	$(BIN)/borne demo $(ARGS)

test: $(VENV)/.ready-dev
	$(BIN)/pytest -n auto $(ARGS)

# Checks every reachable state of an EVSE with all steps, settings and pairs of start and stop points, on all processors.
# Some twelve million steps at 7,500 a second and processor: about a quarter of an hour on two idle ones.
explore: $(VENV)/.ready-dev
	$(BIN)/python -m tests.exploration

# Runs the property tests with random examples, ten times as many as `make test`; add each failure as an @example. Also sends
# every poisonous value in every field of every message, of which `make test` plays a sample.
fuzz: $(VENV)/.ready-dev
	$(BIN)/pytest -n auto -m "hypothesis or fuzz" --hypothesis-profile fuzz --timeout 3600 $(ARGS)

# Runs the certification cases and writes their results.
REPORT := docs/conformance.md
conformance-report: $(VENV)/.ready-dev
	$(BIN)/pytest -n auto tests/conformance --conformance-report $(REPORT) $(ARGS)

check: $(VENV)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/codespell
	$(BIN)/python -m tools.wiring
	$(DOCS)

# Builds the documentation into build/docs.
docs: $(VENV)/.ready-dev
	$(DOCS) $(ARGS)

# Runs the security tests with the lowest versions that pyproject.toml allows.
lowest: $(LOWEST)/.ready
	$(LOWEST)/bin/pytest -q -n auto -p no:cacheprovider $(SECURITY_TESTS) $(ARGS)

bench: $(VENV)/.ready-dev
	$(BIN)/python -m bench $(ARGS)

# The Debian package in build/, for this processor architecture or another: ARGS="--architecture arm64".
deb: $(VENV)/.ready-dev
	$(BIN)/python -m tools.delivery.debian_package $(ARGS)

# The software bill of materials in build/ (CycloneDX).
sbom: $(VENV)/.ready-dev
	$(BIN)/python -m tools.delivery.bill_of_materials $(ARGS)

# The image of a station's disk and its update bundle, signed with the maker's certificate and key:
# ARGS="--certificate cert.pem --key key.pem --station station.toml".
image-disk: $(VENV)/.ready-dev
	$(BIN)/python -m tools.delivery.disk_image $(ARGS)

# The image for containers in build/, for this processor architecture or another: ARGS="--architecture arm64".
image-oci: $(VENV)/.ready-dev
	$(BIN)/python -m tools.delivery.oci_image $(ARGS)

# The add-on of Home Assistant in build/home-assistant, for both processor architectures.
home-assistant-addon: $(VENV)/.ready-dev
	$(BIN)/python -m tools.delivery.home_assistant_addon $(ARGS)

# Starts the images in virtual machines and containers, as root: power cuts, updates, faults.
test-machine: export PYTEST_XDIST_AUTO_NUM_WORKERS = $(shell nproc)
test-machine: $(VENV)/.ready-dev
	$(BIN)/pytest --machine --timeout 3600 tests/machine $(ARGS)

# Checks everything at length, builds everything that a release consists of, and signs it: docs/releasing.md.
release: $(VENV)/.ready-dev
	$(BIN)/python -m tools.delivery.release $(ARGS)

# Simulates household loads with this load management, other projects and an oracle.
replay: $(VENV)/.ready-dev
	$(BIN)/python -m bench.replay $(ARGS)

# Pins the dependencies of pyproject.toml, with the hashes of all their files: requirements.lock for a simulated station,
# requirements-board.lock for one on hardware as well.
lock: $(VENV)/.ready-dev
	$(COMPILE) -o requirements.lock
	$(COMPILE) --extra board --constraints requirements.lock -o requirements-board.lock
	$(COMPILE) --extra board --extra fleet --extra test --extra dev -o requirements-dev.lock
	$(COMPILE) --extra board --extra test --resolution lowest-direct --upgrade -o requirements-lowest.lock

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.ready: requirements.lock pyproject.toml | $(VENV)/bin/python
	$(INSTALL) -r requirements.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-build-isolation --no-deps -e .
	touch $@

# uv installs in ten seconds what takes pip eighty. pip installs uv, from the same lock: its entry is the line that names it and the
# indented ones below.
$(VENV)/.ready-dev: requirements.lock requirements-dev.lock pyproject.toml | $(VENV)/bin/python
	awk '/^[^ #]/ { wanted = /^uv==/ } wanted' requirements-dev.lock > $(VENV)/uv.lock
	$(INSTALL) -r $(VENV)/uv.lock
	$(BIN)/uv pip install -q --compile-bytecode --require-hashes --python $(BIN)/python -r requirements-dev.lock
	$(BIN)/uv pip install -q --no-build-isolation --no-deps --python $(BIN)/python -e .
	touch $(VENV)/.ready $@

$(LOWEST)/.ready: requirements-lowest.lock $(VENV)/.ready-dev
	$(BIN)/uv venv -q --clear --python $(BIN)/python $(LOWEST)
	$(BIN)/uv pip sync -q --require-hashes --python $(LOWEST)/bin/python requirements-lowest.lock
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info
