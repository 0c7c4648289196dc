# make demo    install, and see an outage and the rescue in this terminal, with neither key nor cloud
# make serve   install and run the proxy with a real local model on 127.0.0.1:8080
# make test    install and run every test
# make lint    ruff and mypy
# make bench   the proxy beside its peers, into docs/bench.md; INSTALL=--install installs peers that are missing
# make guard   fails if the proxy costs too much CPU next to nginx       make curves  how the cost grows with the work
# make outage  the time that clients lose to an outage, and what still goes to the cloud that is down
# make serving the local model under bursts of clients; OTHERS="--launch …" measures other servers beside it
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -ec
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CONFIG ?= config.example.yaml
MODEL ?= smollm2-135m-instruct
PEERS ?= all
INSTALL ?=
OTHERS ?=

# Of pip's long output, what tells how far it is: every tenth file of llama.cpp, and what went wrong.
PROGRESS = awk '\
  /^ *\[[0-9]+\/[0-9]+\]/ { match($$0, /\[[0-9]+\/[0-9]+\]/); step = substr($$0, RSTART, RLENGTH); \
    if (step ~ /[0-9]*0\// || step ~ /\[1\//) { print "    compiling llama.cpp " step; fflush() } next } \
  /Successfully installed.* hotspare/ { print "    installed"; fflush() } \
  /ERROR|error:|fatal/ { print "    " $$0; fflush() }'

.PHONY: help demo serve test lint bench guard curves outage serving check clean soak

help:
	@sed -n '/^#/!q; s/^# //p' Makefile

demo: $(VENV)/.installed $(VENV)/.model
	@exec $(BIN)/hotspare demo --model $(MODEL)

serve: $(VENV)/.installed $(VENV)/.model
	@exec $(BIN)/hotspare serve --config $(CONFIG)

check: $(VENV)/.installed $(VENV)/.model
	@$(BIN)/hotspare check --config $(CONFIG)

# Requests come in by the fast lane or through aiohttp: what real clients see has to be true of both ways in. The tests
# under tests/contract need no second run, because they compare the two; those of workers and commands send few requests.
BOTH_WAYS = $(addprefix tests/integration/test_,$(addsuffix .py,bad_input disconnect failover keys models_listing \
  operations outage passthrough supervision)) tests/conformance

test: $(VENV)/.installed-dev $(VENV)/.model
	$(BIN)/python -m pytest
	HOTSPARE_TEST_LANE=off $(BIN)/python -m pytest $(BOTH_WAYS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.installed-dev
	$(BIN)/python -m tests.bench --peers $(PEERS) $(INSTALL) --output docs/bench.md

guard: $(VENV)/.installed-dev
	$(BIN)/python -m tests.bench.guard $(INSTALL)

curves: $(VENV)/.installed-dev
	$(BIN)/python -m tests.bench.curves --output docs/curves.md

outage: $(VENV)/.installed-dev
	$(BIN)/python -m tests.bench.outage

serving: $(VENV)/.installed-dev $(VENV)/.model
	$(BIN)/python -m tests.bench.serving \
	  --launch hotspare='$(BIN)/hotspare model serve --model $(MODEL) --listen 127.0.0.1:{port}' $(OTHERS)

soak: $(VENV)/.installed-dev
	$(BIN)/python -m tests.bench.soak --requests 10000

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(VENV)/.created:
	@echo "==> creating the environment in $(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one: make PYTHON=python3.12 serve"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "On Debian: apt-get install python3-venv"; exit 1; }
	@touch $@

# The two differ in the tools for tests. An environment that has these has the rest.
$(VENV)/.installed: $(VENV)/.created pyproject.toml
	$(call install,.)
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.created pyproject.toml
	$(call install,.[dev])
	@touch $(VENV)/.installed $@

# On a processor with Intel's tile unit (AMX), which GCC 13 and older set up wrongly unless told to keep what looks unused.
TILE_FLAGS = if grep -qsw amx_int8 /proc/cpuinfo && $${CC:-cc} --version 2>/dev/null | grep 'Free Software' >/dev/null && \
  [ "$$($${CC:-cc} -dumpversion | cut -d. -f1)" -lt 14 ]; then echo '-fno-tree-dse -fno-dse -frecord-gcc-switches'; fi

define install
	@echo "==> installing $(1)"
	@$(BIN)/python -c 'import importlib.util as u, sys; sys.exit(u.find_spec("llama_cpp") is None)' || \
	  echo "    llama-cpp-python is compiled once, about 5 minutes on 2 cores, unless a wheel of it is at hand"
	@tiles="$$($(TILE_FLAGS))"; export CFLAGS="$$CFLAGS $$tiles" CXXFLAGS="$$CXXFLAGS $$tiles"; \
	  $(BIN)/pip install -v --disable-pip-version-check -e '$(1)' 2>&1 | tee $(VENV)/install.log | $(PROGRESS) || \
	  { echo "==> the installation failed; the end of $(VENV)/install.log says why:"; tail -n 40 $(VENV)/install.log; exit 1; }
endef

$(VENV)/.model: $(VENV)/.created
	@test -x $(BIN)/hotspare || $(MAKE) --no-print-directory $(VENV)/.installed
	@echo "==> fetching the local model $(MODEL)"
	@$(BIN)/hotspare model pull $(MODEL)
	@touch $@
