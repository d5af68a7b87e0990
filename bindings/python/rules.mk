# The Python package, tested as pip installs it: from a wheel that carries the library, in an environment of its own.

python_venv := $(abspath $(BUILD_DIR))/python
python_tests := bindings/python/tests examples/python

.PHONY: python-test python-venv

python-test: build ## the Python package as pip installs it, over its extension and over ctypes alone; types; examples
	@if ! $(PYTHON) -c 'import venv, ensurepip' 2>/dev/null; then \
	  echo "SKIP: python-test: $(PYTHON) with venv is not installed (apt-get install python3 python3-venv)"; exit $${LARDER_FORBID_SKIP:-0}; fi; \
	if ! $(PYTHON) -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_paths()["include"] + "/Python.h"))'; then \
	  echo "SKIP: python-test: Python.h is not installed (apt-get install python3-dev)"; exit $${LARDER_FORBID_SKIP:-0}; fi; \
	$(MAKE) --no-print-directory python-venv && set -e; \
	scratch=$$(mktemp -d); trap 'rm -rf "$$scratch"' EXIT; \
	(cd $$scratch && $(python_venv)/bin/python -c 'import larder, pathlib; from larder import _native; \
	  package = pathlib.Path(larder.__file__).parent; print("installed:", package.name, larder.version(), larder.backend()); \
	  assert package.parent.name == "site-packages" and _native.library_path() == str(package / "liblarder.so.0"), _native.library_path()'); \
	export PYTHONDONTWRITEBYTECODE=1; \
	for backend in extension ctypes; do echo "backend: $$backend"; \
	  LARDER_BACKEND=$$backend $(python_venv)/bin/python -m pytest -p no:cacheprovider -q -rs $(python_tests); done; \
	$(python_venv)/bin/python -m mypy --cache-dir $(python_venv)/mypy --config-file bindings/python/pyproject.toml bindings/python/larder; \
	PYTHON=$(python_venv)/bin/python LIB_DIR="$(abspath $(LIB_DIR))" $(PYTHON) tests/vectors/snippets.py python bindings/python/README.md:python

# The wheel is built again each time; the tools are there from the second time on.
python-venv:
	@set -e; [ -x $(python_venv)/bin/python ] || $(PYTHON) -m venv $(python_venv); \
	$(python_venv)/bin/python -c 'import pytest, mypy' 2>/dev/null || $(python_venv)/bin/pip install --quiet --disable-pip-version-check pytest mypy; \
	rm -rf bindings/python/build bindings/python/*.egg-info; \
	LARDER_LIBRARY=$(abspath $(LIB_DIR))/liblarder.so $(python_venv)/bin/pip install --quiet --disable-pip-version-check --force-reinstall --no-deps ./bindings/python; \
	rm -rf bindings/python/build bindings/python/*.egg-info
