# Each target does its own set-up: an environment in $(VENV), made once and renewed when pyproject.toml changes.
#
#   make run                 start the demo on http://127.0.0.1:8000  (HOST= PORT= APP= to change)
#   make test                lint, types and the whole suite; TESTS=tests/codec for a part
#   make test-long           its properties alone, with twenty times as many examples, drawn at random
#   make lint                lint and types alone
#   make bench               load tests beside other servers; make bench-quick for a first look
#   make bench-compare A=old.json B=new.json
#   make bench-micro         the parts by themselves, in seconds
#   make bench-instr         instructions by valgrind, of this commit and of the one before
#   make docs                write the reference pages that are made from code
#   make docs-check          every example in the documentation, run
#   make fuzz                every fuzz target for FUZZ_SECONDS each; led by coverage where atheris is installed (the codec)
#   make survive             hostile clients against a server of our own; SURVIVE=--quick for the short form
#   make sanitize            the tests of the C codec under AddressSanitizer and UBSan
#   make profile WORKLOAD=get   a flame graph of the server under that load
#   make clean               remove all that was made
#
# PYTHON=python3.13 chooses the interpreter, and an environment of its own for it.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# Where it is set, every process of the suite compiles all modules anew: half of what a short command costs.
export PYTHONDONTWRITEBYTECODE :=

ifdef PYTHON
VENV ?= .venv-$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' || echo broken)
export PYTHON
else
VENV ?= .venv
endif

BIN := $(VENV)/bin
HOST ?= 127.0.0.1
PORT ?= 8000
APP ?= examples/integration_demo.py
FUZZ_SECONDS ?= 30
WORKLOAD ?= get
PROCESSES ?= --numprocesses=auto --maxprocesses=4 --dist=worksteal
TYPED := $(wildcard rat tests examples tools fuzz)
SOURCES := $(TYPED) $(wildcard bench setup.py)

# What the environment was made from.  The stamp of the larger set satisfies the smaller one.
INPUTS := pyproject.toml constraints.txt tools/environment $(wildcard setup.py rat/compiled.py tools/compiler.py rat/codec/native/*.[ch] rat/http1/native/*.[ch] rat/native/*.[ch])
RUN_STAMP := $(VENV)/.ready-run
DEV_STAMP := $(VENV)/.ready-dev

.PHONY: help run test test-long lint bench bench-quick bench-micro bench-compare bench-instr profile docs docs-check fuzz survive sanitize clean

help:
	@sed -n 's/^#   //p' Makefile

$(DEV_STAMP): $(INPUTS)
	@./tools/environment $(VENV) dev,multipart
	@touch $(DEV_STAMP) $(RUN_STAMP)

$(RUN_STAMP): $(INPUTS)
	@./tools/environment $(VENV) multipart
	@touch $(RUN_STAMP)

run: $(RUN_STAMP)
	@exec $(BIN)/rat serve $(APP) --host $(HOST) --port $(PORT)

lint: $(DEV_STAMP)
	@$(BIN)/ruff check --quiet $(SOURCES)
	@$(BIN)/ruff format --quiet --check $(SOURCES)
	@$(BIN)/mypy $(TYPED)

test: lint
	@$(BIN)/python -m pytest $(PROCESSES) $(TESTS)

test-long: $(DEV_STAMP)
	@$(BIN)/python -m pytest $(PROCESSES) --hypothesis-profile=long -m "hypothesis or generated" $(TESTS)

bench: $(DEV_STAMP)
	@$(BIN)/python -m bench $(BENCH)

bench-quick: $(DEV_STAMP)
	@$(BIN)/python -m bench --quick $(BENCH)

bench-micro: $(DEV_STAMP)
	@$(BIN)/python -m bench micro

bench-compare: $(DEV_STAMP)
	@test -n "$(A)" -a -n "$(B)" || { echo "make: usage: make bench-compare A=old.json B=new.json" >&2; exit 2; }
	@$(BIN)/python -m bench compare $(A) $(B)

bench-instr: $(DEV_STAMP)
	@$(BIN)/python -m bench instr

profile: $(DEV_STAMP)
	@$(BIN)/python -m bench profile $(WORKLOAD)

docs: $(DEV_STAMP)
	@$(BIN)/python tools/reference.py

docs-check: $(DEV_STAMP)
	@$(BIN)/python -m pytest tests/test_docs.py tests/test_examples.py

fuzz: $(DEV_STAMP)
	@for target in fuzz/fuzz_*.py; do \
		[ -e "$$target" ] || { echo "make: no fuzz target in fuzz/" >&2; exit 1; }; \
		echo "$$target, $(FUZZ_SECONDS) s"; \
		$(BIN)/python "$$target" --seconds $(FUZZ_SECONDS) || exit 1; \
	done

survive: $(DEV_STAMP)
	@$(BIN)/python -m bench.survive $(SURVIVE)

sanitize: $(DEV_STAMP)
	@PYTHON=$(BIN)/python ./tools/sanitize.sh

clean:
	rm -rf .venv .venv-* build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis bench/.venv bench/.work
	find rat tests examples bench fuzz tools -name __pycache__ -type d -prune -exec rm -rf {} +
	find rat -name '*.so' -delete
