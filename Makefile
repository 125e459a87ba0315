# Needs make and Python 3.11 or newer. Each target first makes the virtual environment .venv where it is missing, and
# renews it when the dependencies have changed. Another Python: make test PYTHON=python3.12

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
DOCS_INSTALLED := .venv/.docs-installed

.PHONY: help demo test slow lint docs oldest newest clean

help:
	@echo "make demo    synthetic notes, a corpus, a trained coder, its scores and predictions (about three minutes)"
	@echo "make test    the fast tests"
	@echo "make slow    the tests that take longer"
	@echo "make lint    style and types"
	@echo "make docs    the documentation as a site, in site/"
	@echo "make oldest  the fast tests with the oldest versions that pyproject.toml allows, in .venv-oldest (Python 3.11)"
	@echo "make newest  the same with the newest that there are, in .venv-newest"
	@echo "make clean   remove .venv, caches and build leftovers; data and outputs stay"

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "icdcode needs Python 3.11 or newer, but '$(PYTHON)' is $$($(PYTHON) --version 2>&1);" \
	         "name a newer one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install $(if $(CI),--quiet) --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

# In this folder: the tables in data/demo, the runs in outputs/demo.
demo: $(INSTALLED)
	$(BIN)/icdcode demo .

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
	@echo "Written: site/index.html; with its search: python3 -m http.server -d site"

$(DOCS_INSTALLED): $(INSTALLED)
	$(BIN)/python -m pip install $(if $(CI),--quiet) --disable-pip-version-check -c constraints.txt -e '.[docs]'
	@touch $@

# Each into an environment of its own, from nothing: what .venv holds shall not help. What old packages say about new ones
# that they use (matplotlib 3.9 about pyparsing, say) is no warning of ours.
oldest:
	$(PYTHON) -m venv --clear .venv-oldest
	$(PYTHON) .ci/oldest.py > .venv-oldest/constraints.txt
	.venv-oldest/bin/python -m pip install --quiet --disable-pip-version-check -c .venv-oldest/constraints.txt -e '.[dev]'
	.venv-oldest/bin/python -m pytest -m "not slow" -W default

newest:
	$(PYTHON) -m venv --clear .venv-newest
	.venv-newest/bin/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	.venv-newest/bin/python -m pytest -m "not slow"

clean:
	rm -rf .venv .venv-oldest .venv-newest .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist site
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
