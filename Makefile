# Everything that a person or CI does here. Each target sets up what it needs; `make help` lists them.

VENV := .venv
BIN := $(VENV)/bin
# What is installed so far: what running needs, what the tests add, what the benchmarks add
STAMP := $(VENV)/.installed
DEV_STAMP := $(VENV)/.installed-dev
BENCH_STAMP := $(VENV)/.installed-bench
DEV_EXTRAS := serve examples dev load

# The first of these that is new enough and can make virtual environments; make PYTHON=... names another
PYTHONS := python3.13 python3.12 python3.11 python3
USABLE := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in $(PYTHONS); do $$p -c '$(USABLE)' 2>/dev/null && echo $$p && break; done)

# TORCH=cpu takes PyTorch's build for a CPU, a tenth of the size of the default one on Linux; TORCH_INDEX_URL
# names an index to take any other build from. After a change: make clean
TORCH ?=
TORCH_INDEX_URL ?=
export TORCH_INDEX_URL

# Most tests wait for something most of their time; make test TEST_PROCESSES=0 runs them in one process
TEST_PROCESSES ?= 3

# How long `make soak` lasts
MINUTES ?= 5

# What `make nonces` sends and kills, and how often `make attacks` runs each attack
INPUTS ?= 50000
KILLS ?= 100
TIMES ?= 5

# `make load` and `make ramp`: the server (one of its own when empty), locust's users, users started a second
URL ?=
USERS ?= 32
RATE ?= 16
SECONDS ?= 30
# The limit of the 99th percentile, in seconds
P99 ?= 0.5

.DEFAULT_GOAL := help
.PHONY: help install install-dev run top ci test test-faults soak nonces attacks bench bench-peers load ramp screenshots check format clean

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## /make \1	/p' $(MAKEFILE_LIST) | expand -t 18

install: $(STAMP) ## only set up .venv with what running needs, as `make run` does; TORCH=cpu without a GPU

install-dev: $(DEV_STAMP) ## add what the tests and checks need, as they do

run: $(STAMP) ## start Valkey, a worker and the API, until Ctrl-C
	@exec $(BIN)/python -m standalone

top: $(STAMP) ## a live table of a running server in the terminal; make top URL=http://host:8000
	@exec $(BIN)/python -m top $(if $(URL),--url $(URL)) $(ARGS)

ci: check test ## what CI runs: the checks, the tests, and the queue's tests on a Redis where there is one
	@if command -v redis-server >/dev/null; then \
	  TEST_SERVER=redis-server $(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile tests/jobs; \
	else \
	  echo "NOT TESTED: there is no redis-server here; the queue was tested on the embedded Valkey only" >&2; \
	fi

test: $(DEV_STAMP) ## run the tests; make test ARGS='-k batcher' runs some, TEST_PROCESSES=0 in one process
	@$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile $(ARGS)

test-faults: $(DEV_STAMP) ## run the long forms of the fault tests, and two minutes of `make soak`
	@$(BIN)/python -m pytest --thorough tests/faults $(ARGS)
	@$(BIN)/python -m tests.faults.soak --minutes 2

soak: $(DEV_STAMP) ## customers and harm of all kinds for MINUTES (5), with a report; SEED=n does the same harm again
	@$(BIN)/python -m tests.faults.soak --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

nonces: $(DEV_STAMP) ## INPUTS (50,000) unique inputs through an echo class, KILLS (100) of its engines: each answer its own?
	@$(BIN)/python -m tests.faults.nonces --inputs $(INPUTS) --kills $(KILLS) $(if $(SEED),--seed $(SEED))

attacks: $(DEV_STAMP) ## run every test that is an attack TIMES (5) times, and write the table in docs/reliability.md
	@$(BIN)/python -m tests.faults.attacks --times $(TIMES) $(ARGS)

bench: $(BENCH_STAMP) ## measure against the offline model and a plain endpoint; make bench ARGS=--quick is a first look
	@exec $(BIN)/python -m bench $(ARGS)

# Each peer is installed in an environment of its own, in bench/out/venvs
bench-peers: $(BENCH_STAMP) ## measure beside FastAPI, LitServe, mosec, BentoML, Infinity; ARGS=--quick, ARGS='--only mosec'
	@exec $(BIN)/python -m bench.peers $(ARGS)

load: $(DEV_STAMP) ## locust's users against URL, or a server of its own; USERS=, RATE= of their start, SECONDS=
	@exec $(BIN)/python -m tests.load $(if $(URL),--url $(URL)) --users $(USERS) --rate $(RATE) --seconds $(SECONDS)

ramp: $(DEV_STAMP) ## the highest rate of arrivals with a p99 under P99 seconds (0.5), at URL or a server of its own
	@exec $(BIN)/python -m tests.load.ramp $(if $(URL),--url $(URL)) --p99 $(P99) $(ARGS)

screenshots: $(DEV_STAMP) ## every page in both themes at 360, 1280 and 1600 px, into screenshots/ (needs chromium)
	@$(BIN)/python -m tests.browser.screenshots

check: $(DEV_STAMP) ## check format, lint, types and the walls between the packages
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(DEV_STAMP) ## format, and mend what the linter can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## remove what make made, but not the data
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Made again when a requirement or a pin changes; `touch` comes last, so that what was interrupted is done again
$(STAMP): pyproject.toml constraints.txt
	@"$(PYTHON)" -c '$(USABLE)' 2>/dev/null || { echo "Batchline needs Python 3.11 or newer with venv" \
	  "(on Debian and Ubuntu: apt install python3-venv); make PYTHON=/path/to/python3 names one." >&2; exit 1; }
	@"$(PYTHON)" install.py --venv $(VENV) --torch "$(TORCH)" serve
	@touch $@

$(DEV_STAMP): $(STAMP)
	@"$(PYTHON)" install.py --venv $(VENV) $(DEV_EXTRAS)
	@touch $@

# Apart, for the model is 80 MB that nothing else needs
$(BENCH_STAMP): $(DEV_STAMP)
	@"$(PYTHON)" install.py --venv $(VENV) $(DEV_EXTRAS) bench
	@touch $@
