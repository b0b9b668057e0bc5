# Everything a newcomer types. `make demo` and `make test` set up what they need by themselves.
.PHONY: help setup demo panel test test-fast lint screenshots benchmark leave-one-out minkowski clean

PYTHON := .venv/bin/python
STAMP := .venv/.setup-complete
DATA ?= ../shared/data
MODELS ?= prior fine
CT_SKULLS := visible-human-male vismale unc-cthead-ct visible-human-female-ct

help:  ## list what can be made
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

setup: $(STAMP)  ## create .venv with everything for use and tests

$(STAMP): pyproject.toml .ci/setup
	@sh .ci/setup
	@touch $(STAMP)

demo: setup  ## design an implant for the built-in sample patient into demo-output/
	.venv/bin/skull-implant demo -o demo-output

panel: setup  ## open the Slicer panel beside real MRML views, with the sample patient (needs a display)
	PYTHONPATH=Testing/SlicerHost $(PYTHON) -m slicer_host SkullImplant/SkullImplant.py --sample

test: setup lint  ## check style and types, then run every test
	$(PYTHON) -m pytest Testing

test-fast: setup  ## the tests without the slow ones
	$(PYTHON) -m pytest Testing -m "not slow"

lint: setup  ## ruff and mypy
	.venv/bin/ruff check SkullImplantLib SkullImplant Testing
	.venv/bin/ruff format --check SkullImplantLib Testing
	.venv/bin/mypy

screenshots: setup  ## the pictures of the panel in Resources/Screenshots, made anew
	SKULL_IMPLANT_SCREENSHOTS=Resources/Screenshots QT_QPA_PLATFORM=offscreen \
		$(PYTHON) -m pytest Testing/Panel/test_screenshots.py

benchmark: setup  ## the committed tables of Testing/Benchmarks, made anew (needs the real skulls)
	for model in $(MODELS); do \
		.venv/bin/skull-implant evaluate --suite $(DATA)/test --model $$model --pictures \
			-o Testing/Benchmarks/accuracy/$$model || exit 1; done
	.venv/bin/skull-implant benchmark engine --threads 2

leave-one-out: setup  ## the table of each CT skull with all others known, itself left out
	mkdir -p Testing/Benchmarks/leave-one-out
	$(PYTHON) -m SkullImplantLib.training.population $(DATA)/train $(DATA)/test \
		--template average-19y -o Testing/Benchmarks/leave-one-out/population.npz
	.venv/bin/skull-implant evaluate --suite $(DATA)/train $(DATA)/test --skulls $(CT_SKULLS) \
		--population Testing/Benchmarks/leave-one-out/population.npz --model prior \
		-o Testing/Benchmarks/leave-one-out/prior

minkowski: setup  ## build and install MinkowskiEngine (CPU), the optional second engine
	@sh .ci/install-minkowski

clean:  ## remove what was made, but not the trained weights
	rm -rf .venv build dist demo-output .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
