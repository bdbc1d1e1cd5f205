# make demo: environment, simulated data, the whole workflow, the report.
# make test: environment, linters, all tests.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: demo test lint clean
.DEFAULT_GOAL := demo

# Installed once; again only when what it is made from changes.
$(READY): pyproject.toml constraints.txt
	@echo "Installing the environment into .venv (PyTorch is large: minutes on the first time)"
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; set PYTHON=" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $(READY)

demo: $(READY)
	$(BIN)/snakemake --cores 8 --resources gpu=2
	@echo "The report: results/demo/report.html; what lies where: results/README.md"

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/snakemake --lint

test: lint
	$(BIN)/pytest --numprocesses auto --dist loadfile
	@echo "All tests passed."

clean:
	@echo "Removes .venv and the test caches; results/ is yours to delete."
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis
