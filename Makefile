# `make demo` and `make test` set up everything that they need: Python >= 3.11 and make are enough.
# GNU make 3.81 is enough, which is what macOS has.

VENV     ?= .venv
DEMO_OUT ?= dlcv-demo
# More arguments for pip, e.g. make test PIP_ARGS='--no-index --find-links wheels'
PIP_ARGS ?=
# More arguments for pytest, e.g. make test PYTEST_ARGS='-k metrics'
PYTEST_ARGS ?=
# Tests of one file share fixtures, so a file stays in one process. A process may need 2 GiB.
PROCESSES   ?= auto --maxprocesses 4
# The interpreter for .venv; by default the newest one that fits.
PYTHON   ?=
UPGRADE  ?=

BIN   := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo test test-gpu lint types format check pins clean distclean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## (.*)$$/  make \1|\2/' \
		| awk -F'|' '{ printf "%-18s %s\n", $$1, $$2 }'

install: $(STAMP) ## make .venv with dlcv, all its dependencies and the development tools (once, about 6 GB)

demo: $(STAMP) ## synthetic data -> train -> export -> certify -> evaluate -> figures, on a CPU, into dlcv-demo/
	PYTHONUNBUFFERED=1 $(BIN)/dlcv demo --out $(DEMO_OUT)

test: $(STAMP) ## the tests that need no GPU
	$(BIN)/python -m pytest -n $(PROCESSES) --dist loadfile $(PYTEST_ARGS)

test-gpu: $(STAMP) ## the tests that need an NVIDIA GPU
	$(BIN)/python -m pytest -m gpu $(PYTEST_ARGS)

lint: $(STAMP) ## check style and likely bugs (ruff)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP) ## check types (mypy --strict)
	$(BIN)/mypy dlcvcli

format: $(STAMP) ## fix what ruff can fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

check: lint types test ## lint, types and tests: what every change has to pass

# One file for every system and Python, hence --universal and the oldest Python. One version per
# package, hence fewest forks. The comment at the top of the file is kept.
pins: $(STAMP) ## update constraints.txt (UPGRADE=--upgrade: to the newest versions)
	$(BIN)/python -m pip install --quiet uv
	grep -v '^#' constraints.txt > .pins
	$(BIN)/uv pip compile pyproject.toml --extra train --extra dev --extra bench --quiet $(UPGRADE) \
		--universal --python-version 3.11 --fork-strategy fewest \
		--no-emit-index-url --no-annotate --no-header -o .pins
	sed '/^[^#]/,$$d' constraints.txt > .pins.new
	cat .pins >> .pins.new
	mv .pins.new constraints.txt
	rm .pins

clean: ## remove the files of the tools and the demo
	rm -rf $(DEMO_OUT) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find dlcvcli tests -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## remove .venv too
	rm -rf $(VENV)

# An environment that works and fits is updated; any other is replaced.
# Byte code is compiled here even if the environment variables say otherwise: without it every start
# of dlcv would compile torch again, which takes seconds. The stamp is written last, so the next make
# continues a set-up that was interrupted.
FITS := import sys, ensurepip, venv; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))

$(STAMP): pyproject.toml constraints.txt
	@if $(BIN)/python -c '$(FITS)' >/dev/null 2>&1; then exit 0; fi; \
	for python in $(if $(PYTHON),'$(PYTHON)',python3.13 python3.12 python3.11 python3 python); do \
		if "$$python" -c '$(FITS)' >/dev/null 2>&1; then \
			echo "making $(VENV) with $$python ($$("$$python" --version))"; \
			exec "$$python" -m venv --clear $(VENV); \
		fi; \
	done; \
	echo "error: $(if $(PYTHON),'$(PYTHON)' is not,found no) Python 3.11, 3.12 or 3.13 with venv and pip" >&2; \
	echo "hint: install one (on Debian and Ubuntu: python3-venv too), or name it: make PYTHON=/path/to/python3.12" >&2; \
	exit 1
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip --upgrade
	@echo "installing dlcv into $(VENV): once, some minutes and about 6 GB"
	env -u PYTHONDONTWRITEBYTECODE -u PIP_NO_COMPILE \
		$(BIN)/python -m pip install --disable-pip-version-check $(PIP_ARGS) \
		-c constraints.txt -e '.[train,dev]'
	@touch $@
