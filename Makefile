# `make` lists what there is. Everything runs in .venv, which the first target that needs it makes
# with nothing but Python, git and make present; after that it is remade only when pyproject.toml
# or constraints.txt change.
#
#   PYTHON=python3.12     the interpreter to make .venv with (else: the first suitable one)
#   EXTRAS=jax,lab,test   what to install (else everything; without TensorFlow where it has no wheels)
#   PARITY=1              also install torch and transformers, for the tests against them
#   PYTEST_WORKERS=1      run tests in so many processes (else three, for two cores: some tests wait)
#   PYTEST_ARGS='-k mask' passed on to pytest

SHELL := /bin/sh
.DEFAULT_GOAL := help
.SUFFIXES:
.NOTPARALLEL:

BIN := .venv/bin
UV := $(BIN)/uv
INSTALLED := .venv/.installed
EXTRAS ?=
PARITY ?=
PYTEST_WORKERS ?= 3
PYTEST_ARGS ?=
TORCH ?= torch==2.13.0
PYTEST = $(BIN)/python -m pytest $(if $(filter-out 1,$(PYTEST_WORKERS)),-n $(PYTEST_WORKERS) --dist loadfile --no-loadscope-reorder) $(PYTEST_ARGS)

# No target ever asks a question.
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
# Some container images keep Python from storing what it has compiled: each of the many processes
# here would compile TensorFlow anew, longer than the import itself takes.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help tour test lab build prove bench figures release lint format constraints clean distclean

help: ## list what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

tour: $(INSTALLED) ## a first look, in about three minutes: a lesson run, an answer checked, a class graded
	@$(BIN)/course tour

# The short run first, so that the last line is the summary of the long one; both always run.
test: $(INSTALLED) .venv/.parity-$(or $(PARITY),0) ## the whole test suite (PARITY=1: also against torch and transformers)
	@status=0; \
	echo "== on JAX: what touches Keras"; \
	KERAS_BACKEND=jax $(PYTEST) -m "backend and not slow" || [ $$? = 5 ] || status=1; \
	echo "== on TensorFlow: everything"; \
	$(PYTEST) || status=1; \
	exit $$status

lab: $(INSTALLED) ## open JupyterLab on the lessons
	@$(BIN)/jupyter lab lessons

build: $(INSTALLED) ## build lessons/ and solutions/ notebooks from their sources
	@$(BIN)/course build

prove: $(INSTALLED) ## the proofs at full scale (hours): thousands of cases, long trainings
	@status=0; \
	COURSE_PROVE=1 KERAS_BACKEND=jax $(PYTEST) -m "backend and (prove or grid)" || status=1; \
	COURSE_PROVE=1 $(PYTEST) -m "prove or grid" || status=1; \
	exit $$status

bench: $(INSTALLED) ## the benchmarks; each prints its table
	@for file in benchmarks/[a-z]*.py; do \
		[ "$$file" = benchmarks/summary.py ] && continue; \
		echo "== $$file"; $(BIN)/python "$$file" || exit 1; \
	done

figures: $(INSTALLED) ## write benchmarks/README.md and README's rows from the records
	@$(BIN)/python benchmarks/summary.py

lint: $(INSTALLED) ## ruff: lint and format
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

format: $(INSTALLED) ## let ruff put the format right
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

# For the oldest Python that we support: what has wheels for it has them for the later ones too.
# torch stays where it is told to, since its build without CUDA exists for chosen versions only; what
# it would bring for CUDA is no part of the tested set. From 4.25 on, jsonschema builds a grammar of
# internet addresses whenever a notebook is read: seconds in each process that does.
constraints: $(INSTALLED) ## remake constraints.txt from pyproject.toml, at the newest versions
	@printf '%s\n' '$(TORCH)' 'jsonschema<4.25' | $(UV) pip compile pyproject.toml --all-extras --python-version 3.11 -c - \
		--no-header --no-annotate --no-emit-package keras-transformer-course --quiet \
		> .constraints.all
	@grep -v -e '^nvidia-' -e '^cuda-' -e '^triton==' .constraints.all > .constraints.new
	@rm .constraints.all; mv .constraints.new constraints.txt
	@echo "constraints.txt: $$(wc -l < constraints.txt) versions. Next: make test"

# The wheel is tried in an environment of its own, where nothing of this folder is in reach.
release: $(INSTALLED) ## build sdist and wheel in dist/, and try the wheel
	@rm -rf dist build/release
	@$(BIN)/python -m build --installer uv --outdir dist . >/dev/null
	@$(UV) venv --quiet --python $(BIN)/python build/release
	@$(UV) pip install --quiet --python build/release/bin/python -c constraints.txt "$$(ls dist/*.whl)[jax]"
	@cd build/release && COURSE_HOME=home KERAS_BACKEND=jax bin/course --version && \
		COURSE_HOME=home KERAS_BACKEND=jax bin/course data verify world-questions && \
		bin/python -c "from course import exercises; print(len(exercises.lessons()), 'lessons')"
	@rm -rf build/release; ls -l dist

clean: ## remove what was built (not .venv, not your progress)
	@rm -rf build dist .cache .pytest_cache .ruff_cache .hypothesis
	@find course tests solutions benchmarks datasets -name __pycache__ -prune -exec rm -rf {} +

distclean: clean ## clean, and remove .venv too
	@rm -rf .venv

# uv links files from its cache where it can, and complains where it cannot (another file system):
# there we ask it to copy, which is what it does anyway.
$(INSTALLED): pyproject.toml constraints.txt
	@set -e; \
	suitable='import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))'; \
	one_disk='import os, sys; os.makedirs(sys.argv[1], exist_ok=True); sys.exit(os.stat(sys.argv[1]).st_dev != os.stat(".").st_dev)'; \
	if [ ! -x $(BIN)/python ]; then \
		python=; \
		for candidate in $(or $(PYTHON),python3.11 python3.12 python3.13 python3 python); do \
			if $$candidate -c "$$suitable" >/dev/null 2>&1; then python=$$candidate; break; fi; \
		done; \
		if [ -z "$$python" ]; then \
			echo "make: found no Python that can make the environment." >&2; \
			echo "  Tried: $(or $(PYTHON),python3.11 python3.12 python3.13 python3 python)." >&2; \
			echo "  Needed: Python 3.11 or later, with its venv module" >&2; \
			echo "  (Debian and Ubuntu keep that apart: apt-get install python3-venv)." >&2; \
			echo "  If yours has another name: make PYTHON=/path/to/python ..." >&2; \
			exit 1; \
		fi; \
		echo "== .venv, with $$($$python --version)"; \
		$$python -m venv .venv; \
	fi; \
	if [ ! -x $(UV) ]; then \
		echo "== uv, which installs the rest"; \
		$(BIN)/python -m pip install --quiet "$$(grep '^uv==' constraints.txt)"; \
	fi; \
	extras="$(EXTRAS)"; \
	if [ -z "$$extras" ]; then \
		extras=tf,jax,lab,instructor,test; \
		if ! $(BIN)/python -c 'import sys; sys.exit(sys.version_info >= (3, 14))'; then \
			extras=jax,lab,instructor,test; \
			echo "== no TensorFlow: it has no wheels for this Python yet. The course runs on JAX."; \
		fi; \
	fi; \
	echo "== the course and what it needs: [$$extras]"; \
	if [ -z "$$UV_LINK_MODE" ] && ! $(BIN)/python -c "$$one_disk" $$($(UV) cache dir); then \
		export UV_LINK_MODE=copy; \
	fi; \
	$(UV) pip install --python $(BIN)/python -c constraints.txt -e ".[$$extras]"; \
	touch $@

# torch comes by pip, not uv: pip honours a locally configured folder of wheels, where a machine
# may keep a build without CUDA.
.venv/.parity-1: $(INSTALLED)
	@echo "== torch and transformers, for the parity tests"
	@$(BIN)/python -m pip install --quiet --no-compile -c constraints.txt torch transformers
	@touch $@

# Where torch is there already, transformers costs little.
.venv/.parity-0: $(INSTALLED)
	@if $(BIN)/python -c 'import importlib.util as u, sys; sys.exit(u.find_spec("torch") is None)'; then \
		$(BIN)/python -m pip install --quiet --no-compile -c constraints.txt transformers; \
	fi
	@touch $@
