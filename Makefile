# Gatehouse. `make help` lists what there is.
.DELETE_ON_ERROR:
.SUFFIXES:

# Everything that is downloaded or built for more than one run goes here.
CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/gatehouse
BIN   := bin/gatehouse
LINT  := $(CACHE)/bin/golangci-lint
RUN   ?= .
GOFILES := $(shell find core gate review testenv tools -type f ! -name '*_test.go' 2>/dev/null)

.PHONY: help
help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile

.PHONY: demo
demo: setup build tools ## the whole story on a real module: push, test in VMs, review, merge
	@$(BIN) demo

.PHONY: test
test: setup-test lint unit e2e ## set-up, lint, unit tests with -race, end-to-end tests with real VMs

.PHONY: up
up: setup build tools ## start an empty Gatehouse for real use
	@$(BIN) up

.PHONY: build
build: bin/gatehouse bin/gatehouse-agent ## build bin/gatehouse

.PHONY: image
image: setup build tools ## build the test machines' image
	@$(BIN) image build

.PHONY: lint
lint: $(LINT) ## golangci-lint, gofmt, module files
	@go mod tidy -diff
	@$(LINT) run ./...

.PHONY: unit
unit: setup-test ## unit tests with the race detector
	go test -race ./...

.PHONY: e2e
e2e: setup-test build tools ## end-to-end tests: real clients, real VMs
	@scripts/fetch-kernel.sh
	go test -tags e2e -count 1 -p 1 -timeout 25m -run '$(RUN)' ./core/compute/qemu ./testenv/image/... ./review/web ./tools/gatehouse/e2e

.PHONY: bench
bench: setup-test build tools ## benchmarks: machines against their bar, then the hot paths
	@scripts/fetch-kernel.sh
	go test -tags e2e -count 1 -timeout 25m -run '^$$' -bench '$(RUN)' -benchtime 1x ./tools/gatehouse/e2e
	go test -run '^$$' -bench '$(RUN)' -benchmem ./...

.PHONY: setup setup-test tools
setup:
	@scripts/setup
setup-test:
	@scripts/setup test
tools: $(LINT)

bin/gatehouse: go.mod go.sum $(GOFILES)
	@echo "building $@"
	@go build -o $@ ./tools/gatehouse

# The agent runs inside test machines: static, and small.
bin/gatehouse-agent: go.mod go.sum $(GOFILES)
	@echo "building $@"
	@CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o $@ ./tools/gatehouse-agent

# A module of its own keeps the linter's dependencies out of ours.
$(LINT): tools/golangci-lint/go.mod tools/golangci-lint/go.sum
	@echo "building golangci-lint (a few minutes the first time)"
	@mkdir -p $(@D)
	@CGO_ENABLED=0 go build -trimpath -modfile tools/golangci-lint/go.mod -ldflags '-s -w' -o $@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

.PHONY: clean
clean: ## remove what was built here (caches and data stay)
	rm -rf bin
