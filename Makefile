# make writeup   execute every notebook, write pages and a PDF, compare with the reference numbers
# make test      ruff, mypy and pytest
# make test-slow the tests that need a browser or minutes
# make bench     the speed comparisons
# make gallery   draw the README's pictures anew, from stand-in data
# make data      fetch the original data files into data/

# The interpreter of the environment that is there, else python3; PYTHON=python3.12 names another.
BIN := .venv/bin
PYTHON ?= $(or $(realpath $(BIN)/python),python3)
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
TOO_OLD := needs Python 3.11 or newer, not $(VERSION); name one: make PYTHON=python3.12
INSTALLED := .venv/installed-$(VERSION)

CORES := $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
export OMP_NUM_THREADS ?= $(CORES)
export OPENBLAS_NUM_THREADS ?= $(CORES)
export MKL_NUM_THREADS ?= $(CORES)

.PHONY: writeup test test-slow bench gallery data clean
.DEFAULT_GOAL := writeup

writeup: $(INSTALLED)
	$(BIN)/python -m data || [ $$? -eq 1 ] # what is missing has stand-ins; a wrong setting is 2
	$(BIN)/python -m course writeup

test: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest

test-slow: $(INSTALLED)
	$(BIN)/python -m pytest -m slow

bench: $(INSTALLED)
	$(BIN)/python -m benchmarks

gallery: $(INSTALLED)
	$(BIN)/python -m course.gallery

data: $(INSTALLED)
	$(BIN)/python -m data

# The stamp is written last, so an interrupted set-up starts over. It carries the version: for
# another one, or if the interpreter is gone, the environment is made anew.
$(INSTALLED): requirements.txt $(BIN)/python
	@$(PYTHON) -c 'import sys; sys.exit("$(TOO_OLD)" if sys.version_info < (3, 11) else 0)'
	$(BIN)/python$(VERSION) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

$(BIN)/python: ;

clean:
	rm -rf .venv writeup .pytest_cache .ruff_cache .mypy_cache .hypothesis
