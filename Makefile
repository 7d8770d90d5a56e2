# Every verb of this project. `make` alone lists them; each sets up what it needs.

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory --no-builtin-rules

ARGS ?=
LEG ?= download
SCENARIO ?= flash-crowd
PEERS ?=
NET ?=
RUNTIME ?= netns
# Swarms at once in `make check`: their links are shaped, so they wait more than they work.
SWARMS ?= $(shell echo $$((2 * $$(nproc))))
PYTHON ?=
IMAGE ?= seedwright:local
LOCAL_BASE := seedwright-base:local

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
COMPILE := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url \
	--no-annotate --custom-compile-command "make lock" --group build

# Stamps: what was installed last is as new as its lock file. The second includes the first, so
# that two targets of one `make -j` never install at the same time.
INSTALLED := $(VENV)/.runtime-installed
DEV := $(VENV)/.dev-installed

# Scripts in a virtual environment name its folder: a clone that was moved is set up again.
ifneq ($(shell cat $(VENV)/.folder 2>/dev/null),$(CURDIR))
MOVED := moved
endif

.PHONY: help setup run demo test check format bep-table picture lock swarm swarm-list \
  swarm-watch image base-image up down clean moved

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
	  '  make bench             measure against other clients; ARGS=--quick is a trial' \
	  '  make profile LEG=seed  find where the time goes in one leg of it' \
	  '  make swarm             run real peers on shaped links; SCENARIO= PEERS= NET=' \
	  '  make swarm-list        tell the scenarios and the nets' \
	  '  make swarm-watch       open the interface on all peers of a running swarm' \
	  '  make image             build the seedbox; BASE_IMAGE=… names what it is built on' \
	  '  make base-image        make that of Debian packages, where no registry is' \
	  '  make up, make down     start the seedbox and wait until it is healthy; end it' \
	  '' \
	  '  make bep-table         bring the table of BEPs in engine/README.md up to date' \
	  '  make picture           draw the picture of the interface in README.md anew' \
	  '  make lock              pin what pyproject.toml asks for; ARGS=--upgrade renews' \
	  '  make setup             set up .venv and stop there' \
	  '  make clean             remove .venv and all else that was made here' \
	  '' \
	  'Needs make and Python 3.11 or newer (PYTHON=… names one). All goes into .venv.'

run: $(INSTALLED)
	@$(BIN)/seedwright $(ARGS)

demo: $(INSTALLED)
	@$(BIN)/seedwright demo $(ARGS)

setup: $(DEV)
	@echo '$(VENV) is set up.'

test: $(DEV)
	@$(BIN)/python -m pytest -n auto --dist worksteal -m 'not swarm' $(ARGS)

check: $(DEV)
	@$(BIN)/ruff format --check --quiet --output-format concise || \
	  { echo 'Not laid out: make format does it.' >&2; exit 1; }
	@$(BIN)/ruff check --quiet --output-format concise
	@$(BIN)/python -m mypy --no-error-summary
	@$(BIN)/python -m pytest -n auto --dist worksteal -m 'not swarm'
	@$(BIN)/python -m pytest -n $(SWARMS) -m swarm --dist worksteal tests/swarm

format: $(DEV)
	@$(BIN)/ruff check --quiet --fix-only
	@$(BIN)/ruff format --quiet

bench: $(DEV)
	@$(BIN)/python -m tests.benchmarks $(ARGS)

profile: $(DEV)
	@$(BIN)/python -m tests.benchmarks.profile --legs $(LEG) $(ARGS)

swarm: $(DEV)
	@$(BIN)/python -m tests.swarm run $(SCENARIO) --runtime $(RUNTIME) $(if $(PEERS),--peers $(PEERS)) \
	  $(if $(NET),--net $(NET)) $(ARGS)

swarm-list: $(DEV)
	@$(BIN)/python -m tests.swarm list

swarm-watch: $(DEV)
	@$(BIN)/python -m tests.swarm watch $(ARGS)

bep-table: $(DEV)
	@$(BIN)/python -m tests.architecture.bep_table

picture: $(DEV)
	@$(BIN)/python -m tests.tui.picture tui/picture.svg

lock: $(DEV)
	@$(COMPILE) $(ARGS) --extra shared-tracker pyproject.toml --output-file requirements.lock
	@$(COMPILE) $(ARGS) pyproject.toml --output-file requirements-dev.lock \
	  --extra dev --extra shared-tracker --constraint requirements.lock

image: $(DEV)
	@base='$(BASE_IMAGE)'; \
	if [ -z "$$base" ] && docker image inspect $(LOCAL_BASE) >/dev/null 2>&1; then base=$(LOCAL_BASE); fi; \
	base=$${base:-python:3.12-slim}; \
	docker image inspect "$$base" >/dev/null 2>&1 || docker pull --quiet "$$base" >/dev/null || { \
	  echo "$$base is not here and cannot be pulled: \`make base-image\` makes a base from Debian packages" >&2; \
	  exit 1; \
	}; \
	echo "Collecting wheels for $$base …" >&2; \
	seedbox/wheelhouse.sh "$$base" $(BIN)/python || exit 1; \
	echo 'Building $(IMAGE) …' >&2; \
	docker build --quiet --tag '$(IMAGE)' --build-arg BASE_IMAGE="$$base" \
	  --build-arg VERSION="$$($(BIN)/seedwright --version | cut -d' ' -f2)" seedbox >/dev/null 2>&1 \
	  || docker build --tag '$(IMAGE)' --build-arg BASE_IMAGE="$$base" seedbox || exit 1; \
	echo "$(IMAGE): $$(docker image inspect --format '{{.Size}}' '$(IMAGE)' | numfmt --to=iec-i)B"

base-image:
	@seedbox/base-image.sh $(LOCAL_BASE)

up:
	@seedbox/compose.sh up -d
	@seedbox/compose.sh healthy

down:
	@seedbox/compose.sh down

clean:
	@rm -rf -- $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .demo .swarm \
	  bench-results seedbox/wheelhouse
	@find engine tui tests -name __pycache__ -type d -prune -exec rm -rf -- {} +

$(INSTALLED): requirements.lock pyproject.toml $(MOVED)
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

$(DEV): requirements-dev.lock $(INSTALLED)
	@echo 'Installing what the tests need …' >&2
	@$(PIP) install --require-hashes --requirement requirements-dev.lock
	@touch $@
