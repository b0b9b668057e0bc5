# Everything a newcomer types. `make demo` and `make test` set up what they need by themselves.
.PHONY: help setup demo panel panel-preview test test-fast test-random fuzz lint viewer map screenshots tutorial mean-skull population weights benchmark \
	leave-one-out ablation fit superres organs needs tables minkowski clean

PYTHON := .venv/bin/python
STAMP := .venv/.setup-complete
# Processes that test side by side, each with 1 to 2 GB of memory; one tests on the host (Qt, MRML).
JOBS ?= 3
# Another seed damages inputs in other ways.
SEED ?= 1
PYTEST := $(PYTHON) -m pytest -n $(JOBS)
DATA ?= ../shared/data
TABLES := Testing/Benchmarks/accuracy
FIT := Testing/Benchmarks/fit
PAPERS := Testing/Benchmarks
RESOURCES := SkullImplantLib/resources
VIEWER := ReportViewer
MODELS ?= prior $(TABLES)/fine.npz
CT_SKULLS := visible-human-male vismale unc-cthead-ct visible-human-female-ct
RECIPE := --leave-out average-19y --areas-cm2 20 120 --flaws 0.25 --threads 1 --jobs 2
SOURCES := The BrainWeb skulls come from MRI, their inner table rebuilt (McGill University; Aubert-Broche et al. 2006); \
the Visible Human male (US National Library of Medicine, free since 2019) and the VisMale teaching volume come from CT.
MORE_SOURCES := $(SOURCES) So do the Visible Human female and the CThead of UNC and Stanford.

help:  ## list what can be made
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22

setup: $(STAMP)  ## create .venv with everything for use and tests

$(STAMP): pyproject.toml Testing/SlicerHost/pyproject.toml .ci/setup
	@sh .ci/setup
	@touch $(STAMP)

demo: setup  ## design an implant for the built-in sample patient into demo-output/
	.venv/bin/skull-implant demo -o demo-output

panel: setup  ## open the Slicer panel beside real MRML views, with the sample patient (needs a display)
	.venv/bin/slicer-host SkullImplant/SkullImplant.py --sample

panel-preview: setup  ## the tests of panel and host on the newest preview of slicer-core, in build/preview (20 minutes)
	@sh .ci/setup-preview
	QT_QPA_PLATFORM=offscreen build/preview/bin/python -m pytest Testing/SlicerHost Testing/Slicer Testing/Panel

test: setup lint  ## check style and types, then run every test
	$(PYTEST) Testing

test-fast: setup  ## the tests without the slow ones
	$(PYTEST) Testing -m "not slow"

test-random: setup  ## the property-based tests with other examples in each run
	$(PYTEST) Testing/Library -m hypothesis --hypothesis-profile random

fuzz: setup  ## thousands of damaged inputs, killed runs and awkward places: Testing/Fuzz/campaign.md (20 minutes)
	$(PYTHON) Testing/Fuzz/campaign.py --cases 5000 --seed $(SEED) -o Testing/Fuzz

lint: setup  ## ruff, mypy, and the floors of the packages (import-linter)
	.venv/bin/ruff check SkullImplantLib SkullImplant Testing docs
	.venv/bin/ruff format --check SkullImplantLib Testing docs
	.venv/bin/mypy
	.venv/bin/lint-imports

viewer:  ## bundle the report's 3-D view anew, into resources/report-viewer.js (needs npm)
	cd $(VIEWER) && npm ci --silent && npm run --silent build -- --outfile=../$(RESOURCES)/report-viewer.js
	cd $(RESOURCES) && sha256sum report-viewer.js ../../ReportViewer/*.js ../../ReportViewer/*.json > report-viewer.js.sha256

map: setup  ## draw the packages and their imports anew: docs/reference/architecture.svg
	$(PYTHON) docs/draw_map.py -o docs/reference/architecture.svg

screenshots: setup  ## the pictures of the panel in Resources/Screenshots, made anew
	SKULL_IMPLANT_SCREENSHOTS=Resources/Screenshots QT_QPA_PLATFORM=offscreen \
		$(PYTHON) -m pytest Testing/Panel/test_screenshots.py Testing/Panel/test_color_by.py::test_pictures_of_the_maps

tutorial: setup  ## the pictures of docs/tutorial.md, made anew (needs the real CT)
	SKULL_IMPLANT_TUTORIAL=Resources/Tutorial QT_QPA_PLATFORM=offscreen $(PYTHON) -m pytest Testing/Panel/test_tutorial.py

mean-skull: setup  ## what tells which way a head lies
	$(PYTHON) -m SkullImplantLib.training.mean_skull_maker $(DATA)/train --whole visible-human-male vismale \
		-o SkullImplantLib/resources/mean-skull.npz

population: setup  ## the prior's shape statistics: the shipped ones, and the tables', which know no test skull
	$(PYTHON) -m SkullImplantLib.training.population $(DATA)/train $(DATA)/test \
		--template average-19y -o SkullImplantLib/resources/population.npz --brows visible-human-male visible-human-female-ct
	$(PYTHON) -m SkullImplantLib.training.population $(DATA)/train \
		--template average-19y -o $(TABLES)/population.npz --brows visible-human-male

weights: setup  ## the network's weights: the tables', which know no test skull, and from them the shipped ones, into training/ (2 hours)
	.venv/bin/skull-implant train $(DATA)/train -o training/fine $(RECIPE) --population $(TABLES)/population.npz \
		--cases-per-skull 14 --iterations 5000 --provenance "$(SOURCES)"
	.venv/bin/skull-implant train $(DATA)/train $(DATA)/test -o training/shipped $(RECIPE) --validation-share 0 \
		--cases-per-skull 7 --iterations 1000 --learning-rate 5e-4 --start training/fine/weights.npz --provenance "$(MORE_SOURCES)"

benchmark: setup  ## the committed tables of Testing/Benchmarks, made anew (needs the real skulls)
	for model in $(MODELS); do \
		.venv/bin/skull-implant evaluate --suite $(DATA)/test --model $$model --pictures \
			--population $(TABLES)/population.npz -o $(TABLES)/$$(basename $$model .npz) || exit 1; done
	.venv/bin/skull-implant benchmark engine --threads 2

leave-one-out: setup  ## the table of each CT skull with all others known, itself left out
	.venv/bin/skull-implant evaluate --suite $(DATA)/train $(DATA)/test --skulls $(CT_SKULLS) \
		--model prior -o Testing/Benchmarks/leave-one-out/prior

ablation: setup  ## the table of what each input of the network is worth (2 hours)
	$(PYTHON) Testing/Benchmarks/ablation.py $(DATA)/train $(DATA)/test -o Testing/Benchmarks/ablation --jobs 2

fit: setup  ## how implants fit, measured from outside: 24 cases at 5 clearances (2 hours; needs the real skulls)
	$(PYTHON) $(FIT)/judge.py --data $(DATA)/test --run $$(git describe --always --dirty) \
		--before $(FIT)/before/fit.json -o $(FIT) --pictures $(FIT)/pictures

superres: setup  ## weights for super-resolution, into training/superres (an hour and a half; needs the real skulls)
	.venv/bin/skull-implant train $(DATA)/train -o training/superres --network superres --resume \
		--leave-out average-19y --threads 1 --iterations 5000 --learning-rate 2e-3 --provenance "$(SOURCES)"

organs: setup  ## weights for organs, learnt on the procedural thorax, into training/organs-* (an hour; goes on where it stopped)
	$(PYTHON) -m SkullImplantLib.training.train_organs segmentation -o training/organs-segmentation
	$(PYTHON) -m SkullImplantLib.training.train_organs superres -o training/organs-superres

needs: setup  ## what designs take in memory beside what is foreseen; rows that are there are kept (needs 9 GB)
	$(PYTHON) $(PAPERS)/needs/needs.py -o $(PAPERS)/needs

tables: setup  ## the papers' tables on this machine's processor; rows that are there are kept (needs the real skulls)
	$(PYTHON) $(PAPERS)/superres/superres_table.py $(DATA) $(RESOURCES)/superres.npz
	$(PYTHON) $(PAPERS)/published.py $(DATA)/train $(DATA)/test -o $(PAPERS)/published \
		--work build/published --rows ch1-64 ch1-128
	PYTHONPATH=$(PAPERS) $(PYTHON) $(PAPERS)/superres/after_completion.py $(DATA)/test \
		build/published/ch1-64.npz build/published/ch1-128.npz
	.venv/bin/skull-implant benchmark memory -o $(PAPERS)/memory --threads 1
	$(PYTHON) $(PAPERS)/organs/organ_table.py -o $(PAPERS)/organs \
		--real $(DATA)/organs/aorta-ct.nii.gz $(DATA)/organs/aorta-label.nii.gz 1 \
		--real $(DATA)/organs/thorax-slab-ct.nii.gz $(DATA)/organs/thorax-slab-labels.nii.gz 52
	$(PYTHON) $(PAPERS)/organs/organ_memory.py -o $(PAPERS)/organs
	$(PYTHON) $(PAPERS)/papers_report.py

minkowski: setup  ## build and install MinkowskiEngine (CPU), the optional second engine
	@sh .ci/install-minkowski

clean:  ## remove what was made, but not the trained weights
	rm -rf .venv build dist demo-output .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
