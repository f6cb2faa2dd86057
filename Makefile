# make writeup   execute every notebook, write writeup/*.html, compare with the reference numbers
# make test      ruff, mypy and pytest
# make test-slow the tests that need a browser or minutes
# make bench     the speed comparisons
# make gallery   draw the README's pictures anew, from stand-in data
# make data      fetch the original data files into data/

PYTHON ?= python3
BIN := .venv/bin
CORES := $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
export OMP_NUM_THREADS ?= $(CORES)
export OPENBLAS_NUM_THREADS ?= $(CORES)
export MKL_NUM_THREADS ?= $(CORES)

.PHONY: writeup test test-slow bench gallery data clean
.DEFAULT_GOAL := writeup

writeup: .venv/installed
	$(BIN)/python -m data || true
	$(BIN)/python -m course.writeup

test: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest

test-slow: .venv/installed
	$(BIN)/python -m pytest -m slow

bench: .venv/installed
	$(BIN)/python -m benchmarks

gallery: .venv/installed
	$(BIN)/python -m course.gallery

data: .venv/installed
	$(BIN)/python -m data

# The stamp is written last, so an interrupted set-up starts over.
.venv/installed: requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

clean:
	rm -rf .venv writeup .pytest_cache .ruff_cache .mypy_cache .hypothesis
