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

.PHONY: help setup run serve test test-go test-docker test-cluster images check real-data bench-serve clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

.tools/bin/uv:
	@$(PYTHON) -m venv .tools && .tools/bin/pip install --quiet --disable-pip-version-check uv

.venv/ready: pyproject.toml uv.lock | $(filter .tools/bin/uv,$(UV))
	@$(UV) sync --locked --quiet
	@touch $@

setup: .venv/ready ## create the environment from uv.lock

run: setup ## simulate, validate, split, train, export, evaluate, report, register; print the verdict
	@PATH="$(CURDIR)/$(BIN):$$PATH"; began=$$(mktemp); dvc repro --quiet; code=$$?; \
	  if [ $$code -eq 0 ] || [ $(MASTER) -nt $$began ]; then dwcp summary; \
	  else echo "stopped before a verdict; reports of an earlier run are out of date" >&2; fi; \
	  rm -f $$began; exit $$code

serve: setup ## serve the registry on http://localhost:8501 and gRPC port 8500
	@$(BIN)/dwcp serve models

test: setup test-go ## all tests that need no Docker and no cluster
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
	@PATH="$(CURDIR)/$(BIN):$$PATH" DWCP_SERVE_IMAGE=dwcp-serve DWCP_IMAGES=build/local-images.json \
	  pytest tests/serving/test_serving_image.py tests/docker

test-cluster: images ## test Kubeflow, manifests and rollouts on the cluster that KUBECONFIG names
	@test -n "$$KUBECONFIG" || { echo "KUBECONFIG names no cluster" >&2; exit 2; }
	@PATH="$(CURDIR)/$(BIN):$$PATH" pytest tests/cluster

bench-serve: setup ## speed of the server beside its bounds and peers
	@$(BIN)/python benchmarks/serve.py

check: setup ## style, types, import rules, spelling, Dockerfiles
	@PATH="$(CURDIR)/$(BIN):$$PATH"; set -e; \
	  ruff format --check --quiet . ; ruff check --quiet . ; mypy ; lint-imports ; codespell ; \
	  hadolint Dockerfile.*

real-data: setup ## real measurements in $(SHARED)/data through the same path, whatever the verdict
	@PATH="$(CURDIR)/$(BIN):$$PATH" examples/real_data.sh "$(SHARED)/data" build/real

clean: ## remove what was built, but not the registry
	rm -rf build artifacts reports data/raw data/fresh data/splits .mypy_cache .ruff_cache .pytest_cache
