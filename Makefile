# Needs make and Python 3.11 or newer. Each target first makes the virtual environment .venv where it is missing, and
# renews it when the dependencies have changed. Another Python: make test PYTHON=python3.12

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
DOCS_INSTALLED := .venv/.docs-installed
DEMO_DATA := data/demo
DEMO_RESULT := outputs/demo/latest.json

.PHONY: help demo test slow lint docs clean

help:
	@echo "make demo    synthetic notes, a corpus, a trained coder, its scores and predictions (about three minutes)"
	@echo "make test    the fast tests"
	@echo "make slow    the tests that take longer"
	@echo "make lint    style and types"
	@echo "make docs    the documentation as a site, in site/"
	@echo "make clean   remove .venv, caches and build leftovers; data and outputs stay"

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "icdcode needs Python 3.11 or newer, but '$(PYTHON)' is $$($(PYTHON) --version 2>&1);" \
	         "name a newer one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install $(if $(CI),--quiet) --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

# `icdcode train --json` gives its result as JSON on standard output, and what a person watches on standard error: so the
# steps after it know the run's folder, which counts up (tiny, tiny2 ...).
demo: $(INSTALLED)
	@icdcode() { printf '\n$$ icdcode %s\n' "$$*" >&2; $(BIN)/icdcode "$$@"; }; set -e; \
	test -e $(DEMO_DATA)/NOTEEVENTS.csv.gz || icdcode demo-data $(DEMO_DATA); \
	icdcode prepare-data $(DEMO_DATA) --config configs/demo.yaml; \
	mkdir -p $(dir $(DEMO_RESULT)); \
	icdcode train configs/demo.yaml --json > $(DEMO_RESULT); \
	run=$$($(BIN)/python -c 'import json, sys; print(json.load(sys.stdin)["run"])' < $(DEMO_RESULT)); \
	icdcode evaluate $$run; \
	icdcode show-predictions $$run -n 2; \
	echo "Where to look in $$run:"; \
	echo "  results.csv                       losses and metrics of each epoch"; \
	echo "  vis_outputs/learning_curves.png   the same as a picture"; \
	echo "  evaluation/test/                  metrics, results per code, predictions"; \
	echo "  weights/                          the trained coder"; \
	echo "More: $(BIN)/icdcode show-predictions $$run -n 9"; \
	echo "Your own notes: docs/own-notes.md"

test: $(INSTALLED)
	$(BIN)/python -m pytest -m "not slow"

# pytest exits with 5 where no test is marked slow; that is no failure.
slow: $(INSTALLED)
	$(BIN)/python -m pytest -m slow || test $$? -eq 5

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Once its packages are there, the site needs no network: theme, search and the Python pages are made of what lies here.
docs: $(DOCS_INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "Written: site/index.html"

$(DOCS_INSTALLED): $(INSTALLED)
	$(BIN)/python -m pip install $(if $(CI),--quiet) --disable-pip-version-check -c constraints.txt -e '.[docs]'
	@touch $@

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist site
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
