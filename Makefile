# Every target sets itself up in a folder of its own; nothing but Python 3.11 or newer and make is
# needed. Other versions: make test PYTHON=python3.13, make test-oldest PYTHON=python3.11.
PYTHON ?= python3
# the versions that are installed
CONSTRAINTS ?= constraints.txt
# one folder for each Python and each list of versions: .venv, .venv-python3.13, .venv-oldest
VENV := .venv$(filter-out -python3,-$(notdir $(PYTHON)))$(patsubst constraints%.txt,%,$(CONSTRAINTS))
BIN := $(VENV)/bin
# whether the documentation runs the examples of its gallery, which takes minutes
GALLERY ?= 1
export MPLBACKEND := Agg
export SCIPY_ARRAY_API := 1
# threads that wait do not spin: on a shared machine the small kernels of a training step took 10x
export OMP_WAIT_POLICY := passive

.PHONY: demo test test-slow test-slow-sample test-oldest test-clients lint format docs bench
.PHONY: bench-quick dist clean

$(VENV)/.ready-%: pyproject.toml setup.cfg $(CONSTRAINTS)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) -e '.[$*]'
	touch $@

demo: $(VENV)/.ready-plot
	$(BIN)/python examples/demo.py

test: $(VENV)/.ready-test
	$(BIN)/python -m pytest -n 2

test-slow: $(VENV)/.ready-test
	$(BIN)/python -m pytest -m slow

# a fixed sample of the slow ones
test-slow-sample: $(VENV)/.ready-test
	$(BIN)/python -m pytest -n 2 -m slow tests/solvers tests/basis tests/storage

# with the lowest versions that pyproject.toml allows
test-oldest:
	$(MAKE) test CONSTRAINTS=constraints-oldest.txt

# together with packages that take our estimators
test-clients: $(VENV)/.ready-clients
	$(BIN)/python -m pytest tests/clients

lint: $(VENV)/.ready-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/.ready-test
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.ready-docs
	$(BIN)/python -m sphinx -W --keep-going -D plot_gallery=$(GALLERY) -b html docs docs/_build/html

bench: $(VENV)/.ready-bench
	$(BIN)/python -m benchmarks

bench-quick: $(VENV)/.ready-bench
	$(BIN)/python -m benchmarks --quick

# source distribution and wheel in dist/
dist: $(VENV)/.ready-dist
	rm -rf build dist *.egg-info
	$(BIN)/python -m build
	$(BIN)/python -m twine check --strict dist/*

clean:
	rm -rf .venv .venv-* build dist *.egg-info demo_output
	rm -rf docs/_build docs/api docs/auto_examples docs/sg_execution_times.rst
