# Two commands matter: `make demo` and `make test`. Everything they need, they install.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# A file's tests stay together, for they share servers; every worker has an API server of its own.
PARALLEL ?= -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
# The name of the demo's cluster.
DEMO ?= demo
# What `make bench` is told, as in make bench BENCH="--chunks 50000".
BENCH ?= --runs 3
# How often `make faults` does each thing.
RUNS ?= 10
export PATH := $(CURDIR)/$(BIN):$(PATH)

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

$(INSTALLED): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "ragops needs Python 3.11 or newer; name one with make PYTHON=...")'
	@echo "installing the Python packages into $(VENV) (about a minute)"
	@$(PYTHON) -m venv $(VENV) || { echo "no venv: install your system's python3-venv package"; exit 1; }
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/dev.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(INSTALLED) ## a cluster, the operator, a RagPipeline, documents in, cited answers out
	@$(BIN)/python -m examples.demo $(DEMO)

down: $(INSTALLED) ## take the demo's cluster down
	@$(BIN)/python -m tests.cluster down $(DEMO)

run: $(INSTALLED) ## the runtime alone on http://127.0.0.1:8000, its store in ./data
	@$(BIN)/rag-runtime serve

test: check unit e2e ## everything: lint, types, layers, unit, contract and end-to-end tests

check: $(INSTALLED) ## lint, types and import layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fmt: $(INSTALLED) ## format, and mend what lint can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

unit: $(INSTALLED) ## tests that need no pods
	$(BIN)/python -m tests.cluster binaries --control-plane --played-nodes
	$(BIN)/python -m tests.browser
	$(BIN)/pytest -m "not e2e and not bench" $(PARALLEL)

e2e: $(INSTALLED) ## tests in a real cluster
	$(BIN)/python -m tests.cluster binaries
	$(BIN)/python -m tests.cluster images
	$(BIN)/pytest -m e2e

faults: $(INSTALLED) ## kill things RUNS times over (10), and write what was lost to build/faults
	RUNS=$(RUNS) $(BIN)/pytest -m faults -s -q

bench: $(INSTALLED) ## measure ragops beside the bare loop and three frameworks
	$(BIN)/pytest -m bench
	$(BIN)/python -m benchmarks.runtime $(BENCH)

images: $(INSTALLED) ## build the images
	$(BIN)/python -m tests.cluster images

crds: $(INSTALLED) ## write the CRD and its reference from the models
	$(BIN)/rag-operator crds > crds/ragops.dev_ragpipelines.yaml
	cp crds/ragops.dev_ragpipelines.yaml charts/ragops/files/
	$(BIN)/python -m rag_operator.reference > docs/resource.md

lock: $(INSTALLED) ## pin the dependencies anew, with hashes
	$(BIN)/pip install --quiet --disable-pip-version-check uv
	./requirements/lock

.PHONY: help demo down run test check fmt unit e2e faults images crds lock bench
