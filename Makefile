# Everything one does with this repository. Needs Python 3.11 or newer, make and git.

SHELL := /bin/sh
# The interpreter to build with: PYTHON=... of the command line, else the first that is new enough.
PYTHON ?=
PYTHONS = $(PYTHON) $(if $(PYTHON),,python3.13 python3.12 python3.11 python3)
BIN := .venv/bin
STAMP := .venv/.installed
SUITES := $(wildcard $(foreach part,unit contract embedding live browser,tests/$(part)))
WORKERS ?= 2
TESTS := $(BIN)/python -m pytest -q -n $(WORKERS) --dist loadgroup $(SUITES)

.PHONY: help run test check lint soak bench mutants screenshots translations chromium postgresql clean

help:
	@echo "make run          the course site on http://127.0.0.1:5000, with a worker and a local Synapse"
	@echo "make test         all tests"
	@echo "make check        format, lint, types, import rules, all tests"
	@echo "make soak         long runs with faults"
	@echo "make bench        measure, and write instance/bench.json"
	@echo "make mutants      break the deciding code and see whether its tests notice"
	@echo "make screenshots  every page of a running site as a picture"
	@echo "make translations collect the texts, and bring the German and French catalogues up to date"
	@echo "make clean        remove what can be made again; keeps the data in instance/"

run: $(STAMP)
	$(BIN)/python -m commweb.site.serve

test: $(STAMP) chromium postgresql
	$(TESTS)

check: $(STAMP) lint chromium postgresql
	$(TESTS)

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

soak: $(STAMP)
	$(BIN)/python -m pytest -q tests/soak

bench: $(STAMP)
	$(BIN)/python -m tests.bench.run

screenshots: $(STAMP) chromium
	$(BIN)/python scripts/screenshots.py

# New texts are empty in the .po files afterwards: translate them, and run it again.
CATALOGUE = $(BIN)/pybabel -q
EXTRACT = $(CATALOGUE) extract -k lazy_gettext -k commweb_gettext -k commweb_ngettext:1,2 -F babel.cfg \
	--omit-header --add-location=file --sort-by-file -w 100
UPDATE = $(CATALOGUE) update --no-fuzzy-matching --ignore-obsolete --ignore-pot-creation-date -w 100

# Breaks the deciding code in many small ways and looks whether its tests notice.
mutants: $(STAMP)
	$(BIN)/python -m pip install -qq --upgrade --target build/mutmut mutmut==3.8.1
	$(BIN)/python scripts/mutants.py --workers $(WORKERS) $(MODULES)

translations: $(STAMP)
	$(EXTRACT) -o commweb/translations/commweb.pot commweb
	$(UPDATE) -D commweb -i commweb/translations/commweb.pot -d commweb/translations
	$(BIN)/pybabel compile --statistics -D commweb -d commweb/translations
	$(EXTRACT) -o translations/messages.pot app.py templates commweb/site
	$(UPDATE) -D messages -i translations/messages.pot -d translations
	$(BIN)/pybabel compile --statistics -D messages -d translations

$(STAMP): pyproject.toml constraints.txt
	@new_enough='import sys; sys.exit(sys.version_info < (3, 11))'; \
	.venv/bin/python -c "$$new_enough" 2>/dev/null && exit 0; \
	for python in $(PYTHONS); do \
		"$$python" -c "$$new_enough" 2>/dev/null || continue; \
		"$$python" -m venv --clear .venv && exit 0; \
		echo "The virtualenv .venv could not be made. On Debian, install the package python3-venv."; exit 1; \
	done; \
	echo "Python 3.11 or newer was not found. Install it, or name one: make PYTHON=/path/to/python"; exit 1
	@echo "Installing the libraries ..."
	@$(BIN)/python -m pip install -qq -c constraints.txt -e '.[site,i18n,test]' || \
		{ echo "The libraries could not be installed. Check the network and try again."; exit 1; }
	@touch $@

# The browser tests drive the system's Chromium.
chromium:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || \
		{ test "$$(id -u)" = 0 && command -v apt-get >/dev/null && apt-get -qq update && \
		DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends chromium; } || \
		{ echo "The browser tests need Chromium. Install it, on Debian with: apt-get install chromium"; exit 1; }

# Tests of the database start a PostgreSQL of their own in a temporary folder.
postgresql:
	@command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || \
		{ test "$$(id -u)" = 0 && command -v apt-get >/dev/null && apt-get -qq update && \
		DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends postgresql; } || \
		{ echo "The tests need PostgreSQL. Install it, on Debian with: apt-get install postgresql"; exit 1; }

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	rm -rf instance/synapse-venv instance/synapse-venv.lock instance/synapse-install.log
	find commweb tests -name __pycache__ -type d -prune -exec rm -rf {} +
