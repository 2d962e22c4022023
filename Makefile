# minisrgan: everything a newcomer needs. `make demo` and `make test` set up .venv by themselves.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin
STAMP := $(VENV)/installed

.PHONY: help demo test lint clean

help:
	@echo "make demo   set up .venv, train a tiny SRGAN on sample photographs (about 4 minutes), write runs/demo"
	@echo "make test   set up .venv, run every check: pytest with doctests, ruff, mypy --strict"
	@echo "make lint   ruff and mypy only"
	@echo "make clean  remove .venv and caches (runs/ is kept)"

# Installing again is skipped until pyproject.toml changes; the package itself is editable.
$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "minisrgan needs Python >= 3.11; '$(PYTHON)' is $$($(PYTHON) --version). Try: make PYTHON=python3.12 ..."; exit 1; }
	test -x $(RUN)/python || $(PYTHON) -m venv $(VENV)
	$(RUN)/python -m pip install --quiet --editable ".[course,test]"
	@touch $@

demo: $(STAMP)
	$(RUN)/minisrgan demo

test: $(STAMP)
	$(RUN)/python -m pytest

lint: $(STAMP)
	$(RUN)/ruff check .
	$(RUN)/mypy

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
