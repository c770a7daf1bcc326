# make help lists the targets. Needs Python (3.10 or later; the lock is for 3.11) and make.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
JOBS ?= 2
PYTEST_ARGS ?=
DEMO_ARGS ?=
BENCH_ARGS ?= --examples 20
BENCH_ROUNDS ?= --benchmark-only --benchmark-min-rounds=3
UV_RELEASE ?= 0.13.9
TORCH ?= 2.13.0
# What that torch asks for where it is built for CUDA; elsewhere only its interpreter is used.
TRITON ?= 3.7.1
TEXTATTACK ?= 0.3.11
TEXTBREWER ?= 0.2.1.post1
PEERS_ARGS ?=

PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check
# TextAttack needs other versions than the rest, so it has an environment of its own.
VENV_TA ?= .venv-textattack
PY_TA := $(VENV_TA)/bin/python
# One of the places in an environment where NLTK and rosearch look.
WORDNET := nltk_data/corpora/wordnet
# The stamp carries this folder's path: an environment that was copied or moved along is not
# taken for installed.
STAMP := $(VENV)/installed$(subst /,-,$(CURDIR))
STAMP_TA := $(VENV_TA)/installed$(subst /,-,$(CURDIR))
# What benchmarks compare with; on transformers 4 too, since TextAttack is part of it.
VENV_PEERS ?= .venv-peers
PY_PEERS := $(VENV_PEERS)/bin/python
STAMP_PEERS := $(VENV_PEERS)/installed$(subst /,-,$(CURDIR))

.DEFAULT_GOAL := help
.PHONY: help install install-textattack demo test interop lint format types imports docs bench peers \
	bench-peers lock lock-textattack lock-peers clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(STAMP)  ## make .venv and install what requirements.lock names

$(STAMP): requirements.lock pyproject.toml
	@echo "installing into $(VENV): about a minute ..."
	@$(PY) -c "" 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	@.ci/install $(PY) requirements.lock $(UV_RELEASE)
	@$(PIP) install -qq --no-deps --no-build-isolation --editable .
	@$(PIP) check
	@$(PY) -m rosearch resources --get wordnet --to $(VENV)/$(WORDNET)
	@rm -f $(VENV)/installed-* && touch $@

demo: $(STAMP)  ## search students for a real teacher on movie-review sentences
	@$(PY) examples/quickstart.py $(DEMO_ARGS)

test: $(STAMP)  ## all tests, slow ones too, on JOBS=2 processes
	@$(PY) -m pytest -q -n $(JOBS) --dist worksteal $(PYTEST_ARGS)

# Other tests of attacks reach transformers only through the victims and tokenizers that these cover.
INTEROP_TESTS = tests/attack/victim tests/attack/test_evaluator.py tests/attack/test_evaluator_encoded.py \
	tests/attack/word_swaps/substitutions/test_masked.py $(shell find tests/attack -name 'test_*.py' \
	| sort | grep -v '^tests/attack/victim/' | xargs grep -lE 'textattack|transformers|greenlet')

interop: $(STAMP_TA)  ## tests of attacks with TextAttack, on transformers 4, in .venv-textattack
	@$(PY_TA) -m pytest -q -n $(JOBS) --dist worksteal $(INTEROP_TESTS) \
		-m "not exhaustive and (textattack or not slow)" $(PYTEST_ARGS)

install-textattack: $(STAMP_TA)  ## make .venv-textattack, which interop needs

peers: $(STAMP_PEERS)  ## make .venv-peers, which bench-peers needs

# What $(1) is to hold is in the first prerequisite; rosearch itself is read from this folder.
define install_beside
	@echo "installing into $(1): about a minute ..."
	@$(1)/bin/python -c "" 2>/dev/null || $(PYTHON) -m venv --clear $(1)
	@.ci/install $(1)/bin/python $< $(UV_RELEASE)
	@$(1)/bin/python -m pip --disable-pip-version-check check
	@$(1)/bin/python -m rosearch resources --get wordnet --to $(1)/$(WORDNET)
	@rm -f $(1)/installed-* && touch $@
endef

$(STAMP_TA): requirements-textattack.lock
	$(call install_beside,$(VENV_TA))

$(STAMP_PEERS): requirements-peers.lock
	$(call install_beside,$(VENV_PEERS))

lint: $(STAMP)  ## ruff: rules and format
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .

format: $(STAMP)  ## ruff: repair what it can
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

types: $(STAMP)  ## mypy --strict
	@$(PY) -m mypy

imports: $(STAMP)  ## import-linter: stages import only from stages before them
	@$(VENV)/bin/python -c "from importlinter.cli import lint_imports_command as run; run()"

docs: $(STAMP)  ## HTML pages in docs/_build/html, warnings are errors
	@$(PY) -m sphinx -q -W --keep-going -b html docs docs/_build/html

# Benchmarks for pytest-benchmark are benchmarks/test_*.py; the other files are scripts.
bench: $(STAMP)  ## quick benchmarks
	@if ls benchmarks/test_*.py >/dev/null 2>&1; then \
		$(PY) -m pytest -q benchmarks $(BENCH_ROUNDS); fi
	@if test -f benchmarks/attack_engine.py; then \
		$(PY) benchmarks/attack_engine.py $(BENCH_ARGS); fi

bench-peers: $(STAMP_PEERS)  ## ratios to other libraries that the docs name, about 20 minutes
	@$(PY_PEERS) benchmarks/ratios.py $(PEERS_ARGS)

lock:  ## write requirements.lock anew from pyproject.toml, in a fresh environment
	@rm -rf build/lock && $(PYTHON) -m venv build/lock
	@build/lock/bin/python -m pip install -qq "torch==$(TORCH)" "triton==$(TRITON)" \
		".[demo,dev]"
	@{ echo "# Made by \`make lock\`: what pip installs for rosearch[demo,dev]. Do not edit."; \
		build/lock/bin/python -m pip --disable-pip-version-check freeze --all \
			--exclude pip --exclude rosearch \
		| grep -Ev '^(nvidia-|cuda-|-)|@' | sed 's/+.*//'; } > requirements.lock
	@rm -rf build/lock

# $(1) is the name of the lock, $(2) what it holds, $(3) what pip installs for it besides.
define lock_beside
	@rm -rf build/lock-$(1) && $(PYTHON) -m venv build/lock-$(1)
	@build/lock-$(1)/bin/python -m pip install -qq "torch==$(TORCH)" $(3) ".[$(2)]"
	@{ echo "# Made by \`make lock-$(1)\`: what pip installs for rosearch[$(2)]. Do not edit."; \
		build/lock-$(1)/bin/python -m pip --disable-pip-version-check freeze --all \
			--exclude pip --exclude rosearch \
		| grep -Ev '^(nvidia-|cuda-|triton|-)|@' | sed 's/+.*//'; } > requirements-$(1).lock
	@rm -rf build/lock-$(1)
endef

comma := ,

lock-textattack:  ## write requirements-textattack.lock anew, in a fresh environment
	$(call lock_beside,textattack,textattack$(comma)test,"textattack==$(TEXTATTACK)")

lock-peers:  ## write requirements-peers.lock anew, in a fresh environment
	$(call lock_beside,peers,peers,"textattack==$(TEXTATTACK)" "textbrewer==$(TEXTBREWER)")

clean:  ## remove the environments, caches and built pages; runs/ stays
	rm -rf $(VENV) $(VENV_TA) $(VENV_PEERS) build dist docs/_build .mypy_cache .pytest_cache .ruff_cache .hypothesis \
		.benchmarks .import_linter_cache *.egg-info
	find rosearch tests examples benchmarks docs -name __pycache__ -prune -exec rm -rf {} +
