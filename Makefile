# Everything is installed into .venv in this folder, and nothing outside the folder is touched. `make help` lists the targets.
# All paths are relative, so that the checkout may lie under a path with spaces.

PYTHON ?= python3

pip_install := .venv/bin/python -m pip --quiet --disable-pip-version-check --no-input install

# A Python that was asked for by name must be the one in .venv; the default is looked at only when .venv has to be made.
asked_python := $(if $(filter file,$(origin PYTHON)),,$(PYTHON))
show_version := import sys; print("%d.%d" % sys.version_info[:2])
# The compiler CMake will take: the one named by CXX, or else the first of the usual names.
compilers := $(if $(filter default undefined,$(origin CXX)),c++ g++ clang++,'$(CXX)')

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo test bench studies docs format venv clean FORCE

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile
	@echo "Another Python: make PYTHON=python3.12 test"

demo: .venv/.smalti ## install Smalti into .venv; make new digits, a texture and a text in out/demo, and try the temperature meter
	@rm -rf out/demo
	.venv/bin/smalti demo -o out/demo

test: .venv/.dev ## lint, check the types and run all tests
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/basedpyright --pythonpath .venv/bin/python
	.venv/bin/python -m pytest -n auto

bench: .venv/.smalti ## measure the engine against plain matrix products, and time real samples
	.venv/bin/smalti bench
	.venv/bin/python bench/mnist.py
	.venv/bin/python bench/receipts.py
	.venv/bin/python bench/text.py

studies: .venv/.torch ## run the studies whose results the documentation shows, with PyTorch (hours; a stopped one goes on)
	.venv/bin/python bench/studies/consistency.py
	.venv/bin/python bench/studies/attribution.py
	.venv/bin/python bench/studies/novelty.py
	.venv/bin/python bench/studies/text_bits.py
	.venv/bin/python bench/studies/text_order.py
	.venv/bin/python bench/studies/text_noise.py
	.venv/bin/python bench/studies/creativity.py
	.venv/bin/python bench/studies/image_temperature.py
	.venv/bin/python bench/studies/denoising.py
	.venv/bin/python bench/studies/prediction.py
	.venv/bin/python bench/studies/measures.py
	.venv/bin/python bench/studies/temperature_coverage.py

docs: .venv/.docs ## build the documentation in docs/_build/html
	.venv/bin/python -m sphinx -W --keep-going -b html docs docs/_build/html

format: .venv/.dev ## mend what the linter can mend, and format the code
	.venv/bin/ruff check --fix
	.venv/bin/ruff format

clean: ## remove .venv, builds and caches (finished runs in out/ stay)
	rm -rf .venv build dist docs/_build .pytest_cache .ruff_cache .hypothesis
	find src tests bench docs -type d -name __pycache__ -prune -exec rm -rf {} +

venv: FORCE ## make the empty virtual environment
	@.venv/bin/python -c 'import pip' 2>/dev/null && [ -z '$(asked_python)' ] && exit 0; \
	if ! command -v '$(PYTHON)' >/dev/null; then \
	  echo "make: there is no '$(PYTHON)'; install Python 3.11 or newer, or name one, as in 'make PYTHON=python3.12 test'." >&2; exit 1; \
	fi; \
	asked=$$('$(PYTHON)' -c '$(show_version)'); \
	if ! '$(PYTHON)' -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then \
	  echo "make: Smalti needs Python 3.11 or newer and '$(PYTHON)' is $$asked; name a newer one, as in 'make PYTHON=python3.12 test'." >&2; exit 1; \
	fi; \
	if ! .venv/bin/python -c 'import pip' 2>/dev/null; then '$(PYTHON)' -m venv --clear .venv; exit $$?; fi; \
	made=$$(.venv/bin/python -c '$(show_version)'); \
	if [ "$$made" != "$$asked" ]; then \
	  echo "make: .venv was made with Python $$made and '$(PYTHON)' is $$asked; run 'make clean' first." >&2; exit 1; \
	fi

# The installed package is a copy of the sources. To keep it from going stale the sources' checksums are taken each time, and
# the file changes only when one of them does: an edited, added, renamed or deleted source is installed anew, whatever its date.
.venv/.sources: FORCE venv
	@find src CMakeLists.txt pyproject.toml -type f ! -name '*.pyc' ! -name '*.so' -exec cksum {} + | LC_ALL=C sort > $@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

.venv/.smalti: .venv/.sources
	@for compiler in $(compilers); do \
	  if echo 'int main() {}' | $$compiler -std=c++20 -x c++ -fsyntax-only - 2>/dev/null; then found=$$compiler; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "make: Smalti compiles a C++20 kernel and none of these is a C++20 compiler:" $(compilers)";" \
	       "install one (Debian: apt-get install g++; macOS: xcode-select --install) or name it, as in 'make CXX=clang++ test'." >&2; \
	  exit 1; \
	fi
	@echo "Compiling Smalti and installing it into .venv (a minute or two) ..."
	$(pip_install) .
	@touch $@

# The name without a path takes the copy just installed, and adds what its extra needs.
.venv/.dev: .venv/.smalti
	$(pip_install) 'smalti[dev]'
	@touch $@

.venv/.torch: .venv/.smalti
	$(pip_install) 'smalti[torch]'
	@touch $@

.venv/.docs: .venv/.smalti
	$(pip_install) 'smalti[docs]'
	@touch $@
