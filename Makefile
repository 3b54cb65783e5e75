# What a developer needs. `make demo` and `make test` do all set-up themselves.
#
# Paths are relative, so that a checkout may lie in a folder with a space in its name.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

PYTHON ?= python3
BIN := .venv/bin
BITFLOW := ../$(BIN)/bitflow
SOURCES := pipeline hil tests bench examples

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: mpy-dist docs bench help setup demo test test-long test-setup coverage lint format fuzz soak speed speed-alexnet builtin wheel clean

# A checkout that was moved needs a new environment: scripts in it carry the old path.
ifneq ($(shell cat .venv/.installed 2>/dev/null),$(CURDIR))
$(shell rm -f .venv/.installed)
endif

help: ## Show the targets.
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 20

.venv/.installed: constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "BitFlow needs Python 3.11 or newer: make PYTHON=..." >&2; exit 3; }
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "Python has no venv module: apt-get install python3-venv" >&2; exit 3; }
	test -e .venv/.installed || $(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@pwd > .venv/.installed

setup: .venv/.installed ## Make the virtual environment .venv with everything in it.

demo: .venv/.installed ## Train digits, build firmware, check all 360 test images on an emulated Cortex-M4.
	@.ci/packages demo
	mkdir -p .demo
	cd .demo && { test -e bitflow.toml || $(BITFLOW) init; }
	cd .demo && { test -e model.pt || $(BITFLOW) train; }
	cd .demo && $(BITFLOW) fuse model.pt -o model.bfn
	cd .demo && $(BITFLOW) verify
	cd .demo && $(BITFLOW) hil --board qemu-m4

# labgrid replaces pyserial, so its tools have an environment of their own.
.venv/labgrid/.installed: .venv/.installed
	test -x .venv/labgrid/bin/labgrid-client || $(PYTHON) -m venv --clear .venv/labgrid
	.venv/labgrid/bin/python -m pip install --quiet --disable-pip-version-check 'labgrid==26.0.1'
	@touch $@

# Brevitas asks for an older setuptools than is good for the rest, and needs none: it lies beside the others.
.venv/brevitas/.installed: .venv/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target .venv/brevitas --upgrade \
		'brevitas==0.13.4' 'dependencies==2.0.1' 'unfoldNd==0.2.3'
	@touch $@

# Two workers, as any computer has two processors. Each takes whole files, so that what a file sets up is set up once;
# in the long tier single tests, which set up little and take minutes.
PYTEST := $(BIN)/python -m pytest -n 2

test-setup: .venv/.installed .venv/labgrid/.installed .venv/brevitas/.installed
	@.ci/packages test
	@.ci/newer-qemu
	@mkdir -p .pytest_cache

test: test-setup ## Lint, check types, and test everything, of long tests a sample: minutes (ARGS='tests/learn -x').
	@$(MAKE) --no-print-directory lint
	$(PYTEST) --dist loadscope -m 'not long' --junitxml=.pytest_cache/test.xml $(ARGS)

test-long: test-setup ## The rest: hundreds of networks and layers on every core, long fuzzing, all sizes of code.
	$(PYTEST) --dist worksteal -m long --junitxml=.pytest_cache/long.xml $(ARGS)

coverage: test-setup ## Which lines the first tier runs.
	$(PYTEST) --dist loadscope -m 'not long' --cov=bitflow --cov=bitflow_hil --cov-report=term:skip-covered $(ARGS)

lint: .venv/.installed ## Check style and types.
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror $$(git ls-files '*.c' '*.cpp' '*.h')

format: .venv/.installed ## Format Python and C.
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/clang-format -i $$(git ls-files '*.c' '*.cpp' '*.h')

fuzz: .venv/.installed ## Fuzz bf_open with a million images, the importers with 4,000 files (RUNS=..., FILES=...).
	@.ci/packages test
	$(BIN)/python -m tests.c.fuzzing $(or $(RUNS),1000000)
	$(BIN)/python -m tests.importers.fuzzing $(or $(FILES),4000)

speed: .venv/.installed ## Images per second over the link of an emulated board, on this computer, and of training.
	@.ci/packages demo
	mkdir -p .demo
	cd .demo && $(BITFLOW) hil builtin:digits --board qemu-m4 --data digits
	$(BIN)/python -m bench.speed_host bench/mnist-lenet.bfn
	$(BIN)/python -m bench.speed_training

soak: .venv/.installed .venv/labgrid/.installed ## 10,000 images over hostile lines, on four boards at once, on a farm.
	@.ci/packages demo
	BITFLOW_SOAK=1 $(BIN)/python -m pytest -q tests/hil/test_hostile_line.py tests/hil/test_side_by_side.py tests/hil/test_labgrid.py tests/firmware/test_mlperf.py

speed-alexnet: .venv/.installed ## Images per second and memory of the paper's AlexNet on this computer.
	@.ci/packages demo
	$(BIN)/python -m bench.speed_alexnet

docs: .venv/.installed ## Write the pages that are made from the code, and the tables of counts.
	$(BIN)/python -m bitflow.importers.supported > docs/layers.md
	$(BIN)/python -m bitflow.deploy.boards_page docs/boards.md
	$(BIN)/python -m bench.page
	$(BIN)/python -m bench.training_page
	$(BIN)/python -m bench.front

bench: .venv/.installed ## Count every kernel on emulated cores; commit what it writes.
	@.ci/packages demo
	$(BIN)/python -m bench.baseline
	$(BIN)/python -m bench.page

builtin: .venv/.installed ## Train builtin:digits anew; commit what it writes.
	mkdir -p .demo/builtin pipeline/bitflow/builtin
	cd .demo/builtin && ../$(BITFLOW) init --force && ../$(BITFLOW) train
	cp .demo/builtin/model.bfn pipeline/bitflow/builtin/digits.bfn

wheel: .venv/.installed ## Build the wheel into dist/.
	$(BIN)/python -m build --wheel

mpy-dist: .venv/.installed ## Build bitflow.mpy for every architecture into dist/mpy/, ready for mip.
	@.ci/packages demo
	$(BIN)/bitflow micropython setup
	$(BIN)/bitflow micropython dist -o dist/mpy

clean: ## Remove all that can be made again.
	rm -rf .venv .demo .bitflow dist build .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage
	find pipeline hil tests -name __pycache__ -type d -prune -exec rm -rf {} +
