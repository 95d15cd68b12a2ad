# Everything a person does with this project. `make setup` first; the others call it.
PYTHON ?= python3
PY := .venv/bin/python
RUN_PORT ?= 8100

.PHONY: help setup run test check hunt bench soak lock translations audit screenshots container clean

help:
	@echo 'make setup   virtual environment, locked dependencies, built assets (repeatable)'
	@echo 'make run     the app and a stand-in portal on this machine; RESET=1 starts afresh, RUN_PORT=8100, V=1 shows all'
	@echo 'make test    format, lint, types, tests, migrations'
	@echo 'make check   the same without the tests that start processes or a browser: for the minute between two edits'
	@echo 'make hunt    random orders against a model of the rules, for minutes; HUNT=300 of them'
	@echo 'make bench   measurements        make soak    a long run under faults'
	@echo 'make lock    lock files anew     make translations   catalogs anew'
	@echo 'make screenshots  pictures of each view'
	@echo 'make container  the image of Containerfile, built and tried, where buildah or podman is there'
	@echo 'make audit   known holes in what is locked (asks PyPI, so it is no part of make test)'

setup:
	@$(PYTHON) dev/setup.py

run:
	@$(PYTHON) dev/setup.py run
	@exec $(PY) -m dev.run --port $(RUN_PORT) $(if $(filter 1,$(RESET)),--reset) $(if $(filter 1,$(V)),--verbose)

test: setup
	@exec $(PY) -m dev.check

check: setup
	@exec $(PY) -m dev.check --quick

hunt: setup
	@HUNT_EXAMPLES=$(or $(HUNT),300) exec $(PY) -m pytest -q -p no:xdist tests/runs/test_orders_against_a_model.py

bench: setup
	@exec $(PY) -m bench

soak: setup
	@exec $(PY) -m bench soak

screenshots: setup
	@exec $(PY) scripts/screenshots.py

translations: setup
	@exec $(PY) -m dev.translations

lock: setup
	@exec $(PY) -m dev.lock

audit: setup
	@exec .venv/bin/pip-audit --strict --requirement requirements.txt --require-hashes --disable-pip

container: setup
	@exec $(PY) -m dev.container --base '$(BASE)' --options '$(OPTIONS)'

clean:
	rm -rf .venv node_modules b24app/static/dist .mypy_cache .ruff_cache .pytest_cache
