# Everything here sets itself up in .venv; nothing else on the machine is touched.
PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help demo test check test-scale test-cluster lint layers types docs bench bench-check wheel clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

demo: .venv/installed ## run the example DAGs on a real Airflow with an embedded ECS and Kubernetes
	@$(BIN)/asyncrun demo $(DEMO_ARGS)

# One process has the real Airflow; it and many of the other tests wait, so three keep two cores busy. TEST_PROCESSES=0 runs all in one.
TEST_PROCESSES ?= 3

test: .venv/installed ## the tests, real Airflow included
	@$(BIN)/pytest -n $(TEST_PROCESSES) $(TEST_ARGS)

# TESTED=1: the tests have just passed, do not run them a second time (.ci/run).
check: lint layers types docs $(if $(TESTED),,test) bench-check ## everything that must hold at each commit

test-scale: .venv/installed ## what takes minutes: hundreds of runs, repeated kills
	@$(BIN)/pytest -m scale --timeout 1800 $(TEST_ARGS)

IMAGE ?= busybox

test-cluster: .venv/installed ## the tests that any cluster must pass, on a real one: KUBECONFIG=... [IMAGE=busybox]
	@test -n "$(KUBECONFIG)" || { echo "make test-cluster KUBECONFIG=/path/to/kubeconfig [IMAGE=busybox]"; exit 2; }
	@$(BIN)/pytest tests/cluster --kubeconfig "$(KUBECONFIG)" --image "$(IMAGE)" $(TEST_ARGS)

lint: .venv/installed
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

layers: .venv/installed
	@$(BIN)/lint-imports --no-logo

types: .venv/installed
	@$(BIN)/mypy -p asyncrun

docs: .venv/installed
	@$(BIN)/python docs/check.py
	@$(BIN)/python -m benchmarks.report

# Ten runs of each backend; BENCH_ARGS=--series measures all that docs/benchmarks.md shows, BENCH_ARGS=--plots draws it.
bench: .venv/bench-installed ## measure beside upstream, in an environment of its own (BENCH_ARGS=--help)
	@$(BIN)/python -m benchmarks.upstream
	@$(BIN)/python -m benchmarks $(BENCH_ARGS)

# Only whether each line arrives once and each run ends right; never how long it takes.
bench-check: .venv/installed
	@$(BIN)/python -m benchmarks --check

wheel: .venv/installed
	@$(BIN)/python -m build --wheel --outdir dist .

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

# Debian's python3 comes without ensurepip unless python3-venv is installed: then pip installs itself into the venv.
.venv/bin/python:
	@echo "Setting up .venv with $$($(PYTHON) --version) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "asyncrun needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	@if $(PYTHON) -c 'import ensurepip' 2>/dev/null; then $(PYTHON) -m venv .venv; \
	  else $(PYTHON) -m venv --without-pip .venv \
	    && $(PYTHON) -m pip --python .venv/bin/python install --quiet pip; fi \
	  || { rm -rf .venv; echo "No virtual environment could be made: apt-get install python3-venv"; exit 1; }

.venv/installed: .venv/bin/python pyproject.toml constraints.txt
	@echo "Installing (a few minutes the first time) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

.venv/bench-installed: .venv/installed
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	@touch $@
