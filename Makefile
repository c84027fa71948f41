# DWCP models. `make help` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
export DVC_NO_ANALYTICS := 1
export OMP_NUM_THREADS ?= 1
export ORT_DISABLE_TELEMETRY := 1
PYTHON ?= python3
UV := $(shell command -v uv 2>/dev/null || echo .tools/bin/uv)
BIN := .venv/bin
SHARED ?= ../shared
REGISTRY ?= localhost:5000
MASTER := reports/master_training_report.json

.PHONY: help setup run serve test test-go test-docker test-cluster test-admission images mlflow check docs docs-serve lint-workflows real-data backtest backtest-traces behaviour variants bench bench-scale bench-serve clean \
  changed pull push proposal register rollout

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

.tools/bin/uv:
	@$(PYTHON) -m venv .tools && .tools/bin/pip install --quiet --disable-pip-version-check uv

.venv/ready: pyproject.toml uv.lock | $(filter .tools/bin/uv,$(UV))
	@$(UV) sync --locked --quiet
	@touch $@

# Spark, 450 MB, which nothing but `dwcp scale` and its tests needs.
.venv/scale: .venv/ready
	@$(UV) sync --locked --quiet --group scale
	@touch $@

setup: .venv/ready ## create the environment from uv.lock

run: setup ## simulate, validate, split, train, export, evaluate, report, register; print the verdict
	@PATH="$(CURDIR)/$(BIN):$$PATH"; began=$$(mktemp); dvc repro --quiet; code=$$?; \
	  if [ $$code -eq 0 ] || [ $(MASTER) -nt $$began ]; then dwcp summary; \
	  else echo "stopped before a verdict; reports of an earlier run are out of date" >&2; fi; \
	  rm -f $$began; exit $$code

serve: setup ## serve the registry on http://localhost:8501 and gRPC port 8500
	@$(BIN)/dwcp serve models

test: .venv/scale test-go ## all tests that need no Docker and no cluster
	@PATH="$(CURDIR)/$(BIN):$$PATH" pytest -n 2 --dist loadfile --ignore tests/cluster --ignore tests/docker

# Run by its version and not a tool of go.mod, so that the module's users never see it.
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
test-go: setup ## tests of the Go client
	@if ! command -v go >/dev/null; then echo "skipped: the Go client's tests need Go"; exit 0; fi; \
	  cd clients/go && go vet ./... && \
	  if go run $(STATICCHECK) -version >/dev/null 2>&1; then go run $(STATICCHECK) ./...; \
	  else echo "skipped: staticcheck cannot be fetched"; fi && go test ./...

images: setup ## build all container images, push them to REGISTRY, write build/images.json
	@$(BIN)/python tools/images.py build/images.json --registry "$(REGISTRY)"

test-docker: setup ## build the images with Docker and test them
	@$(BIN)/python tools/images.py build/local-images.json
	@PATH="$(CURDIR)/$(BIN):$$PATH" DWCP_SERVE_IMAGE=dwcp-serve DWCP_SAMPLES_IMAGE=dwcp-serve-samples \
	  DWCP_IMAGES=build/local-images.json \
	  pytest tests/serving/test_serving_image.py tests/docker

test-cluster: images ## test Kubeflow, manifests and rollouts on the cluster that KUBECONFIG names
	@test -n "$$KUBECONFIG" || { echo "KUBECONFIG names no cluster" >&2; exit 2; }
	@PATH="$(CURDIR)/$(BIN):$$PATH" pytest tests/cluster

# No version is deployed, so that any folder does for the registry.
test-admission: setup ## test that KUBECONFIG's API server and KServe's webhooks take every overlay
	@kubectl get crd inferenceservices.serving.kserve.io >/dev/null
	@mkdir -p build/no-models/bandwidth_predictor/v1.0
	@PATH="$(CURDIR)/$(BIN):$$PATH" DWCP_MODELS=build/no-models pytest tests/cluster/manifests/test_overlays.py

# Not of the lock file: the server does not go with this project's pyarrow.
mlflow: | $(filter .tools/bin/uv,$(UV)) ## an MLflow server on http://localhost:5000, which keeps its runs in .mlflow/
	@mkdir -p .mlflow && $(UV) tool run --python $(PYTHON) --from mlflow==3.17.2 \
	  mlflow server --port 5000 --workers 1 --backend-store-uri sqlite:///.mlflow/runs.db --artifacts-destination .mlflow/artifacts

backtest: setup ## the models' code on real measurements, into docs/backtest.md
	@$(BIN)/dwcp backtest --out build/backtest --page docs/backtest.md

backtest-traces: setup ## the same on traces of one flow in $(SHARED)/data, which stay there
	@set -e; $(BIN)/python tools/public_data.py --single-flow "$(SHARED)/data" build/traces; \
	  $(BIN)/dwcp backtest bandwidth --by entity --data build/traces/hsdpa_3g_norway.csv.gz \
	    --data build/traces/oboe.csv.gz --data build/traces/fcc_and_hsdpa.csv.gz \
	    --out build/backtest-traces --page docs/backtest-traces.md

behaviour: setup ## how the registered models behave, and five training seeds, into docs/behaviour.md
	@$(BIN)/python benchmarks/behaviour.py --seeds 42 43 44 45 46 --work build/behaviour

variants: setup ## variants of the models beside the default, into docs/variants.md
	@$(BIN)/python benchmarks/variants.py

bench: setup ## speed of stages and models beside bounds and peers, into docs/speed.md; after `make run`
	@$(BIN)/python benchmarks/bench.py

bench-scale: .venv/scale ## speed of Spark and of several training workers, into docs/scale.md and docs/scale-training.json
	@$(BIN)/python benchmarks/scale.py --page docs/scale.md && $(BIN)/python benchmarks/scale_training.py --out docs/scale-training.json

bench-serve: setup ## speed of the server beside its bounds and peers
	@$(BIN)/python benchmarks/serve.py

# Without shellcheck, which not every machine has, so that it says the same on all.
ACTIONLINT_VERSION := v1.7.12
ACTIONLINT := .tools/actionlint-$(ACTIONLINT_VERSION)/actionlint
lint-workflows:
	@if [ -x $(ACTIONLINT) ] || GOBIN="$(CURDIR)/$(dir $(ACTIONLINT))" \
	    go install github.com/rhysd/actionlint/cmd/actionlint@$(ACTIONLINT_VERSION) >/dev/null 2>&1; \
	  then $(ACTIONLINT) -shellcheck= -pyflakes= .github/workflows/*.yml; \
	  else echo "skipped: actionlint, which lints the workflows, needs Go and its module proxy"; fi

check: setup lint-workflows ## style, types, import rules, spelling, Dockerfiles, workflows, documentation
	@PATH="$(CURDIR)/$(BIN):$$PATH"; set -e; \
	  ruff format --check --quiet . ; ruff check --quiet . ; mypy ; lint-imports ; codespell ; \
	  hadolint Dockerfile.* ; python tools/docs.py --check ; $(SITE)

# Not --quiet: it also makes --strict overlook warnings. The variable silences an advertisement.
MKDOCS := NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs
SITE = said=$$($(MKDOCS) build --strict 2>&1) || { echo "$$said" >&2; exit 1; }
docs: setup ## write the generated pages and build the documentation into build/site
	@$(BIN)/python tools/docs.py && { $(SITE); } && echo build/site/index.html

docs-serve: setup ## show the documentation on http://localhost:8000 while you edit it
	@$(MKDOCS) serve --quiet --dev-addr localhost:8000

real-data: setup ## real measurements in $(SHARED)/data through the same path, whatever the verdict
	@PATH="$(CURDIR)/$(BIN):$$PATH" examples/real_data.sh "$(SHARED)/data" build/real

clean: ## remove what was built, but not the registry
	rm -rf build artifacts reports data/raw data/fresh data/splits .mypy_cache .ruff_cache .pytest_cache

# The weekly training around `make run`: .github/workflows/retrain.yml, docs/monitoring.md.
FROM ?= build/retrained
NAMESPACE ?= dwcp-models
RETRAIN = PATH="$(CURDIR)/$(BIN):$$PATH" python tools/retrain.py

changed: setup ## say whether a training would do anything; FORCE=true says yes
	@$(RETRAIN) changed $(if $(filter true,$(FORCE)),--force)

pull: setup ## bring data from DVC_REMOTE and the registered champions from REGISTRY_URI
	@$(RETRAIN) pull

push: setup ## send data and artifacts to the DVC remote that `pull` set up
	@if [ -n "$$DVC_REMOTE" ]; then $(BIN)/dvc push; else echo "DVC_REMOTE is not set: nothing is pushed"; fi

proposal: setup ## write the text of a pull request and the model cards to build/proposal
	@$(RETRAIN) proposal build/proposal

register: setup ## give the models of FROM immutable versions at REGISTRY_URI
	@$(RETRAIN) register "$(FROM)"

rollout: setup ## start a rollout of every version that `register` made
	@$(RETRAIN) rollout "$(NAMESPACE)"
