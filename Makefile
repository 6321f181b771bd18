# Every command of the project; `make` lists them.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# Python 3.11 to make the environments with.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
# cpu: a small build of torch. cuda: the build with CUDA, several gigabytes.
TORCH ?= cpu
# Processes that share the tests (0: pytest alone, one test after the other), and further options of pytest.
WORKERS ?= 0
PYTEST ?=
# A folder of your own documents for `make demo`.
DOCS ?=

# Where it is set, every process compiles all that it imports anew.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
UV := $(BIN)/uv
INSTALL := $(UV) pip install --quiet --link-mode copy --build-constraints constraints.txt
ifdef PIP_FIND_LINKS
INSTALL += --find-links $(PIP_FIND_LINKS)
else ifeq ($(TORCH),cpu)
TORCH_BACKEND := --torch-backend cpu
endif

PACKAGES := libs/contracts libs/runtime[otlp,postgres] libs/client[cli] services/ingestion services/embedding \
	services/retrieval services/inference services/feedback services/evaluation services/retraining[service] infra/nats infra/feast infra/demo[build] infra/edge infra/local
MODEL_PACKAGES := infra/triton services/retraining[recipes]
PROJECTS := $(wildcard libs/*/pyproject.toml services/*/pyproject.toml infra/*/pyproject.toml) pyproject.toml

.PHONY: help
help: ## List the commands
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: setup ## Start everything, ingest the demo documents (DOCS=folder: yours), ask five questions
	@$(BIN)/python -m gyre_local demo $(if $(DOCS),--docs "$(DOCS)")

.PHONY: loop
loop: setup ## Show judgements becoming models: promoted, refused, rolled back (DATA=folder: FeedbackQA; KEEP=1)
	@$(BIN)/python -m gyre_local loop $(if $(DATA),--data "$(DATA)") $(if $(KEEP),--keep)

.PHONY: test
test: setup var/models/all-minilm-l6-v2 ## Run every test
	$(BIN)/python -m pytest --numprocesses $(WORKERS) $(PYTEST)

.PHONY: chaos
chaos: setup ## Kill at random for SECONDS (default 1800), stop and pause; check that nothing was lost
	GYRE_CHAOS_SECONDS=$(or $(SECONDS),1800) $(BIN)/python -m pytest -s tests/chaos/test_chaos.py tests/chaos/test_outages.py

.PHONY: check
check: setup ## Format, lint, types, import rules, protos: lint, breaking changes, generated code
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/buf lint proto
	$(BIN)/buf breaking proto --against '.git#branch=main,subdir=proto'
	$(BIN)/python proto/generate.py --check

.PHONY: up down status logs
up: setup ## Start the platform in the background
	@$(BIN)/python -m gyre_local up
down: ## Stop the platform; what was stored stays
	@$(BIN)/python -m gyre_local down
status: ## Show services, versions, lag per consumer, dead letters
	@$(BIN)/python -m gyre_local status && $(BIN)/gyre status
logs: ## Show the last lines of every log
	@$(BIN)/python -m gyre_local logs

.PHONY: mlflow
mlflow: setup ## Open the book of experiments (evaluation runs) on http://127.0.0.1:5000; PORT=other
	$(BIN)/mlflow ui --backend-store-uri $(or $(MLFLOW),sqlite:///var/mlflow/mlflow.db) --host 127.0.0.1 --port $(or $(PORT),5000)

.PHONY: bench
bench: setup ## Measure speed and memory against peers; takes a while
	$(BIN)/python -m tests.load

.PHONY: gpu-smoke
gpu-smoke: setup ## Ask a model server each line of the contract: ADDRESS, MODEL, METRICS, or IMAGE, ENGINE, MODEL_DIR
	@$(BIN)/python -m infra.triton.smoke $(if $(ADDRESS),--address $(ADDRESS)) $(if $(MODEL),--model $(MODEL)) \
		$(if $(METRICS),--metrics $(METRICS)) $(if $(ADAPTER),--adapter $(ADAPTER)) $(if $(FLOOD),--flood $(FLOOD)) \
		$(if $(IMAGE),--image $(IMAGE)) $(if $(ENGINE),--engine $(ENGINE)) $(if $(MODEL_DIR),--model-dir $(MODEL_DIR))

.PHONY: proto
proto: setup ## Write libs/contracts from proto/
	$(BIN)/python proto/generate.py

.PHONY: format
format: setup ## Format and mend what can be mended
	$(BIN)/ruff format . && $(BIN)/ruff check --fix .

.PHONY: reader
reader: setup var/models/all-minilm-l6-v2 ## Train the small reference model from the text in DATA=folder; goes on where it stopped
	@test -n "$(DATA)" || { echo "Say where the text is: make reader DATA=folder (it holds lm/ and dev/)"; exit 2; }
	.venv-models/bin/python -m gyre_retraining.recipes.reader train --data "$(DATA)" --work var/retraining/gyre-reader \
		--encoder var/models/all-minilm-l6-v2 --out infra/triton/checkpoints/gyre-reader

.PHONY: clean
clean: ## Stop the platform and forget everything that was stored
	@-$(BIN)/python -m gyre_local down
	rm -rf var

.PHONY: setup
setup: .venv/.ready .venv-models/.ready ## Make both environments (services; model server)

# The packaged embedding model as a Hugging Face directory.
var/models/all-minilm-l6-v2: | .venv-models/.ready
	@.venv-models/bin/python -m gyre_models minilm --output $@

$(UV): constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' \
		|| { echo "Python 3.11 is needed; say where it is: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt uv
	@touch $(UV)

.venv/.ready: $(UV) constraints.txt $(PROJECTS)
	@echo "Installing the services into .venv ..."
	$(INSTALL) --constraints constraints.txt --python $(BIN)/python --group dev $(addprefix -e ,$(PACKAGES))
	@touch $@

.venv-models/.ready: $(UV) constraints.txt $(PROJECTS)
	@echo "Installing the model server into .venv-models (torch: $(TORCH)) ..."
	@test -x .venv-models/bin/python || $(UV) venv --quiet --python $(BIN)/python .venv-models
	@# Triton's Python backend needs numpy 1, which the group `models` pins; all else is shared.
	@grep -v '^numpy==' constraints.txt > .venv-models/constraints.txt
	$(INSTALL) --constraints .venv-models/constraints.txt --python .venv-models/bin/python $(TORCH_BACKEND) \
		--group models $(addprefix -e ,$(MODEL_PACKAGES))
	$(INSTALL) --constraints .venv-models/constraints.txt --python .venv-models/bin/python --no-deps \
		--group models-alone
	@touch $@
