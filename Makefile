# Two commands matter: `make run` and `make test`. `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup run tour test lint types tests kill bench lock clean

help: ## List the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

$(READY): requirements.lock setup.cfg pyproject.toml tools/make_venv.sh
	@sh tools/make_venv.sh "$(PYTHON)" "$(VENV)"
	@touch $@

setup: $(READY) ## Make the virtual environment from requirements.lock

run: $(READY) ## Run the bridge with an embedded shop, Totara, Stripe and mail server beside it (Ctrl-C stops)
	$(BIN)/bridge sandbox

tour: $(READY) ## The same by itself, step by step, each step checked
	$(BIN)/bridge sandbox --tour

test: lint types tests ## Everything: lint, types, tests

lint: $(READY) ## Ruff: style and errors
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY) ## mypy --strict
	$(BIN)/mypy

tests: $(READY) ## The test suite; PostgreSQL is used where the machine has it
	@# Compiled modules are kept, whatever the environment says: the tests start dozens of processes.
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/pytest -n 4

kill: $(READY) ## The long form of the kill test: thirty SIGKILLs under load on each database
	$(BIN)/python -m bench.kill

bench: $(READY) ## Measure against the floors of docs/performance.md (make bench ARGS=--json)
	$(BIN)/python -m bench $(ARGS)

lock: ## Renew requirements.lock from setup.cfg (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-emit-find-links --no-header --no-annotate --upgrade setup.cfg --extra dev -o requirements.lock

clean: ## Remove what the other targets made
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info
