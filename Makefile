# Every target sets itself up: .venv is made and filled on first use. Tests run in four processes, so that two cores are busy while some of them wait.
# A process that crashes ends the run; pytest-xdist would start another and wait for ever.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PARALLEL := --numprocesses 4 --dist loadfile --no-loadscope-reorder --max-worker-restart 0
# What Python compiles may be kept: to rewrite the assertions of all tests takes each process 8 seconds.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo quick test coverage lint docs package clean

quick: lint  ## linters, import layers, types and the fast tests
	$(BIN)/pytest $(PARALLEL) -m "not slow and not browser and not multiprocess"

test: lint  ## linters, import layers, types and all tests
	$(BIN)/pytest $(PARALLEL)

coverage: $(READY)  ## the twenty slowest tests, the files with lines that no test runs, and the total; takes a third longer
	$(BIN)/pytest $(PARALLEL) --durations 20 --cov --cov-report=term:skip-covered $(TESTS)

lint: $(READY)  ## linters, import layers and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(READY)  ## the documentation site, into build/site; links that lead nowhere are errors
	$(BIN)/python tools/build_docs.py

package:  ## sdist and wheel in dist/, checked, installed into a clean environment and tried
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && PYTHON=$(PYTHON) tools/check_wheel.sh "$$folder"

demo: $(READY)  ## the whole chain on simulated videos, into demo-output/
	$(BIN)/urbanpipe demo --out demo-output

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) build demo-output .coverage .import_linter_cache .mypy_cache .pytest_cache .ruff_cache .hypothesis
