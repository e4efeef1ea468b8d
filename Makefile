# make run: install into .venv and start the demo; make replay: play a recorded day; make test: run the tests; make check: linters and tests.
.PHONY: run replay test slow test-tools machine-tools lint check format types clean
.DEFAULT_GOAL := run

# The newest Python >= 3.11 that starts and can make virtual environments; looked for once it is needed.
PYTHON = $(eval PYTHON := $(firstword $(foreach python,python3.14 python3.13 python3.12 python3.11 python3,\
	$(shell $(python) -c 'import sys, venv, ensurepip; sys.version_info >= (3, 11) and print("$(python)")' 2>/dev/null))))$(PYTHON)
BIN := .venv/bin
# Node.js may be there, put by `.ci/node`.
test slow test-tools lint format types tests/js/node_modules: export PATH := $(CURDIR)/$(BIN):$(PATH)

run: .venv/run
	@$(BIN)/vyomo-rt serve --demo

replay: .venv/run
	@$(BIN)/vyomo-rt serve --feed replay:examples/day.ndjson.gz --speed 10 --market-hours

# Five workers on two cores: many tests wait for a moment. What judges time comes last, with four,
# because most of that waits. Only files with such tests are read for it. Servers that tests start
# need compiled files.
test: .venv/test
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/pytest -n 5 --dist loadgroup -m "not slow and not quiet"
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/pytest -n 4 --dist loadgroup -m "quiet and not slow" \
		$$(grep -rl --include='*.py' 'mark\.quiet' tests)

# Here what judges time runs alone.
slow: .venv/test
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/pytest -n 4 --dist loadgroup -m "slow and not quiet"
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/pytest -m "slow and quiet" $$(grep -rl --include='*.py' 'mark\.quiet' tests)

# The tools without which `make test` skips tests.
test-tools: machine-tools tests/js/node_modules

machine-tools:
	@.ci/tools

lint: .venv/test tests/js/node_modules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	tests/js/node_modules/.bin/biome ci
	tests/js/node_modules/.bin/tsc -p tests/js/tsconfig.console.json
	$(BIN)/mypy
	$(BIN)/lint-imports
	cd scripts && ../$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec compose.yaml
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/*.yml
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.dependabot .github/dependabot.yml

check: lint test

format: .venv/test tests/js/node_modules
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	tests/js/node_modules/.bin/biome check --write

types: tests/js/node_modules
	tests/js/node_modules/.bin/tsc -p tests/js --outDir build/types
	cp build/types/vyomo-rt.d.ts static/

tests/js/node_modules: tests/js/package-lock.json | .venv/test
	@.ci/node
	npm ci --prefix tests/js --no-audit --no-fund --loglevel=error
	@touch $@

.venv/test: EXTRAS = [test,check]
.venv/run .venv/test: setup.cfg pyproject.toml
	@$(if $(PYTHON),,echo "vyomo-rt needs Python 3.11 or newer with its venv module: install python3 and python3-venv (Debian, Ubuntu), or see https://www.python.org/downloads/" >&2; exit 1)
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { rm -rf .venv; echo "Making a virtual environment with $$($(PYTHON) --version) ..."; $(PYTHON) -m venv .venv; }
	@echo "Installing$(if $(EXTRAS), with what the tests need) (the first time takes about a minute) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.$(EXTRAS)'
	@touch .venv/run $@

clean:
	rm -rf .venv build dist *.egg-info tests/js/node_modules
