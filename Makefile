# Everything runs in .venv. `make demo` and `make test` set up what they need.
VENV := .venv
BIN := $(VENV)/bin
CONSTRAINTS := requirements/core.txt
# Byte code is compiled on first import: half the time of an installation, and most modules are never imported.
PIP_INSTALL := -m pip --disable-pip-version-check install -qq --prefer-binary --no-compile
PYTHON ?= $(shell for python in python3.11 python3.12 python3; do \
	if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo $$python; break; fi; done)

.PHONY: help demo test lint services services-down venv constraints docs samples clean

help:
	@echo 'make demo           install, ingest samples/ and ask questions'
	@echo 'make test           run the tests'
	@echo 'make lint           ruff, mypy and the import contracts'
	@echo 'make services       start PostgreSQL, Redis and an S3 server for the tests; . .services/env names them'
	@echo 'make services-down  stop them and delete their data'
	@echo 'make venv           create .venv with llmflow in it'
	@echo 'make docs           write docs/configuration.md from the settings'
	@echo 'make samples        build samples/documents/ from samples/source/'
	@echo 'make constraints    pin the newest versions in $(CONSTRAINTS)'
	@echo 'make clean          remove .venv and every cache; documents ingested stay in .llmflow'

demo: $(VENV)/.core
	@$(BIN)/python samples/demo.py

test: $(VENV)/.dev
	@$(BIN)/python -m pytest

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

services: $(VENV)/.dev
	@$(BIN)/python deploy/services.py up

services-down:
	@test ! -d .services || $(BIN)/python deploy/services.py down

venv: $(VENV)/.core

docs: $(VENV)/.core
	$(BIN)/python docs/generate.py

samples: $(VENV)/.dev
	$(BIN)/python samples/build.py

constraints: require-python
	rm -rf build/constraints
	$(PYTHON) -m venv build/constraints
	build/constraints/bin/python $(PIP_INSTALL) --upgrade setuptools '.[evaluation,dev]'
	build/constraints/bin/python -m pip list --format freeze --exclude llmflow --exclude pip > $(CONSTRAINTS)

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

$(VENV)/.core: pyproject.toml $(CONSTRAINTS) | require-python
	@echo 'Installing llmflow into $(VENV) with $(PYTHON); this takes a minute or two the first time ...'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python $(PIP_INSTALL) -c $(CONSTRAINTS) -e '.[evaluation]'
	@touch $@

$(VENV)/.dev: $(VENV)/.core
	@echo 'Installing what the tests need ...'
	@$(BIN)/python $(PIP_INSTALL) -c $(CONSTRAINTS) -e '.[evaluation,dev]'
	@touch $@

.PHONY: require-python
require-python:
	@test -n '$(PYTHON)' || { \
		echo 'No Python 3.11 or newer was found; install one, or name it: make PYTHON=/path/to/python3.11' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info; v < (3, 11) and sys.exit(f"{sys.executable} is Python {v[0]}.{v[1]}; LLMFlow needs 3.11 or newer: make PYTHON=/path/to/python3.11")'
