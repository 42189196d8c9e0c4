# The only list of commands. Each makes .venv and installs when needed: nothing to do first.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.installed
# Set by CI to a lock file; empty means the ranges of pyproject.toml.
CONSTRAINTS ?=
PIP_CONSTRAINTS = $(if $(CONSTRAINTS),-c $(CONSTRAINTS))
OUT    ?= out
# For the matrices: --sample N --seed S --workers N --kinds modify,create
MATRIX ?=
# For `make beyond`: which part of the cases of `make full`, and how much of them (0 to 1).
SEED   ?= 0
SHARE  ?= 0.5
# Most tests wait for processes of their own: three at a time use two cores. Files are not torn apart.
WORKERS ?= 3
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile
CHAOS  := $(BIN)/chaos --no-version-check --no-log-file

.DEFAULT_GOAL := help
.PHONY: help demo test full beyond unit check fix bench kill-matrix fault-matrix docs sync wire lab clean

help: ## print this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 15

$(READY): pyproject.toml $(CONSTRAINTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "acns-chaos needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Name another with PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	# setuptools warns of folders named like the package, which is what this checkout is.
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet $(PIP_CONSTRAINTS) --editable '.[lab]' --group dev
	@touch $@

demo: $(READY) ## break the storefront's policy in the lab, watch, restore, report
	@mkdir -p $(OUT)
	@ACNS_CHAOS_CLUSTER=lab $(CHAOS) run --journal-path $(OUT)/journal.json experiments/storefront-ingress.json
	@$(BIN)/acns-chaos outcome $(OUT)/journal.json

test: $(READY) ## one case of everything: what a change must pass (12 minutes at most)
	$(PYTEST)

full: $(READY) ## every case of every loop, both engines, samples of the matrices (50 minutes at most)
	ACNS_CHAOS_EXAMPLES=4 $(PYTEST) --full

beyond: $(READY) ## what `make test` leaves out: the other engine, and a seeded part of full (SEED, SHARE)
	ACNS_CHAOS_SEED=$(SEED) $(PYTEST) --beyond $(SHARE) --seed $(SEED)

unit: $(READY) ## the quick tests: run on every save (15 seconds)
	ACNS_CHAOS_EXAMPLES=0.3 $(PYTEST) -q -m 'not slow' tests/policy tests/unit

check: $(READY) ## formatting, lint, layers, types, copies in step
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/python -m acns_chaos.cli sync --check

fix: $(READY) ## format, and mend what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(READY) ## the budgets, measured
	$(BIN)/python -m tests.bench

kill-matrix: $(READY) ## kill a run at every request it makes: everything must come back (an hour)
	$(BIN)/python -m tests.failures.kill_matrix $(MATRIX)

fault-matrix: $(READY) ## answer every request of inject and restore badly (an hour)
	$(BIN)/python -m tests.failures.fault_matrix $(MATRIX)

docs: $(READY) ## play the catalogue, and take the pictures of docs/images (two minutes; needs chromium)
	$(BIN)/python -m tests.docs.pictures $(OUT)/docs

sync: $(READY) ## copy the claims of probes/ into experiments/, refresh the README's tables
	$(BIN)/python -m acns_chaos.cli sync

wire: ## make acns_chaos/wire anew from its .proto files
	# protoc 27.2: what it makes loads under every protobuf from 5.27.2 on.
	$(PYTHON) -m venv $(OUT)/wire-venv
	$(OUT)/wire-venv/bin/python -m pip install --quiet 'grpcio-tools==1.66.2' 'setuptools<81'
	$(OUT)/wire-venv/bin/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. acns_chaos/wire/*.proto
	$(OUT)/wire-venv/bin/python -m grpc_tools.protoc -I. --grpc_python_out=. acns_chaos/wire/observer.proto acns_chaos/wire/health.proto

lab: $(READY) ## start the lab in the foreground and say how to point kubectl at it
	@$(BIN)/acns-chaos lab

clean: ## remove what make made
	rm -rf $(VENV) out build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
