# `make demo` and `make test` do all the set-up themselves: Python >= 3.11 and make are enough.
# Needs no more than GNU make 3.81, which is what macOS ships.

VENV     ?= .venv
DEMO_OUT ?= dlcv-demo
# More for pip, as in: make test PIP_ARGS='--no-index --find-links wheels'
PIP_ARGS ?=
# More for pytest, as in: make test PYTEST_ARGS='-k metrics'
PYTEST_ARGS ?=
# Tests of one file share what they made, so a file stays in one process; each may take 2 GiB.
PROCESSES   ?= auto --maxprocesses 4
# The interpreter that .venv is made with; the newest one that fits unless given.
PYTHON   ?=
UPGRADE  ?=

BIN   := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo test test-gpu lint types format check pins clean distclean

help: ## list these targets
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## (.*)$$/  make \1|\2/' \
		| awk -F'|' '{ printf "%-18s %s\n", $$1, $$2 }'

install: $(STAMP) ## make .venv with dlcv, everything it can do and its tools (once, about 6 GB)

demo: $(STAMP) ## made data -> train -> export -> certify -> evaluate -> figures, on a CPU, into dlcv-demo/
	PYTHONUNBUFFERED=1 $(BIN)/dlcv demo --out $(DEMO_OUT)

test: $(STAMP) ## the tests that need no GPU and not long
	$(BIN)/python -m pytest -n $(PROCESSES) --dist loadfile $(PYTEST_ARGS)

test-gpu: $(STAMP) ## the tests that need an NVIDIA GPU
	$(BIN)/python -m pytest -m gpu $(PYTEST_ARGS)

lint: $(STAMP) ## style and likely bugs (ruff)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP) ## types (mypy --strict)
	$(BIN)/mypy dlcvcli

format: $(STAMP) ## mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

check: lint types test ## all that a change has to pass

# One file for every system and Python, hence --universal and the oldest Python; one version of each
# package in it, hence fewest forks. The comment at its head is kept.
pins: $(STAMP) ## renew constraints.txt (UPGRADE=--upgrade: to the newest versions)
	$(BIN)/python -m pip install --quiet uv
	grep -v '^#' constraints.txt > .pins
	$(BIN)/uv pip compile pyproject.toml --extra train --extra dev --extra bench --quiet $(UPGRADE) \
		--universal --python-version 3.11 --fork-strategy fewest \
		--no-emit-index-url --no-annotate --no-header -o .pins
	sed '/^[^#]/,$$d' constraints.txt > .pins.new
	cat .pins >> .pins.new
	mv .pins.new constraints.txt
	rm .pins

clean: ## remove what the tools and the demo left
	rm -rf $(DEMO_OUT) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find dlcvcli tests -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## remove .venv too
	rm -rf $(VENV)

# An environment that works and fits is kept and brought up to date; anything else is made anew.
# Byte code is compiled here whatever the environment says: without it every start of dlcv would
# compile torch again, which takes seconds. A stamp is written last, so a broken-off set-up is
# taken up again by the next make.
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
