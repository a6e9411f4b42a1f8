# Every target sets itself up in .venv; nothing but Python 3.11 and make is needed.
PYTHON ?= python3
BIN := .venv/bin
# whether the documentation runs the examples of its gallery, which takes minutes
GALLERY ?= 1
export MPLBACKEND := Agg
export SCIPY_ARRAY_API := 1
# threads that wait do not spin: on a shared machine the small kernels of a training step took 10x
export OMP_WAIT_POLICY := passive

.PHONY: demo test test-slow test-slow-sample lint format docs bench bench-quick clean

.venv/.ready-%: pyproject.toml setup.cfg constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$*]'
	touch $@

demo: .venv/.ready-plot
	$(BIN)/python examples/demo.py

test: .venv/.ready-test
	$(BIN)/python -m pytest -n 2

test-slow: .venv/.ready-test
	$(BIN)/python -m pytest -m slow

# a fixed sample of the slow ones
test-slow-sample: .venv/.ready-test
	$(BIN)/python -m pytest -n 2 -m slow tests/solvers tests/basis tests/storage

lint: .venv/.ready-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: .venv/.ready-test
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: .venv/.ready-docs
	$(BIN)/python -m sphinx -W --keep-going -D plot_gallery=$(GALLERY) -b html docs docs/_build/html

bench: .venv/.ready-bench
	$(BIN)/python -m benchmarks

bench-quick: .venv/.ready-bench
	$(BIN)/python -m benchmarks --quick

clean:
	rm -rf .venv build dist *.egg-info demo_output
	rm -rf docs/_build docs/api docs/auto_examples docs/sg_execution_times.rst
