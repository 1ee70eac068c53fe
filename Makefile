# Everything runs from .venv, which make builds for itself; the package is installed there as a user would have it.
# Say `make PYTHON=python3.12 ...` for another interpreter, `make CHECKED=1 ...` for extensions with checks compiled in.

PYTHON ?= python3
CHECKED ?=
STATES ?= 1000000
FRAMES ?= 1000000
KILLS ?= 200
RESTARTS ?= 100
MINUTES ?= 10
EXAMPLES ?= 100
MILLIONS ?= 10
SECONDS ?= 60
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
ROOMS := contract grammar native engine evidence server simulation sdk/python proxy cli policies

# A changed file is newer than the stamp; so is the folder of one that was added or deleted.
SOURCES := pyproject.toml setup.py MANIFEST.in $(shell find $(wildcard $(ROOMS)) \
	-name __pycache__ -prune -o \( -type d -o -name '*.py' -o -name '*.py[ix]' -o -name '*.pxd' -o -name '*.h' -o -name '*.lark' \
	-o -name '*.thoth' -o -name py.typed \) -print)

# An environment is made anew when its interpreter does not run any more, or is not the one asked for by name.
VERSION_OF := -c "import sys; assert sys.version_info >= (3, 11); print(sys.version)" 2>/dev/null
ALIVE := $(shell $(BIN)/python $(VERSION_OF))
ifneq ($(origin PYTHON),file)
ASKED := $(shell $(PYTHON) $(VERSION_OF))
else
ASKED := $(ALIVE)
endif
USABLE := $(and $(ALIVE),$(filter-out no,$(if $(subst x$(ASKED),,x$(ALIVE)),no,yes)))

# With checks goes AddressSanitizer, where the compiler has it; its runtime has to be loaded before everything else.
ASAN := $(if $(filter-out 0,$(CHECKED)),$(filter /%,$(shell $${CC:-cc} -print-file-name=libasan.so 2>/dev/null)))
RUN := $(if $(ASAN),LD_PRELOAD=$(ASAN) ASAN_OPTIONS=detect_leaks=0 PYTHONMALLOC=malloc )

# The extensions in .venv are of one kind; asking for the other kind installs again.
KIND := $(if $(filter-out 0,$(CHECKED)),checked,release)
KIND_INSTALLED := $(shell cat .venv/.kind 2>/dev/null)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test check bench bench-reload bench-full soak-decide peers replay quality crash interop frameworks test-frameworks fuzz kill openapi browser mcp-clients mcp-servers fuzz-table endure soak fmt dist clean FORCE

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' Makefile

demo: .venv/.installed ## build, then watch a policy decide the calls of an agent
	@$(BIN)/python examples/demo.py

test: .venv/.installed .venv/.needs-test ## build, then run every test, in parallel
	@$(RUN)$(BIN)/python -m pytest

check: .venv/.installed .venv/.needs-test .venv/.needs-dev ## lint, format, types, and which room imports which
	@$(BIN)/python -m ruff check .
	@$(BIN)/python -m ruff format --check .
	@$(BIN)/python -m mypy --strict -p thoth
	@$(BIN)/python -m pytest --numprocesses=0 --quiet tests/house/test_arrows.py

bench: .venv/.installed .venv/.needs-test ## a few minutes of benchmarks; runs are kept in out/bench.json and benchmarks/runs/
	@mkdir -p out
	@$(BIN)/python -m pytest benchmarks --numprocesses=0 --benchmark-enable --benchmark-only --benchmark-json=out/bench.json
	@$(BIN)/python benchmarks/compare.py $(BENCH)

bench-full: .venv/.installed ## up to 100,000 rules and every peer, then table and plot; leave the machine alone
	@$(BIN)/python benchmarks/compare.py --full $(BENCH)
	@$(BIN)/python benchmarks/plot.py

bench-reload: .venv/.installed ## a policy of 10,000 rules that changes: in the compiler, in process, and in a sidecar under load
	@$(BIN)/python benchmarks/reload.py $(BENCH)

soak-decide: .venv/.installed ## MILLIONS=10: so many decisions in one process, and what they leave in memory
	@$(BIN)/python benchmarks/soak.py $(MILLIONS)

peers: ## install the engines that the benchmarks compare with, each into an environment of its own
	@grep -v '^#' benchmarks/peers.txt | while read -r name requirement; do \
		room=.venvs/peer-$$name; \
		[ "`cat $$room/.requirement 2>/dev/null`" = "$$requirement" ] && continue; \
		echo "installing $$requirement"; \
		rm -rf $$room; \
		if $(PYTHON) -m venv $$room && $$room/bin/python -m pip --disable-pip-version-check --quiet install "$$requirement"; \
		then echo "$$requirement" > $$room/.requirement; \
		else echo "\`$$requirement\` does not install here and is left out" >&2; rm -rf $$room; fi; \
	done
	@grep -v '^#' benchmarks/peers-go.txt | while read -r name module; do \
		room=.venvs/peer-$$name; \
		[ "`cat $$room/.requirement 2>/dev/null`" = "$$module" ] && continue; \
		command -v go >/dev/null || { echo "\`$$module\` needs Go and is left out" >&2; continue; }; \
		echo "installing $$module"; \
		rm -rf $$room; mkdir -p $$room/bin; \
		if GOBIN="$(CURDIR)/$$room/bin" go install "$$module" </dev/null; \
		then echo "$$module" > $$room/.requirement; \
		else echo "\`$$module\` does not install here and is left out" >&2; rm -rf $$room; fi; \
	done

frameworks: .venv/.needs-run ## an environment for each agent framework, from pinned files, with our own wheel in it
	@rm -rf out/frameworks
	@$(PIP) wheel --no-deps --no-build-isolation --wheel-dir out/frameworks .
	@for file in tests/frameworks/requirements/*.txt; do \
		name=`basename $$file .txt`; room=.venvs/framework-$$name; \
		if ! cmp -s $$file $$room/.requirements; then \
			echo "installing $$name"; \
			rm -rf $$room; \
			$(PYTHON) -m venv $$room && $$room/bin/python -m pip --disable-pip-version-check --quiet install -r $$file \
				&& $$room/bin/python -m pip --disable-pip-version-check --quiet install out/frameworks/*.whl \
				&& cp $$file $$room/.requirements || { echo "\`$$name\` does not install" >&2; exit 1; }; \
		fi; \
		$$room/bin/python -m pip --disable-pip-version-check --quiet install --no-deps --force-reinstall out/frameworks/*.whl || exit 1; \
	done

test-frameworks: frameworks ## the Python SDK against the real agent frameworks, and the table of it in docs/sdk.md
	@for file in tests/frameworks/requirements/*.txt; do \
		for name in `sed -n 's/^# runs: //p' $$file`; do \
			echo "$$name"; \
			FRAMEWORK=$$name .venvs/framework-`basename $$file .txt`/bin/python -m pytest -c tests/frameworks/pytest.ini --rootdir . \
				-p no:cacheprovider tests/frameworks/matrix.py || exit 1; \
		done; \
	done
	@$(BIN)/python tests/frameworks/table.py docs/sdk.md

replay: ## TRACES=DIR: decide recorded calls again and report where the evaluators disagree
	@test -n "$(TRACES)" || { echo 'TRACES is missing; write `make replay TRACES=DIR`, a folder of recorded calls' >&2; exit 2; }
	@test -d "$(TRACES)" || { echo 'TRACES: `$(TRACES)` is not a folder' >&2; exit 2; }
	@$(MAKE) --no-print-directory .venv/.installed
	@$(BIN)/python -m thoth.simulation.agreement "$(TRACES)"

quality: ## TRACES=DIR: how well policies/agents/recorded.thoth tells an attacker's calls from a user's
	@test -n "$(TRACES)" || { echo 'TRACES is missing; write `make quality TRACES=DIR`, a folder of recorded calls' >&2; exit 2; }
	@$(MAKE) --no-print-directory .venv/.installed
	@$(BIN)/python benchmarks/quality.py "$(TRACES)"

crash: .venv/.installed ## STATES=1000000: cut the power that often, flip every bit, fail every system call, kill a log at each, mutate files
	@$(BIN)/python tests/evidence/crashes.py $(STATES)
	@$(BIN)/python tests/evidence/flips.py
	@$(BIN)/python tests/evidence/syscalls.py
	@$(BIN)/python tests/evidence/lives.py
	@$(BIN)/python tests/evidence/mutated.py

fuzz-table: .venv/.installed ## SECONDS=60 SEED=: requests and compiled bundles of changed bytes
	@$(RUN)$(BIN)/python tests/engine/fuzz.py $(SECONDS) $(SEED)

fuzz: .venv/.installed .venv/.needs-test ## FRAMES=1000000: that many malformed frames and requests at a live sidecar
	@$(BIN)/python tests/server/fuzz.py $(FRAMES)

openapi: .venv/.installed .venv/.needs-test .venv/.needs-openapi ## the HTTP door held against its own description by schemathesis
	@$(BIN)/python tests/server/describe.py --max-examples $(EXAMPLES) --request-timeout 10

endure: .venv/.installed .venv/.needs-test ## RESTARTS=100: restart a sidecar under load that often; no answer is lost, none recorded twice
	@RESTARTS=$(RESTARTS) $(BIN)/python -m pytest --quiet tests/server/test_endurance.py

kill: .venv/.installed .venv/.needs-test ## KILLS=200: kill a sidecar under load that often; what it answered is in the evidence, holds and keys are there
	@KILLS=$(KILLS) $(BIN)/python -m pytest --quiet tests/server/test_process.py -k after_a_kill

soak: .venv/.installed ## MINUTES=10: a sidecar at half load for so long; memory levels off, nothing stays open, all is recorded
	@$(BIN)/python benchmarks/sidecar_soak.py --minutes $(MINUTES) --out out/sidecar_soak.json

interop: .venv/.installed .venv/.needs-test ## proofs and tiles of ours read by Go's sumdb, and Go's by us; needs Go
	@command -v go >/dev/null || { echo 'there is no `go`; install Go 1.26 or newer, it is on https://go.dev/dl' >&2; exit 2; }
	@rm -rf out/interop
	@mkdir -p out/interop
	@$(BIN)/python tests/interop/cases.py out/interop
	@cd tests/interop/go && go build -mod=readonly -o ../../../out/interop/interop . && go vet .
	@out/interop/interop check out/interop/ours.json tests/evidence/vectors/ours.json
	@out/interop/interop tiles out/interop/exports/*
	@out/interop/interop make out/interop/go.json
	@VECTORS=out/interop $(BIN)/python -m pytest --numprocesses=0 --quiet tests/evidence/test_vectors.py

browser: .venv/.installed .venv/.needs-test ## reports in headless Chromium: no network, no complaints, legible; pictures in out/browser
	@command -v chromium chromium-browser google-chrome >/dev/null || { \
		echo 'there is no Chromium; install one, as in `apt-get install chromium`' >&2; exit 2; }
	@$(BIN)/python -m pytest --numprocesses=0 --quiet tests/browser/report.py
mcp-clients: .venv/.installed .venv/.needs-test .venvs/mcp/.installed .venvs/mcp-node/.installed ## the official MCP clients see the same through the proxy; needs Node
	@$(BIN)/python -m pytest tests/mcp/test_clients.py

mcp-servers: .venv/.installed .venv/.needs-test .venvs/mcp-servers/.installed .venvs/mcp-node/.installed ## the official reference servers, byte by byte; needs Node and git
	@$(BIN)/python -m pytest tests/mcp/test_servers.py

# Pinned files, each into an environment of its own; anew when the file changes.
.venvs/mcp/.installed: tests/mcp/requirements.txt
.venvs/mcp-servers/.installed: tests/mcp/servers.txt
.venvs/mcp/.installed .venvs/mcp-servers/.installed:
	@echo 'installing $<'
	@rm -rf $(@D)
	@$(PYTHON) -m venv $(@D)
	@$(@D)/bin/python -m pip --disable-pip-version-check --quiet install -r $<
	@touch $@

.venvs/mcp-node/.installed: tests/mcp/package.json
	@command -v npm >/dev/null || { echo 'there is no `npm`; install Node 20 or newer' >&2; exit 2; }
	@echo 'installing $<'
	@rm -rf $(@D)
	@mkdir -p $(@D)
	@cp $< $(@D)
	@cd $(@D) && npm install --silent --no-audit --no-fund --ignore-scripts --no-package-lock
	@touch $@

fmt: .venv/.needs-dev ## format, and mend what lint can mend
	@$(BIN)/python -m ruff check --fix .
	@$(BIN)/python -m ruff format .

dist: .venv/.needs-run .venv/.needs-dev ## wheel and sdist into dist/
	@$(BIN)/python -m build --no-isolation --outdir dist .

clean: ## take away everything that was built, .venv included
	rm -rf .venv .venvs build dist out *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .benchmarks

.venv/.made: $(if $(USABLE),,FORCE)
	@command -v "$(PYTHON)" >/dev/null || { echo 'there is no `$(PYTHON)`; write `make PYTHON=python3.12 ...`' >&2; exit 2; }
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || { \
		echo 'thoth needs Python 3.11 or newer, and `$(PYTHON)` is' "`$(PYTHON) --version 2>&1`;" \
			'write `make PYTHON=python3.12 ...`' >&2; exit 2; }
	@$(PYTHON) -c "import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path('include') + '/Python.h'))" || { \
		echo 'the C headers of `$(PYTHON)` are missing; install python3-dev, or python3-devel' >&2; exit 2; }
	@echo 'making .venv with $(PYTHON)'
	@rm -rf .venv
	@$(PYTHON) -m venv .venv
	@touch $@

# Requirements as pyproject.toml states them: to run and build, to test, to work on the code.
.venv/.needs-%: pyproject.toml .venv/.made
	@echo 'installing what it takes to $*'
	@$(BIN)/python -c "import tomllib; \
		t = tomllib.load(open('pyproject.toml', 'rb')); p = t['project']; e = p['optional-dependencies']; \
		print(*(t['build-system']['requires'] + p['dependencies'] + e['server'] if '$*' == 'run' else e['$*']), sep='\n')" \
		> .venv/$*.txt
	@$(PIP) install -r .venv/$*.txt
	@touch $@

# build/ is kept, so only changed extensions are compiled; a change in Python code takes a few seconds. The stamp has the
# time of the beginning, so that what is edited meanwhile is installed next time.
.venv/.installed: $(SOURCES) .venv/.needs-run $(if $(filter $(KIND),$(KIND_INSTALLED)),,FORCE)
	@echo 'building and installing ($(KIND))'
	@rm -f .venv/.kind
	@touch .venv/.began
	@CHECKED=$(CHECKED) SANITIZED=$(if $(ASAN),1) $(PIP) install --no-deps --no-build-isolation --force-reinstall .
	@echo $(KIND) > .venv/.kind
	@mv .venv/.began $@

FORCE:
