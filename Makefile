# `make` prints this list. Two commands matter: `make up` runs PAC here, `make test` proves it.
.DEFAULT_GOAL := help
.PHONY: help setup up down test test-unit test-integration test-e2e test-api test-chaos test-simulation test-mutants test-restore test-extra check holds fmt generate clean
SHELL := /bin/bash
PYTHON ?= python3
export UV_PYTHON_DOWNLOADS = never
UV := $(shell command -v uv 2>/dev/null || echo .tools/bin/uv)
RUN := $(UV) run --locked
MEMBERS := $(wildcard libs/* services/*) cli
SERVICE ?=
TESTS := $(if $(SERVICE),$(filter %/$(SERVICE),$(MEMBERS)),$(MEMBERS))

help: ## this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.tools/bin/uv:
	@echo "uv is not installed: fetching it into .tools/"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "PAC needs Python 3.11 or newer; $(PYTHON) is older. Try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -m venv .tools || { echo "$(PYTHON) cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@.tools/bin/python -m pip install --quiet --disable-pip-version-check 'uv==0.13.9'

.venv/.locked: uv.lock pyproject.toml $(wildcard libs/*/pyproject.toml services/*/pyproject.toml) cli/pyproject.toml | $(filter .tools/bin/uv,$(UV))
	$(UV) sync --locked
	@touch $@

setup: .venv/.locked ## install everything that the lock names into .venv

up: setup ## PostgreSQL, Kafka, S3, five services and a local runtime, in the foreground
	@$(RUN) pac up

down: setup ## stop what `make up` or `pac up --detach` started
	@$(RUN) pac down

test: setup ## every test, on real PostgreSQL, Kafka and S3
	$(RUN) pytest $(TESTS) $(if $(SERVICE),,tests)

test-unit: setup ## pure code only; SERVICE=billing narrows
	$(RUN) pytest $(wildcard $(addsuffix /tests/unit,$(TESTS)))

test-integration: setup ## one service at a time on real infrastructure; SERVICE=billing narrows
	$(RUN) pytest $(wildcard $(addsuffix /tests/integration,$(TESTS)))

test-e2e: setup ## all services together, as a real client sees them
	$(RUN) pytest tests/e2e

test-chaos: setup ## everything killed, paused and taken away under load (an hour); PAC_CHAOS_SEED=… replays, KEEP=1 keeps the results
	$(if $(KEEP),PAC_KEEP_RESULTS=1) $(RUN) pytest -s -m chaos tests/chaos

test-api: setup ## ten thousand requests made from the API's description; CASES=… how many, SEED=… which
	PAC_API_CASES=$(or $(CASES),10000) PAC_API_SEED=$(or $(SEED),1) $(RUN) pytest -s tests/e2e/test_any_request.py

test-simulation: setup ## the real deciders in 10,000 random orders; SEEDS=… how many, FIRST=… replays from a seed
	PAC_SIMULATION_SEEDS=$(or $(SEEDS),10000) PAC_SIMULATION_FIRST=$(or $(FIRST),0) $(RUN) pytest -s tests/simulation

test-mutants: setup ## 10,000 packages with a few bytes changed: what is accepted, zipfile, unzip and Go read alike; SENT=1000 are uploaded; MUTANTS=…, FIRST=…
	PAC_MUTANTS=$(or $(MUTANTS),10000) PAC_MUTANTS_SENT=$(or $(SENT),1000) PAC_MUTANTS_FIRST=$(or $(FIRST),0) $(RUN) pytest \
	  libs/agentkit/tests/integration/test_other_readers.py services/packages/tests/integration/test_hostile.py

test-restore: setup ## the backup and the restore of docs/how-to, word for word, on new servers (minutes)
	$(RUN) pytest -s -m long tests/docs/test_restore.py

test-extra: setup ## what needs more than Python and make, where it is there: node writes the session cookies again and verifies deliveries; the image's steps; the chart by helm and kubectl-validate
	$(RUN) python services/gateway/tests/supabase/record.py
	$(RUN) python services/runtime-notifier/tests/standardwebhooks/verify.py
	$(RUN) pytest -m 'not chaos' tests/deploy

check: setup ## format, lint, types, who imports whom, generated files
	$(RUN) ruff format --check .
	$(RUN) ruff check .
	$(RUN) lint-imports --no-cache
	$(RUN) python -m pac.contracts.schemas --check libs/contracts/schemas
	$(RUN) python -m pac.contracts.asyncapi --check libs/contracts/asyncapi.json
	$(RUN) python -m pac.contracts.error_reference --check docs/reference/errors.md
	$(RUN) python -m pac.testkit.settings_reference --check docs/reference/settings.md
	$(RUN) python -m pac.testkit.cli_reference --check docs/reference/cli.md
	$(RUN) python -m pac.testkit.event_reference --check docs/reference/events.md
	$(RUN) python -m pac.testkit.metric_reference --check docs/reference/metrics.md
	$(RUN) python -m pac.gateway.openapi --check
	$(RUN) python -m pac.contracts.compatibility libs/contracts/released
	$(RUN) python -m pac.testkit.holds --check
	$(RUN) python -m pac.testkit.dashboards --check deploy/grafana
	$(RUN) python deploy/helm/files.py --check
	$(RUN) mypy $(wildcard libs/*/src services/*/src) cli/src
	@set -e; for tests in $(wildcard $(addsuffix /tests,$(MEMBERS))) tests; do echo "mypy $$tests"; $(RUN) mypy $$tests; done

holds: setup ## write the README's table of what holds, from the newest results
	$(RUN) python -m pac.testkit.holds

fmt: setup ## format and mend what can be mended
	$(RUN) ruff format .
	$(RUN) ruff check --fix .

generate: setup ## write the generated files again
	$(RUN) python -m pac.contracts.schemas libs/contracts/schemas
	$(RUN) python -m pac.contracts.asyncapi libs/contracts/asyncapi.json
	$(RUN) python -m pac.contracts.error_reference docs/reference/errors.md
	$(RUN) python -m pac.testkit.settings_reference docs/reference/settings.md
	$(RUN) python -m pac.testkit.cli_reference docs/reference/cli.md
	$(RUN) python -m pac.testkit.event_reference docs/reference/events.md
	$(RUN) python -m pac.testkit.metric_reference docs/reference/metrics.md
	$(RUN) python -m pac.gateway.openapi
	$(RUN) python -m pac.testkit.dashboards deploy/grafana
	$(RUN) python -m pac.contracts.golden libs/contracts/golden
	$(RUN) python -m pac.testkit.golden $(wildcard services/*/tests/golden)
	$(RUN) python deploy/helm/files.py

clean: ## remove the environment and all caches of this checkout (not the state of `make up`: pac down --wipe)
	rm -rf .venv .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis
