# One command each; `make help` lists them. Nothing is needed but make and Python 3.11 or newer.
# Everything is called as `python -m …`: the scripts of a virtual environment hold absolute paths, modules do
# not, so that this folder may be moved or copied.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
PACKAGES := $(VENV)/.installed
STAMP := $(VENV)/.kernel
UV_COMPILE := uv pip compile pyproject.toml --universal --generate-hashes --no-annotate --quiet

# Where FashionMNIST's four original files often lie beside a checkout. A setting of one's own goes first.
NEIGHBOUR := ../shared/data/fashion-mnist
ifneq ($(wildcard $(NEIGHBOUR)),)
export TONOK_DATASET_MIRROR ?= $(shell cd $(NEIGHBOUR) && pwd)
endif

.DEFAULT_GOAL := help
.PHONY: help setup demo study serve test test-fast test-elsewhere check format lint types contracts backup restore storm bench rivals fuzz fuzz-readers fuzz-device lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-15s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: $(STAMP) ## the environment in .venv, from requirements.lock; the coder's inner loop, where a C compiler is

$(STAMP): $(PACKAGES) $(wildcard worker/coding/kernel*.[ch]) worker/coding/kernel.py
	@$(PY) -m worker.coding
	@if ls worker/coding/kernel-*.so >/dev/null 2>&1; then touch $@; fi

$(PACKAGES): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Tonok needs Python 3.11 or newer; $(PYTHON) is older. Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock || \
		{ echo "The packages could not be installed: the line above says why. With PyTorch for CUDA they take 6.5 GB of disk,"; \
		echo "and 3 GB more while they are installed: df -h . tells what is free."; exit 1; }
	@touch $@

demo: $(STAMP) ## train, prune, quantize and compress on FashionMNIST through the API; then a table
	@$(PY) -m service.demo

EFFORT ?= quick
REPORT ?= en
DATASET ?= fashion_mnist
SEED ?= 0

study: $(STAMP) ## a whole study with a written report; EFFORT=quick|standard REPORT=en|fa DATASET=digits SEED=1
	@$(PY) -m service.demo.study --effort $(EFFORT) --language $(REPORT) --dataset $(DATASET) --seed $(SEED)

serve: $(STAMP) ## the API and a worker; a dashboard at http://127.0.0.1:8000/, Swagger at /docs
	@$(PY) -m service.supervisor

test: $(STAMP) ## all tests; on Debian as root it installs first what some of them need: tests/needs.py
	@$(PY) -m tests.needs
	$(PY) -m pytest -n 2 --dist worksteal

test-fast: $(STAMP) ## the tests that train nothing, for the inner loop
	$(PY) -m pytest -n 2 --dist worksteal -m "not slow"

test-elsewhere: $(STAMP) ## all tests as on other machines, one after the other; VARIANTS="sse41 avx2 threads seed busy", joined by + in one run
	@$(PY) -m tests.needs
	@$(PY) -m tests.variants $(VARIANTS)

check: format lint types contracts test ## what CI runs

format: $(STAMP) ## is everything formatted?
	$(PY) -m ruff format --check .

lint: $(STAMP) ## ruff's rules
	$(PY) -m ruff check .

types: $(STAMP) ## mypy --strict
	$(PY) -m mypy

contracts: $(STAMP) ## who may import whom
	$(PY) -c 'from importlinter.cli import lint_imports_command; lint_imports_command()' --no-logo

backup: $(STAMP) ## copy the data of TONOK_DATA_DIR to a new folder, TO=…; the service may run
	@$(PY) -m storage backup "$(TO)"

restore: $(STAMP) ## fill an empty TONOK_DATA_DIR from a backup, FROM=…
	@$(PY) -m storage restore "$(FROM)"

storm: $(STAMP) ## 200 jobs while the API, the workers and their jobs are killed 30 times
	$(PY) -m tests.faults.storm

bench: $(STAMP) ## measure speed; writes tests/benchmarks/results/
	@for file in tests/benchmarks/bench_*.py; do \
		name=$$(basename $$file .py); echo "== $$name"; $(PY) -m tests.benchmarks.$$name || exit 1; \
	done

rivals: $(STAMP) ## our jobs and other tools on one checkpoint, each tool in its own environment; MODEL=… to bring one
	@$(PY) -m tests.benchmarks.rivals $(if $(MODEL),--model "$(MODEL)") $(if $(JOBS),--jobs "$(JOBS)") \
		$(if $(TOOLS),--tools $(TOOLS))

fuzz: $(STAMP) ## Schemathesis against the running service, for MINUTES (20) with SEED (0); KEY=1: with API keys on
	@$(PY) -m tests.fuzz --minutes $(or $(MINUTES),20) --seed $(SEED) $(if $(KEY),--key)

fuzz-readers: $(STAMP) ## both readers of .tonok files get the same INPUTS (10000) damaged ones, from SEED (0)
	@$(PY) -m tests.fuzz.readers --inputs $(or $(INPUTS),10000) --seed $(SEED)

fuzz-device: $(STAMP) ## the decoder of the C export, built with sanitizers, gets INPUTS (1000000) damaged files, from SEED (0)
	@$(PY) -m tests.fuzz.device --inputs $(or $(INPUTS),1000000) --seed $(SEED)

lock: ## the lock files from pyproject.toml (needs uv); the images' two are parts of the first
	$(UV_COMPILE) --extra worker --extra dev -o requirements.lock
	$(UV_COMPILE) --constraint requirements.lock -o requirements-api.lock
	$(UV_COMPILE) --constraint requirements.lock --extra worker -o requirements-worker.lock
	cd tests/benchmarks/rivals/locks && for file in *.in; do \
		uv pip compile $$file --universal --python-version 3.11 --generate-hashes --no-annotate --quiet \
			-o $${file%.in}.lock || exit 1; \
	done

clean: ## remove the environment, the caches and the demo's data; never a server's
	rm -rf $(VENV) worker/coding/kernel-*.so .tonok/demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
