# minisrgan: everything a newcomer needs. `make demo` and `make test` set up .venv by themselves.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin
STAMP := $(VENV)/installed
BENCH := .venv-bench
PEERS := .venv-bench-peers
LITE := .venv-lite
# Options for installing PyTorch. The package index's own build for Linux brings CUDA, several GB; PyTorch's site names an
# index of builds without it: make bench TORCH_OPTIONS="--index-url ...".
TORCH_OPTIONS ?=
ARGS ?=

.PHONY: help demo test test-slow test-notebooks notebooks notebooks-build release lite lint bench bench-gpu correctness clean

help:
	@echo "make demo   set up .venv, upscale with the models in the box, train tiny ones (about 3 minutes), write runs/demo"
	@echo "make test   set up .venv, run every check: pytest with doctests, ruff, mypy --strict"
	@echo "make test-slow   the long forms of the tests: 40 kills of a training, 3,000 broken files, 200 examples of each"
	@echo "            property (some minutes)"
	@echo "make notebooks   open the course in JupyterLab (its own options in ARGS, as --allow-root in a container)"
	@echo "make test-notebooks   run every notebook, as students get it and solved, with a table of times"
	@echo "make notebooks-build   write the notebooks anew from notebooks/src (ARGS=03 for one)"
	@echo "make release   write the course for a class, build/class, and as pages that need no network, build/pages"
	@echo "make lite   build the course as a web site that runs in the browser (JupyterLite), build/lite/site"
	@echo "make lint   ruff and mypy only"
	@echo "make bench  compare with PyTorch and with other libraries on NumPy (about 20 minutes on a quiet machine);"
	@echo "            make bench ARGS='--quick' to see that it runs, ARGS='--help' for more"
	@echo "make bench-gpu  compare with PyTorch on an NVIDIA GPU, in float32 and in TF32 (docs/gpu.md)"
	@echo "make correctness   write docs/correctness.md anew from what minisrgan gradcheck measures"
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
	$(RUN)/python -m pytest -m "not slow"

test-slow: $(STAMP)
	$(RUN)/python -m pytest -m slow
	$(RUN)/python -m pytest --hypothesis-profile=full tests/ops/test_properties.py tests/images/test_resize.py

notebooks: $(STAMP)
	$(RUN)/jupyter lab --notebook-dir=notebooks $(ARGS)

notebooks-build: $(STAMP)
	$(RUN)/python notebooks/build.py $(ARGS)

release: $(STAMP)
	$(RUN)/python notebooks/build.py --release build/class --html build/pages $(ARGS)

# JupyterLite lives in an environment of its own. The site is build/lite/site, a static folder.
$(LITE)/installed: pyproject.toml
	test -x $(LITE)/bin/python || $(PYTHON) -m venv $(LITE)
	$(LITE)/bin/python -m pip install --quiet jupyterlite-core jupyterlite-pyodide-kernel jupyter-server nbformat
	@touch $@

lite: $(LITE)/installed
	rm -rf build/lite
	$(LITE)/bin/python notebooks/lite.py build/lite/contents
	$(LITE)/bin/python -m pip wheel --quiet --no-deps --wheel-dir build/lite/wheels .
	cd build/lite && ../../$(LITE)/bin/jupyter lite build --contents contents --piplite-wheels wheels/*.whl --output-dir site
	@echo "python -m http.server -d build/lite/site   # then open the address that it prints"

test-notebooks: $(STAMP)
	$(RUN)/python -m pytest tests/notebooks

lint: $(STAMP)
	$(RUN)/ruff check .
	$(RUN)/mypy

# PyTorch and the peers, which want NumPy below 1.24, live in environments of their own; what cannot be installed is
# left out by name.
$(BENCH)/installed: pyproject.toml
	test -x $(BENCH)/bin/python || $(PYTHON) -m venv $(BENCH)
	-$(BENCH)/bin/python -m pip install --quiet $(TORCH_OPTIONS) torch
	-$(BENCH)/bin/python -m pip install --quiet --editable ".[bench]" && touch $@

$(PEERS)/installed:
	test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	-$(PEERS)/bin/python -m pip install --quiet --only-binary numpy,matplotlib \
		"numpy<1.24" "matplotlib<3.9" threadpoolctl mygrad dezero "setuptools<80" wheel && touch $@
	-$(PEERS)/bin/python -m pip install --quiet --no-build-isolation chainer

bench: $(STAMP) $(BENCH)/installed $(PEERS)/installed
	$(RUN)/python -m benchmarks.run $(ARGS)

# CuPy has to be in .venv (pip install -e ".[cuda12]"), and TORCH_OPTIONS to name a build of PyTorch with CUDA.
bench-gpu: $(STAMP) $(BENCH)/installed
	$(RUN)/python -m benchmarks.run --gpu $(ARGS)
	$(RUN)/python -m benchmarks.run --gpu --tf32 $(ARGS)

correctness: $(STAMP)
	$(RUN)/minisrgan gradcheck --markdown > docs/correctness.md

clean:
	rm -rf $(VENV) $(BENCH) $(PEERS) .pytest_cache .mypy_cache .ruff_cache .hypothesis
