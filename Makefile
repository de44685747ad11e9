# All commands for people and CI. Each target sets up what it needs; `make help` lists them.

VENV := .venv
BIN := $(VENV)/bin
# Marks of completed installations: for running, for the tests, for the benchmarks
STAMP := $(VENV)/.installed
DEV_STAMP := $(VENV)/.installed-dev
BENCH_STAMP := $(VENV)/.installed-bench
DEV_EXTRAS := serve examples dev load
# The official clients of other interfaces, which tests/clients calls, in an environment of their own
CLIENTS := .venv-clients
CLIENTS_STAMP := $(CLIENTS)/.installed

# Uses the first of these that is new enough and can make virtual environments; PYTHON=... selects another
PYTHONS := python3.13 python3.12 python3.11 python3
USABLE := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))
CHECK_PYTHON = "$(PYTHON)" -c '$(USABLE)' 2>/dev/null || { echo "Batchline needs Python 3.11 or newer with venv" \
  "(on Debian and Ubuntu: apt install python3-venv); make PYTHON=/path/to/python3 names one." >&2; exit 1; }
PYTHON ?= $(shell for p in $(PYTHONS); do $$p -c '$(USABLE)' 2>/dev/null && echo $$p && break; done)

# TORCH=cpu installs PyTorch's CPU build, a tenth of the size of the default one on Linux. TORCH_INDEX_URL is
# the index of any other build. Run `make clean` after a change.
TORCH ?=
TORCH_INDEX_URL ?=
export TORCH_INDEX_URL

# Thousands of processes start during the tests; without byte code each would compile all of our modules
unexport PYTHONDONTWRITEBYTECODE

# Most tests wait most of the time, so they run in parallel; TEST_PROCESSES=0 runs them in one process
TEST_PROCESSES ?= 4
# tests/conftest.py puts the files that take long first, and this order is kept
PARALLEL = -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder

# How long `make soak` lasts
MINUTES ?= 5

# Shards of `make test-shards`
SHARDS ?= 4

# Number of inputs and kills of `make nonces`, and of runs of each attack in `make attacks`
INPUTS ?= 50000
KILLS ?= 100
TIMES ?= 5

# `make load` and `make ramp`: the server (if empty, they start one), locust's users, users started per second
URL ?=
USERS ?= 32
RATE ?= 16
SECONDS ?= 30
# Limit of the 99th percentile, in seconds
P99 ?= 0.5

.DEFAULT_GOAL := help
.PHONY: help install install-dev clients run top ci test test-shards test-faults soak nonces attacks bench bench-generation bench-media bench-peers load ramp screenshots check format clean

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## /make \1	/p' $(MAKEFILE_LIST) | expand -t 18

install: $(STAMP) ## only set up .venv for running, as `make run` does; use TORCH=cpu without a GPU

install-dev: $(DEV_STAMP) ## add the packages for tests and checks, as these targets do

clients: $(CLIENTS_STAMP) ## install the clients that tests/clients calls, in .venv-clients

run: $(STAMP) ## start Valkey, a worker and the API, until Ctrl-C
	@exec $(BIN)/python -m standalone

top: $(STAMP) ## show a live table of a running server in the terminal; make top URL=http://host:8000
	@exec $(BIN)/python -m top $(if $(URL),--url $(URL)) $(ARGS)

ci: ## what CI runs: the checks, the tests, and the queue's with four shards, on a Redis if one is installed
	@$(MAKE) --no-print-directory --jobs 3 --output-sync check clients collected
	@$(MAKE) --no-print-directory test
	@command -v redis-server >/dev/null || \
	  echo "NOT TESTED: there is no redis-server here; the queue was tested on the embedded Valkey only" >&2
	@TEST_SHARDS=4 TEST_SERVER=$$(command -v redis-server) \
	  $(BIN)/python -m pytest $(PARALLEL) $(addprefix tests/jobs/,access ledger monitoring store)

# Compiles the tests and what they import, which each process of a run would do for itself; the run shows the errors
.PHONY: collected
collected: $(DEV_STAMP)
	@$(BIN)/python -m pytest --collect-only -qq >/dev/null || true

test: $(DEV_STAMP) $(CLIENTS_STAMP) ## run the tests; make test ARGS='-k batcher' runs some, TEST_PROCESSES=0 in one process
	@$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

test-shards: $(DEV_STAMP) ## run the tests of the queue and the fault tests with SHARDS (4) shards on one server
	@TEST_SHARDS=$(SHARDS) $(BIN)/python -m pytest $(PARALLEL) tests/jobs tests/faults $(ARGS)

test-faults: $(DEV_STAMP) ## run the long forms of tests, and two minutes of `make soak`
	@$(BIN)/python -m pytest --thorough -m thorough $(ARGS)
	@$(BIN)/python -m tests.faults.soak --minutes 2

soak: $(DEV_STAMP) ## run clients and inject all kinds of faults for MINUTES (5), with a report; SEED=n repeats the same faults
	@$(BIN)/python -m tests.faults.soak --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

nonces: $(DEV_STAMP) ## send INPUTS (50,000) unique inputs to an echo class, kill KILLS (100) of its engines, check each answer
	@$(BIN)/python -m tests.faults.nonces --inputs $(INPUTS) --kills $(KILLS) $(if $(SEED),--seed $(SEED))

attacks: $(DEV_STAMP) ## run each attack test TIMES (5) times, and write the table in docs/reliability.md
	@$(BIN)/python -m tests.faults.attacks --times $(TIMES) $(ARGS)

bench: $(BENCH_STAMP) ## measure against the offline model and a plain endpoint; ARGS=--quick for a first look
	@exec $(BIN)/python -m bench $(ARGS)

# Each peer is installed in its own environment, in bench/out/venvs
bench-peers: $(BENCH_STAMP) ## compare with other servers and queues; ARGS=--quick, ARGS='--only mosec'
	@exec $(BIN)/python -m bench.peers $(ARGS)

bench-generation: $(BENCH_STAMP) ## measure text generation, offline and served, beside `transformers serve`; ARGS=--quick
	@exec $(BIN)/python -m bench.generation $(ARGS)

bench-media: $(BENCH_STAMP) ## measure images and sounds against the offline pipelines, FastAPI and LitServe; ARGS='--only photo'
	@exec $(BIN)/python -m bench.media $(ARGS)

load: $(DEV_STAMP) ## run locust's users against URL, or a server that it starts; USERS=, RATE= (starts per second), SECONDS=
	@exec $(BIN)/python -m tests.load $(if $(URL),--url $(URL)) --users $(USERS) --rate $(RATE) --seconds $(SECONDS)

ramp: $(DEV_STAMP) ## find the highest arrival rate with a p99 below P99 seconds (0.5), at URL or a server that it starts
	@exec $(BIN)/python -m tests.load.ramp $(if $(URL),--url $(URL)) --p99 $(P99) $(ARGS)

screenshots: $(DEV_STAMP) ## write every page in both themes at 360, 1280 and 1600 px to screenshots/ (needs chromium)
	@$(BIN)/python -m tests.browser.screenshots

check: $(DEV_STAMP) ## check format, lint, types and the imports between the packages
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(DEV_STAMP) ## format, and apply the linter's automatic fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## remove everything that make created, except the data
	rm -rf $(VENV) $(CLIENTS) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Repeated when a requirement or a pin changes. `touch` is last, so an interrupted installation is repeated.
$(STAMP): pyproject.toml constraints.txt
	@$(CHECK_PYTHON)
	@"$(PYTHON)" install.py --venv $(VENV) --torch "$(TORCH)" serve
	@touch $@

# Does not wait for the packages for running: one run of pip takes less time than two
$(DEV_STAMP): pyproject.toml constraints.txt
	@$(CHECK_PYTHON)
	@"$(PYTHON)" install.py --venv $(VENV) --torch "$(TORCH)" $(DEV_EXTRAS)
	@touch $(STAMP) $@

# Without resolving: the file pins every package
$(CLIENTS_STAMP): tests/clients/requirements.txt
	@"$(PYTHON)" -m venv --clear $(CLIENTS)
	@$(CLIENTS)/bin/python -m pip --disable-pip-version-check install --quiet --no-deps -r $<
	@touch $@

# Separate, because the model is 80 MB that nothing else needs
$(BENCH_STAMP): $(DEV_STAMP)
	@"$(PYTHON)" install.py --venv $(VENV) $(DEV_EXTRAS) bench
	@touch $@
