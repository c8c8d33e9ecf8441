# On a fresh machine with Python 3.11 and make: `make demo`, `make test`.

PYTHON ?= $(shell for each in python3.11 python3 python; do \
	$$each -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$each && break; \
done)

venv := .venv
ipython8 := .venv-ipython8
page := out/quickstart.html
install := $(venv)/bin/python -m pip install -qq --disable-pip-version-check
pip := $(install) -c constraints-dev.txt

.PHONY: help demo test lint examples bench clean

help:
	@echo "make demo      run a costly cell, see its reports here and as a page"
	@echo "make test      run the whole suite"
	@echo "make lint      ruff, mypy and codespell"
	@echo "make examples  run the notebooks of examples/ and keep their outputs"
	@echo "make bench     measure what watching costs, beside other tools (an hour)"
	@echo "make clean     remove everything that the others made"

demo: $(venv)/.demo
	@mkdir -p $(dir $(page))
	@$(venv)/bin/tensortoll run --html $(page) examples/quickstart.ipynb
	@echo "The same reports as a page: $(CURDIR)/$(page)"

test: $(venv)/.dev $(ipython8)/.installed
	TENSORTOLL_IPYTHON8=$(CURDIR)/$(ipython8) $(venv)/bin/python -m pytest -n 2 --dist loadfile

lint: $(venv)/.dev
	$(venv)/bin/ruff check
	$(venv)/bin/ruff format --check
	$(venv)/bin/mypy
	$(venv)/bin/codespell src tests benchmarks examples README.md CHANGELOG.md Makefile pyproject.toml

examples: $(venv)/.dev
	$(venv)/bin/python examples/refresh.py

bench: $(venv)/.dev
	@$(pip) pyinstrument scalene
	$(venv)/bin/python benchmarks/overhead.py --page docs/overhead.md
	$(venv)/bin/python benchmarks/growth.py --page docs/growth.svg

clean:
	rm -rf $(venv) $(ipython8) out build dist
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis

# An environment with a pip that knows dependency groups, and torch before anything asks for it.
$(venv)/.torch: constraints-dev.txt
	@test -n "$(PYTHON)" || { echo "tensortoll needs Python 3.11 or later, and there is none."; exit 1; }
	@echo "making $(venv) with $(PYTHON), and installing torch there ..."
	@$(PYTHON) -m venv $(venv)
	@$(pip) --upgrade "pip>=25.1"
	@$(pip) torch
	@touch $@

# What the quickstart needs, and no more: no TensorFlow.
$(venv)/.demo: $(venv)/.torch pyproject.toml
	@echo "installing tensortoll and pandas in $(venv) ..."
	@$(pip) --editable ".[torch,notebook]" "pandas>=2.2"
	@touch $@

$(venv)/.dev: $(venv)/.torch pyproject.toml
	@echo "installing tensortoll and what its tests need in $(venv) ..."
	@$(pip) --editable . --group dev
	@touch $@ $(venv)/.demo

# The oldest IPython that we support, beside the newest: a test runs its cells on both.
$(ipython8)/.installed: | $(venv)/.torch
	@echo "installing IPython 8 in $(ipython8) ..."
	@rm -rf $(ipython8)
	@$(install) --target $(ipython8) "ipython>=8.12,<9"
	@touch $@
