# Run make without a target to list the targets.

GO ?= go
export CGO_ENABLED ?= 0

TOOL := $(GO) tool -modfile=tools/go.mod
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
PLATFORMS ?= linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64
FUZZTIME ?= 10s
BENCH ?= .
BENCHTIME ?= 1s
COUNT ?= 1
ARGS ?= route "A train leaves at 3 pm at 60 mph. When has it gone 90 miles?"

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: check
check: fmt vet staticcheck docs-check test ## Run all checks that a commit must pass

.PHONY: fmt
fmt: ## Fail if a file is not formatted by gofmt
	@files=$$(gofmt -l .); test -z "$$files" || { echo "not gofmt'd:"; echo "$$files"; exit 1; }

.PHONY: vet
vet: ## Run go vet
	$(GO) vet ./... ./.ci/clients/scripted ./.ci/agents/provider
	$(GO) -C tools vet ./...

.PHONY: staticcheck
staticcheck: ## Run staticcheck, pinned in tools/go.mod
	$(TOOL) staticcheck ./... ./.ci/clients/scripted ./.ci/agents/provider
	$(GO) -C tools tool staticcheck ./...

.PHONY: tidy-check
tidy-check: ## Fail if go mod tidy would change go.mod or go.sum
	$(GO) mod tidy -diff
	$(GO) -C tools mod tidy -diff
	$(GO) mod verify

.PHONY: test
test: ## Run all tests
	$(GO) test ./...

.PHONY: race
race: ## Run all tests with the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race -timeout 30m ./...

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME (10s)
	@GO='$(GO)' FUZZTIME='$(FUZZTIME)' .ci/fuzz

.PHONY: bench
bench: ## Run benchmarks: BENCH=regexp BENCHTIME=1s COUNT=10; compare two outputs with make benchstat
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchtime $(BENCHTIME) -benchmem -count $(COUNT) ./...

.PHONY: bench-old
bench-old: ## Compare benchmarks with an older commit: OLD=COMMIT BENCH=regexp BENCHTIME=1s COUNT=10
	OLD='$(OLD)' BENCH='$(BENCH)' BENCHTIME=$(BENCHTIME) COUNT=$(COUNT) runs/bench-old.sh

.PHONY: speed
speed: ## Measure the gateway beside a bare proxy, LiteLLM and Portkey (needs wrk; WITHOUT=litellm,portkey)
	runs/gateway.sh

.PHONY: benchstat
benchstat: ## Compare benchmark outputs: FILES="old.txt new.txt"
	$(TOOL) benchstat $(FILES)

.PHONY: cover
cover: ## Show test coverage by package and write .cache/cover.out
	@mkdir -p .cache
	$(GO) test -coverprofile .cache/cover.out ./...
	$(GO) tool cover -func .cache/cover.out | tail -1

.PHONY: docs
docs: ## Write the generated documentation
	$(GO) test ./cmd/carrot -run "^Test(CLI|Config|Metrics)?Docs\$$" -count 1 -update

.PHONY: docs-check
docs-check: ## Fail if the generated documentation is stale
	$(GO) test ./cmd/carrot -run "^Test(CLI|Config|Metrics)?Docs\$$" -count 1

.PHONY: site
site: ## Write README.md and docs/ as a site into .cache/site, and fail on a broken link
	$(GO) -C tools run ./site -root .. -out ../.cache/site

.PHONY: build
build: ## Build the program as ./carrot
	$(GO) build -trimpath -pgo=runs/gateway/carrot.pgo -ldflags '$(LDFLAGS)' -o carrot ./cmd/carrot

.PHONY: run
run: ## Run the program: ARGS='route "…"'
	@$(GO) run ./cmd/carrot $(ARGS)

.PHONY: dist
dist: ## Build release archives for PLATFORMS into dist/, with licences, bills of materials and checksums
	@rm -rf dist; mkdir dist
	@set -e; time=$$(git log -1 --format=%ct 2>/dev/null || echo 0); for platform in $(PLATFORMS); do \
	  os=$${platform%/*} arch=$${platform#*/}; name=carrot-$$os-$$arch; \
	  echo "dist/$$name"; \
	  CGO_ENABLED=0 GOOS=$$os GOARCH=$$arch $(GO) build -trimpath -pgo=runs/gateway/carrot.pgo -ldflags '$(LDFLAGS)' -o dist/binary ./cmd/carrot; \
	  $(GO) run ./runs/dist -binary dist/binary -version '$(VERSION)' -time $$time -out dist/$$name; \
	  rm dist/binary; \
	done
	@cd dist; files=$$(ls *.tar.gz *.zip *.cdx.json 2>/dev/null); { sha256sum $$files 2>/dev/null || shasum -a 256 $$files; } >SHA256SUMS

.PHONY: ci
ci: ## Run what continuous integration runs
	.ci/run

.PHONY: clean
clean: ## Remove the files that the other targets made
	rm -rf dist .cache
