# Every verb of this project. `make` alone lists them; each sets up what it needs.

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory --no-builtin-rules

ARGS ?=
LEG ?= download
PYTHON ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
COMPILE := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url \
	--no-annotate --custom-compile-command "make lock" --group build

# Stamps: what was installed last is as new as its lock file. The second includes the first, so
# that two targets of one `make -j` never install at the same time.
RUNTIME := $(VENV)/.runtime-installed
DEV := $(VENV)/.dev-installed

# Scripts in a virtual environment name its folder: a clone that was moved is set up again.
ifneq ($(shell cat $(VENV)/.folder 2>/dev/null),$(CURDIR))
MOVED := moved
endif

.PHONY: help setup run demo test check format bep-table picture lock clean moved

help:
	@printf '%s\n' \
	  'seedwright: BitTorrent for people who live in a terminal' \
	  '' \
	  '  make run               open the full-screen interface' \
	  '  make run ARGS="…"      run one command, as in ARGS="get some.torrent -o ~/Downloads"' \
	  '  make run ARGS=--help   list the commands' \
	  '  make demo              watch a swarm of your own; needs no torrent and no internet' \
	  '' \
	  '  make test              run the tests; ARGS="tests/wire -k decoder" picks some' \
	  '  make check             all that a change must pass: format, lint, types, tests' \
	  '  make format            lay out the code and fix what can be fixed' \
	  '  make bench             measure against other clients; ARGS=--quick sees if all works' \
	  '  make profile LEG=seed  find where the time goes in one leg of it' \
	  '  make bep-table         bring the table of BEPs in engine/README.md up to date' \
	  '  make picture           draw the picture of the interface in README.md anew' \
	  '  make lock              pin what pyproject.toml asks for; ARGS=--upgrade renews the pins' \
	  '  make setup             set up .venv and stop there' \
	  '  make clean             remove .venv and all else that was made here' \
	  '' \
	  'Needs make and Python 3.11 or newer (PYTHON=… names one). Everything is installed in .venv.'

run: $(RUNTIME)
	@$(BIN)/seedwright $(ARGS)

demo: $(RUNTIME)
	@$(BIN)/seedwright demo $(ARGS)

setup: $(DEV)
	@echo '$(VENV) is set up.'

test: $(DEV)
	@$(BIN)/python -m pytest -n auto $(ARGS)

check: $(DEV)
	@$(BIN)/ruff format --check --quiet --output-format concise || \
	  { echo 'Not laid out: make format does it.' >&2; exit 1; }
	@$(BIN)/ruff check --quiet --output-format concise
	@$(BIN)/python -m mypy --no-error-summary
	@$(BIN)/python -m pytest -n auto

format: $(DEV)
	@$(BIN)/ruff check --quiet --fix-only
	@$(BIN)/ruff format --quiet

bench: $(DEV)
	@$(BIN)/python -m tests.benchmarks $(ARGS)

profile: $(DEV)
	@$(BIN)/python -m tests.benchmarks.profile --legs $(LEG) $(ARGS)

bep-table: $(DEV)
	@$(BIN)/python -m tests.architecture.bep_table

picture: $(DEV)
	@$(BIN)/python -m tests.tui.picture tui/picture.svg

lock: $(DEV)
	@$(COMPILE) $(ARGS) pyproject.toml --output-file requirements.lock
	@$(COMPILE) $(ARGS) pyproject.toml --output-file requirements-dev.lock \
	  --extra dev --constraint requirements.lock

clean:
	@rm -rf -- $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .demo
	@find engine tui tests -name __pycache__ -type d -prune -exec rm -rf -- {} +

$(RUNTIME): requirements.lock pyproject.toml $(MOVED)
	@if [ -e $(VENV)/.folder ] && [ "$$(cat $(VENV)/.folder)" != "$$(pwd -P)" ]; then rm -rf $(VENV); fi
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { \
	  for python in $(or $(PYTHON),python3 python3.13 python3.12 python3.11); do \
	    if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	      echo "Making $(VENV) with $$("$$python" --version) …" >&2; \
	      "$$python" -m venv --clear $(VENV) && exit 0; \
	      echo 'That Python cannot make virtual environments (on Debian: apt install python3-venv).' >&2; \
	      exit 1; \
	    fi; \
	  done; \
	  echo 'seedwright needs Python 3.11 or newer, and $(if $(PYTHON),$(PYTHON) is not,there is none on the PATH).' >&2; \
	  echo 'Install one (on Debian: apt install python3 python3-venv) or name it: make PYTHON=/path/to/python3' >&2; \
	  exit 1; }
	@echo 'Installing seedwright and what it needs …' >&2
	@$(PIP) install --require-hashes --requirement requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@pwd -P > $(VENV)/.folder
	@touch $@

$(DEV): requirements-dev.lock $(RUNTIME)
	@echo 'Installing what the tests need …' >&2
	@$(PIP) install --require-hashes --requirement requirements-dev.lock
	@touch $@
