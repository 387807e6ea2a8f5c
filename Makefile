PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PEERS := .bench-venv/.ready
SYNC_PEERS := .bench-sync-venv/.ready
TRADES ?= 20000000
export DAEDALUS_TEST_DATA ?= $(abspath ../shared/data)

.DEFAULT_GOAL := help
.PHONY: help setup demo notebooks test check format lock bench bench-bars peers memory soak crash fuzz clean

help: ## show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(BIN)/.ready: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Daedalus needs Python 3.11 or newer: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

setup: $(BIN)/.ready ## make .venv with every dependency (done by the other targets when needed)

demo: setup ## the whole system on this machine in about a minute: exchange, kill -9, bars, report
	$(BIN)/daedalus demo

JOBS ?= logical
test: setup check ## every check and every test on up to 4 processors (JOBS=0: one after the other), recordings included where present
	$(BIN)/pytest --numprocesses $(JOBS) --maxprocesses 4 --dist worksteal

check: setup ## format, lint, types, import rules, generated docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m scripts.generate_docs --check

format: setup ## rewrite the code in the house style
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup $(PEERS) $(SYNC_PEERS) ## speed and size, as ratios within one run, other libraries beside us
	@$(BIN)/pip install --quiet --disable-pip-version-check cryptofeed==2.4.1 || echo "cryptofeed cannot be installed: not measured"
	$(BIN)/python -m tests.benchmarks.run

bench-bars: setup $(PEERS) ## the bars' part of it alone; TRADES=100000000 for the long run in bounded memory
	DAEDALUS_BENCH_TRADES=$(TRADES) $(BIN)/python -m tests.benchmarks.run bars

peers: setup $(PEERS) ## where bars of mlfinpy and RiskLabAI end, beside ours, and why where they differ
	$(BIN)/python -m tests.benchmarks.bars_agreement

$(PEERS): tests/benchmarks/peers.txt
	@rm -rf .bench-venv && $(PYTHON) -m venv .bench-venv \
	  && .bench-venv/bin/pip install --quiet --disable-pip-version-check -r $< && touch $@ \
	  || { rm -rf .bench-venv; echo "mlfinpy, RiskLabAI, nautilus_trader and hftbacktest cannot be installed: not measured"; }

$(SYNC_PEERS): tests/benchmarks/sync_peers.txt
	@rm -rf .bench-sync-venv && $(PYTHON) -m venv .bench-sync-venv
	@while read -r peer; do .bench-sync-venv/bin/pip install --quiet --disable-pip-version-check $$peer \
	  || echo "$$peer cannot be installed: not measured"; done < $< && touch $@

MINUTES ?= 20
memory: setup ## one collector with 100 symbols x 3 channels for MINUTES=60: memory, open files, bytes to the disk
	$(BIN)/python -m tests.benchmarks.memory --minutes $(or $(MINUTES),60)

soak: setup ## 2000 messages/s for MINUTES=20: memory flat, times flat, nothing lost; samples in soak/
	$(BIN)/python -m tests.benchmarks.soak --minutes $(MINUTES)

crash: setup ## 1,000 kill -9 under load, power cuts, failing disks, damage, lies; prints the figures
	DAEDALUS_KILLS=$${DAEDALUS_KILLS:-1000} DAEDALUS_CRASH_JOBS=$${DAEDALUS_CRASH_JOBS:-2} $(BIN)/pytest -m "slow or not slow" \
	  tests/crash tests/ingestion/writers tests/ingestion/collectors/test_coinbase_ws.py

fuzz: setup ## a million spoilt frames through every native exchange (DAEDALUS_FUZZ_INPUTS=...)
	$(BIN)/pytest -m slow -s tests/conformance

notebooks: setup ## run research/*.ipynb over a small lake of the local exchange, and keep their outputs
	$(BIN)/pip install --quiet --disable-pip-version-check nbclient ipykernel
	rm -rf .small-lake && $(BIN)/python -m research.small_lake .small-lake
	DAEDALUS_LAKE=$(CURDIR)/.small-lake $(BIN)/jupyter-execute --inplace --kernel_name=python3 research/*.ipynb
	rm -rf .small-lake

lock: ## renew requirements.txt from pyproject.toml (needs uv)
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
	  --no-emit-index-url --no-header --upgrade -o requirements.txt

clean: ## remove .venv, caches and the demo's lake
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis demo-lake *.egg-info
