# Two commands: `make demo` and `make test`. Each makes its own environment under the clone.
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
export PYTHON
# A run without compiled modules would start three times slower.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test lint types contracts tests pictures format clean

demo: $(VENV)/.installed
	@$(BIN)/jetbox-tui --demo $(ARGS)

# Types beside the tests: mypy is one process, and tests often wait.
test: lint contracts
	@$(MAKE) --no-print-directory -j2 types tests

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/.dev
	$(BIN)/mypy

contracts: $(VENV)/.dev
	$(BIN)/lint-imports

tests: $(VENV)/.rewritten
	$(BIN)/pytest $(ARGS)

# One process rewrites the assertions of all tests, and another lists the characters that tests draw texts from: every
# worker would do both for itself.
$(VENV)/.rewritten: $(VENV)/.dev
	@$(BIN)/python -c "from hypothesis import strategies; strategies.text().validate()" >/dev/null 2>&1 & \
	$(BIN)/pytest -n0 -qq --collect-only >/dev/null 2>&1; wait
	@touch $@

# Of every screen in every theme and size, into build/pictures: make pictures ARGS="--theme ember --size 120x40"
# Elsewhere: make pictures ARGS=FOLDER
pictures: $(VENV)/.dev
	$(BIN)/python tests/ui/take_pictures.py $(ARGS)

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(VENV)/.installed: pyproject.toml .ci/environment
	@.ci/environment $(VENV)
	@touch $@

$(VENV)/.dev: pyproject.toml .ci/environment
	@.ci/environment $(VENV) dev
	@touch $(VENV)/.installed $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
