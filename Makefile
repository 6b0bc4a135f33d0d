# Two commands on a fresh machine: `make demo` (the main job) and `make test` (the tests).

PYTHON ?= python3
VENV := .venv
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check
LOCKED := $(PIP) install --quiet --require-hashes --no-deps
COMPILE := $(VENV)/bin/uv pip compile --quiet pyproject.toml --universal --generate-hashes --no-header --no-annotate

.PHONY: help demo test lint wheel bench lock clean

help:
	@echo 'make demo   a hive of three agents at work, without a key (a rehearsal model answers)'
	@echo 'make test   all tests; installs what they need, where it may'
	@echo 'make lint   ruff, mypy, the floors'
	@echo 'make bench  every speed claim, against its peers (BENCH="append wakeup" for some)'
	@echo 'make wheel  what docs/install/ installs, into dist/'
	@echo 'make lock   write requirements/ anew from pyproject.toml'

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo 'hyperhive needs Python 3.11 or newer; say which: make PYTHON=python3.12 …' >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
	  || { echo 'no venv module; on Debian and Ubuntu: apt install python3-venv' >&2; rm -rf $(VENV); exit 1; }

$(VENV)/.runtime: $(VENV)/bin/python requirements/runtime.txt pyproject.toml
	@echo 'installing hyperhive into $(VENV) (a few minutes at the first time: claude is large)'
	@$(LOCKED) -r requirements/runtime.txt
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements/dev.txt
	@$(LOCKED) -r requirements/dev.txt
	@touch $@

$(VENV)/.bench: $(VENV)/.dev requirements/bench.txt
	@$(LOCKED) -r requirements/bench.txt
	@touch $@

demo: $(VENV)/.runtime
	@sh .ci/system-packages bubblewrap git
	@$(VENV)/bin/hyperhive demo

test: $(VENV)/.dev
	@sh .ci/system-packages bubblewrap chromium git strace podman runc catatonit uidmap mmdebstrap systemd-container nix-bin
	@$(VENV)/bin/python -m pytest $(PYTEST)

# The benchmarks are typed, too, and so are the peers that they import.
lint: $(VENV)/.bench
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports

# Reproducible: the same files make the same wheel.
wheel: $(VENV)/.runtime
	@$(VENV)/bin/python -m hatchling build -t wheel -d dist

bench: $(VENV)/.bench
	@sh .ci/system-packages bubblewrap chromium git redis-server podman runc catatonit mmdebstrap systemd-container
	@$(VENV)/bin/python -m bench $(BENCH)

lock: $(VENV)/.dev
	@$(COMPILE) --group build --output-file requirements/runtime.txt
	@$(COMPILE) --group dev --constraint requirements/runtime.txt --output-file requirements/dev.txt
	@$(COMPILE) --group dev --group bench --constraint requirements/dev.txt --output-file requirements/bench.txt

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
