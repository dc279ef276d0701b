# make demo    run the shipped network on ISAAC and print the report (installs no torch)
# make test    the tests;  make test-long  those that take minutes
# make lint    make types  make clean
# make fuzz    wrong input of every kind for FUZZ seconds;  SEED=2 makes other cases
# make bench   the benchmarks;  make bench-record  writes them into docs/benchmarks.md
#
# Each environment is made once and again when pyproject.toml changes. `PYTHON=python3.12 make demo`
# chooses the interpreter, `VENV=folder make test` where the test environment is, `JOBS=8 make test`
# how many tests run at once.

PYTHON ?= python3
VENV ?= .venv-test
DEMO ?= .venv-demo
JOBS ?= 2
FUZZ ?= 300
SEED ?= 1

export PIP_DISABLE_PIP_VERSION_CHECK = 1
export OMP_NUM_THREADS ?= 1

.PHONY: demo test test-long lint types fuzz bench bench-record clean

demo: $(DEMO)/ready
	$(DEMO)/bin/cimarch sim architectures/isaac.cimarch models/resnet20.pt

test: $(VENV)/ready
	$(VENV)/bin/python -m pytest -q -rs -n $(JOBS)

test-long: $(VENV)/ready
	$(VENV)/bin/python -m pytest -q -n $(JOBS) -m long

lint: $(VENV)/ready
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: $(VENV)/ready
	$(VENV)/bin/mypy

fuzz: $(VENV)/ready
	$(VENV)/bin/python tests/fuzz.py --seconds $(FUZZ) --seed $(SEED)

bench: $(VENV)/ready
	$(VENV)/bin/python benchmarks/record.py

bench-record: $(VENV)/ready
	$(VENV)/bin/python benchmarks/record.py --write

clean:
	rm -rf $(VENV) $(DEMO) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(DEMO)/ready: pyproject.toml
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'cimarch needs Python 3.11 or later')"
	$(PYTHON) -m venv --clear $(DEMO)
	$(DEMO)/bin/pip install --quiet --editable .
	touch $@

$(VENV)/ready: pyproject.toml
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'cimarch needs Python 3.11 or later')"
	$(PYTHON) -m venv --clear $(VENV)
	$(VENV)/bin/pip install --quiet --editable '.[test]'
	touch $@
