# `make` lists what there is. Everything runs in .venv, which each target makes or brings up to date by itself.
PYTHON ?= python3
VENV ?= .venv
# CI installs the built wheel instead: EDITABLE= PACKAGE=dist/....whl
EDITABLE ?= --editable
PACKAGE ?= .
BIN := $(VENV)/bin
Q ?= In one sentence: what is the capital of France?

.DEFAULT_GOAL := help
.PHONY: help setup run test test-long test-sdist test-lowest test-notebooks test-local test-html test-coverage test-ci test-jupyter dist sbom chaos scale mutants lint type format docs bench bench-quick record record-notebooks clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

$(VENV)/.base: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet $(EDITABLE) '$(PACKAGE)'
	@touch $@

$(VENV)/.docs: $(VENV)/.base
	$(BIN)/python -m pip install --quiet $(EDITABLE) '$(PACKAGE)[otel,prometheus,redis,testing,server,notebook]' --group docs
	@touch $@

$(VENV)/.local: $(VENV)/.base
	$(BIN)/python -m pip install --quiet $(EDITABLE) '$(PACKAGE)[local]'
	@touch $@

$(VENV)/.dev: $(VENV)/.base
	$(BIN)/python -m pip install --quiet $(EDITABLE) '$(PACKAGE)' --group test --group lint
	@touch $@

setup: $(VENV)/.local $(VENV)/.dev ## install everything for users and developers

run: $(VENV)/.local ## ask a question: Q="..."; a vendor with a key answers, or else a model on this machine
	@$(BIN)/python -m langchain_llmdispatch "$(Q)"

# Kept bytecode of the tests saves each worker five seconds in every run after the first.
test: $(VENV)/.dev ## run the tests, offline
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest -n 2 --dist worksteal -m "not local_model"

DATA := tests/test_init.py tests/test_layout.py tests/catalog tests/config tests/vendors/test_wordings.py \
	tests/end_to_end/test_own_cassettes.py tests/testing/policy_replay
test-sdist: $(VENV)/.dev ## collect all tests, and run those that read files beside them
	$(BIN)/python -m pytest --collect-only -qq | tail -n 1
	$(BIN)/python -m pytest -q -n 2 $(DATA)

LOWEST := tests/standard tests/transport tests/limits tests/redis tests/config tests/dispatch tests/vendors/compile \
	$(patsubst %,tests/end_to_end/test_%.py,failover resume limits)
test-lowest: ## run a part of the tests with the lowest versions of all dependencies, and the installed package
	$(PYTHON) scripts/lowest_versions.py > $(VENV)-lowest.txt
	$(PYTHON) -m venv $(VENV)-lowest
	$(VENV)-lowest/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(VENV)-lowest/bin/python -m pip install --quiet $(EDITABLE) '$(PACKAGE)[redis,otel,prometheus,testing]' --group lowest \
		--constraint $(VENV)-lowest.txt
	$(VENV)-lowest/bin/python -m pytest -q -n 2 $(LOWEST) --ignore tests/standard/test_server.py

test-long: $(VENV)/.dev ## run the tests of random inputs with twenty times as many, new ones every time
	LLMDISPATCH_HYPOTHESIS=long $(BIN)/python -m pytest -n 2 --dist worksteal -m "hypothesis"

docs: $(VENV)/.docs ## build the documentation into site/; every warning is an error
	$(BIN)/sphinx-build -E -W --keep-going -q -b html docs site

test-notebooks: $(VENV)/.dev ## run the notebooks top to bottom, offline
	$(BIN)/python -m pytest --nbmake --nbmake-timeout=120 -n 2 notebooks

$(VENV)/.jupyter: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --group jupyter
	@touch $@

test-jupyter: $(VENV)/.jupyter ## open the notebooks in JupyterLab, in Chromium, and look at them: screenshots/
	$(BIN)/python -m pytest -q tests/jupyter

test-local: $(VENV)/.dev $(VENV)/.local ## run the tests of the real model on this machine (fetches 500 MB once)
	LLMDISPATCH_TEST_LOCAL=1 $(BIN)/python -m pytest -m local_model

test-html: $(VENV)/.dev ## run the tests and write htmlcov/
	$(BIN)/python -m pytest --cov=langchain_llmdispatch --cov-branch --cov-report=html

test-coverage: $(VENV)/.dev ## run the tests and print the coverage
	$(BIN)/python -m pytest --cov=langchain_llmdispatch --cov-branch --cov-report=term-missing:skip-covered

$(VENV)-bench/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)-bench
	$(VENV)-bench/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(VENV)-bench/bin/python -m pip install --quiet --upgrade $(EDITABLE) '$(PACKAGE)' --group bench
	@touch $@

bench: $(VENV)-bench/.ready ## measure this package beside its peers, under ten minutes: benchmarks/results/, README.md, docs/benchmarks.md
	$(VENV)-bench/bin/python -m benchmarks.peers

bench-quick: $(VENV)-bench/.ready ## the same with few calls and rows, under a minute; it only prints
	$(VENV)-bench/bin/python -m benchmarks.peers --quick

chaos: $(VENV)/.dev ## make 10,000 calls over failing vendors, and check every promise: CHAOS_SEED=1 CHAOS_CALLS=10000
	$(BIN)/python -m tests.chaos

$(VENV)-scale/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)-scale
	$(VENV)-scale/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(VENV)-scale/bin/python -m pip install --quiet $(EDITABLE) '$(PACKAGE)' --group test --group scale
	@touch $@

scale: $(VENV)-scale/.ready ## run one model on a process pool, Dask and Ray over one Redis: one limit, one breaker, one budget, to 3 %
	LLMDISPATCH_TEST_SCALE=1 $(VENV)-scale/bin/python -m pytest -q tests/end_to_end/test_dask.py tests/end_to_end/test_ray.py
	$(VENV)-scale/bin/python -W ignore -m benchmarks.scale

mutants: $(VENV)/.dev ## change the code of dispatch, health, limits and framing in small ways: which changes do no tests notice? ONLY="langchain_llmdispatch.dispatch.*"
	$(BIN)/python -m pip install --quiet --group mutation
	$(BIN)/mutmut run $(if $(ONLY),"$(ONLY)") ; $(BIN)/mutmut results

test-ci: test lint type ## what CI runs

$(VENV)/.build: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet 'build>=1.2'
	@touch $@

DIST ?= dist
dist: $(VENV)/.build ## build the sdist, and the wheel from it
	$(BIN)/python -m build --outdir $(DIST) .

SBOM := $(VENV)-sbom
sbom: dist ## write $(DIST)/sbom.cdx.json: what the wheel and its dependencies install
	$(PYTHON) -m venv --clear $(SBOM)-tool && $(SBOM)-tool/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(SBOM)-tool/bin/python -m pip install --quiet --group sbom
	$(PYTHON) -m venv --clear --without-pip $(SBOM)
	$(SBOM)-tool/bin/python -m pip --python $(SBOM)/bin/python install --quiet $(DIST)/*.whl
	$(SBOM)-tool/bin/cyclonedx-py environment --pyproject pyproject.toml --mc-type library --output-reproducible \
		--output-format JSON --output-file $(DIST)/sbom.cdx.json $(SBOM)/bin/python

lint: $(VENV)/.dev ## check style and import rules
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/lint-imports --no-logo
	$(BIN)/check-jsonschema -q --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema -q --builtin-schema vendor.dependabot .github/dependabot.yml

type: $(VENV)/.dev ## check types: the package's, and those of calls as users write them
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/typing

format: $(VENV)/.dev ## format the code
	$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

record: $(VENV)/.local $(VENV)/.dev ## record cassettes/ anew: from the model on this machine, or VENDOR=anthropic with its key set
	$(BIN)/python scripts/record_cassettes.py $(if $(VENDOR),--vendor $(VENDOR))

record-notebooks: $(VENV)/.local $(VENV)/.dev ## record cassettes/notebooks/ anew, from the models on this machine
	$(BIN)/python scripts/record_notebooks.py

clean: ## remove what the targets made
	rm -rf $(VENV) $(VENV)-bench $(VENV)-lowest $(VENV)-scale $(VENV)-sbom $(VENV)-sbom-tool screenshots site jupyter_execute docs/notebooks .coverage htmlcov .pytest_cache .mypy_cache .ruff_cache .hypothesis mutants
