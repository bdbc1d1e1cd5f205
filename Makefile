# make demo: environment, simulated data, the whole workflow, the report.
# make test: environment, linters, all tests.
# make bench: every benchmark, into results/bench/ (docs/performance.md says what the figures mean).
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: demo test lint bench clean
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

define measure
	$(BIN)/python benchmarks/$(2) > results/bench/$(1).txt
	@cat results/bench/$(1).txt
endef

bench: $(READY)
	@mkdir -p results/bench
	$(call measure,train_224,train.py --images 48 --batch 24 --repeats 3)
	$(call measure,train_48,train.py --size 48 --images 128 --batch 16)
	$(call measure,train_accuracy,train.py --accuracy)
	$(call measure,attention_224,attention_step.py --batch 8 --repeats 5)
	$(call measure,attention_48,attention_step.py --size 48 --batch 16 --layout contiguous_format)
	$(call measure,step_choices_224,step_choices.py)
	$(call measure,step_choices_48,step_choices.py --size 48 --batch 16)
	$(call measure,huge_pages,huge_pages.py)
	$(call measure,fold_job,fold_job.py)
	$(call measure,align_faces,align_faces.py)
	$(call measure,read_cache,read_cache.py)
	$(call measure,plan_folds,plan_folds.py)
	$(call measure,growth,growth.py)
	$(call measure,peak_memory,peak_memory.py)
	$(call measure,baseline_features,baseline_features.py)
	$(call measure,baseline_folds,baseline_folds.py)
	$(call measure,predict,predict.py)

clean:
	@echo "Removes .venv and the test caches; results/ is yours to delete."
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis
