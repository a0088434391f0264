# Everything a newcomer needs: `make demo`, then `make test`.
PYTHON ?= python3
BIN := .venv/bin
DEMO := outputs/demo

.PHONY: help demo test check-tables test-cpus test-slow test-data test-site lint tables plots site bench clean

help:
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20
	@echo "  make table-NAME   one table of results/tables.yaml"
	@echo "  make reproduce-NAME  the runs that a table lacks, then the table"
	@echo "  make data-SET     prepare a task's data, e.g. make data-ptb_word SOURCE=folder"

# torch first and pinned: later installs then find it there instead of choosing a build of their own
.venv/core: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

.venv/dev: .venv/core
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

demo: .venv/core ## train scoRNN on the copy task and print a one-row table
	$(BIN)/seqbench train experiment=copy_t100/scornn train.threads=1 output_dir=$(DEMO) results_dir=$(DEMO)
	@$(BIN)/seqbench show experiment=copy_t100/scornn output_dir=$(DEMO) results_dir=$(DEMO) --row

test: .venv/dev ## all tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

# TESTS=tests/models runs some of them. torch obeys ATEN_CPU_CAPABILITY without asking the processor, and would end in an
# illegal instruction where it lacks it. Our own C++ is compiled for this processor under each cap.
test-cpus: .venv/dev ## all tests as on a CPU with AVX2, with AVX-512 without bfloat16, and on this one
	@for cap in "AVX2 avx2 avx2" "AVX512_CORE avx512 avx512vl" ""; do \
	  set -- $$cap; \
	  echo "== $${1:-this CPU, without a cap}"; \
	  if [ -n "$$3" ] && ! grep -qsw "$$3" /proc/cpuinfo; then echo "skipped: this CPU has none"; continue; fi; \
	  env -u ONEDNN_MAX_CPU_ISA -u ATEN_CPU_CAPABILITY $${1:+ONEDNN_MAX_CPU_ISA=$$1 ATEN_CPU_CAPABILITY=$$2} \
	    OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 $(TESTS) \
	    || { echo "test-cpus: a test fails with $${1:-this CPU, without a cap}"; exit 1; }; \
	done

check-tables: .venv/dev ## whether README and results/tables say what the ledger says
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q tests/report/test_build.py tests/test_docs.py -k "committed or readme"

test-slow: .venv/dev ## the tests that take minutes
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow --timeout 1200

test-data: .venv/dev ## made-up corpora of WikiText-103's and WMT14's size: minutes, and 3 GB of disk
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m large --timeout 1800

# in Debian: apt-get install chromium chromium-driver
test-site: .venv/dev ## the site of the ledger in a browser: links, sorting, a phone's width, axe
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m 'slow or not slow' --timeout 1200 tests/site

lint: .venv/dev ## ruff and pyright
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

tables: .venv/core ## all tables from the ledger
	$(BIN)/seqbench tables

plots: .venv/dev ## learning curves from the ledger
	$(BIN)/seqbench plots

site: .venv/core ## the ledger as a website, results/site/index.html
	$(BIN)/seqbench report

bench: .venv/core ## speed and memory beside peers, into results/bench
	$(BIN)/seqbench bench

table-%: .venv/core
	$(BIN)/seqbench tables $*

reproduce-%: .venv/core
	$(BIN)/seqbench reproduce $*

data-%: .venv/core
	$(BIN)/seqbench prepare task=$* $(if $(SOURCE),source=$(SOURCE))

clean: ## remove run folders and caches, not the ledger
	rm -rf outputs results/site .pytest_cache .ruff_cache
