# Everything that is done to Crier is a target here; `make` alone lists them. All but `vuln` need nothing
# but Go: no network beyond the Go module proxy, no credentials, no containers.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
GO       ?= go
GOLANGCI ?= $(GO) tool -modfile=tools.mod golangci-lint

# What a run can change: make test GOTESTFLAGS=-race, make crash ROUNDS=2000, make fuzz FUZZTIME=10m. Fuzzing counts tries
# unless told a time: up to Go 1.26 a time that runs out may be reported as a failure (golang/go#75804).
GOTESTFLAGS ?=
ROUNDS      ?= 60
SEEDS       ?= 200
FUZZTIME    ?= 10000x
IMAGES      ?= 2000
BENCHCOUNT  ?= 3
BENCHQUEUED ?= 1000000
PEERS       ?=

# Files that tests write and that are committed: the OpenAPI document.
GENERATED := internal/api/openapi.yaml

.PHONY: help build run demo test race zones short fuzz e2e crash sim overload faults lint fmt fmt-check generate verify cover bench bench-growth bench-peers vuln check clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

build: ## make bin/crier, one static file
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/crier ./cmd/crier

run: build ## try it: serve with platforms in miniature; nothing leaves the machine
	bin/crier demo

demo: run ## the same

test: ## every test (GOTESTFLAGS=-race adds the race detector)
	$(GO) test $(GOTESTFLAGS) ./...

race: ## every test with the race detector
	$(MAKE) test GOTESTFLAGS=-race

zones: ## the rules of recurrence in every zone; under the race detector they play every tenth
	$(GO) test ./internal/recurrence

short: ## the tests that take no time
	$(GO) test -short ./...

fuzz: ## each fuzz target FUZZTIME (10000x) times
	@grep -rHoE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' adapters cmd internal scheduler store | sort \
	| while IFS=: read -r file func; do \
		echo "$$(dirname "$$file") $${func#func }"; \
		$(GO) test "./$$(dirname "$$file")" -run '^$$' -fuzz "^$${func#func }\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x </dev/null; \
	done

e2e: ## the whole daemon against the platforms in miniature
	$(GO) test -count=1 $(GOTESTFLAGS) ./internal/app/... ./cmd/...

crash: ## kill the daemon ROUNDS (60) times amid its work and count what the platforms saw
	@grep -rq '^func TestCrashLoop(' internal/app || { echo 'internal/app has no TestCrashLoop' >&2; exit 1; }
	CRIER_CRASH_ROUNDS=$(ROUNDS) $(GO) test ./internal/app -run '^TestCrashLoop$$' -count=1 -timeout 0 -v

sim: ## play SEEDS (200) seeds of days in which everything goes wrong
	@grep -rq '^func TestSimulation(' internal/app || { echo 'internal/app has no TestSimulation' >&2; exit 1; }
	GOGC=400 CRIER_SIM_SEEDS=$(SEEDS) $(GO) test ./internal/app -run '^TestSimulation$$' -count=1 -timeout 60m -v

overload: ## the tests of overload at full size: 1,000 clients, 10,000 series, 100,000 files, a lane of 50,000
	CRIER_OVERLOAD=full $(GO) test ./internal/app -count=1 -timeout 60m -v \
		-run '^(TestManyClientsAtOnceDelayNoDuePost|TestHundredsMayWaitForTheirPosts|TestALongLaneDelaysNoOther|TestManySeriesDelayNoDuePost|TestManyFilesAreListedPageByPage|TestSlow.*)$$'

faults: ## every fault of the disk at every call of every write, and IMAGES (2000) files that a lost power leaves
	CRIER_FAULTS=all CRIER_POWERLOSS_IMAGES=$(IMAGES) $(GO) test ./store/bolt -count=1 -timeout 60m -v -run 'Fault|LostPower|CommitInDoubt'

lint: ## linters, and a planted bad package that they must catch
	$(GOLANGCI) run ./...
	@dir=internal/archtest/testdata/planted; \
	diff "$$dir/want.txt" <($(GOLANGCI) run --issues-exit-code=0 --show-stats=false --output.text.path=stdout \
		--output.text.print-issued-lines=false --output.text.colors=false ./$$dir/... 2>/dev/null \
		| sed -nE 's#^internal/archtest/testdata/planted/([a-z/_]+\.go):[0-9]+:[0-9]+: .*\(([a-z]+)\)$$#\1 \2#p' | sort -u) \
	|| { echo 'lint: the planted mistakes are not caught as expected' >&2; exit 1; }

fmt: ## format the code
	$(GOLANGCI) fmt ./...

fmt-check: ## fail when the code is not formatted
	@$(GOLANGCI) fmt --diff ./... || { echo 'not formatted: make fmt' >&2; exit 1; }

generate: ## write the generated files anew
	$(GO) test ./internal/api -run '^TestTheCommittedDocumentIsCurrent$$' -count=1 -update

verify: generate ## fail when a generated file or go.mod is not what the code says
	git diff --exit-code -- $(GENERATED)
	$(GO) mod tidy -diff
	$(GO) mod verify

cover: ## coverage over all packages, as coverage.html
	$(GO) test -coverpkg=./... -coverprofile=coverage.out ./...
	$(GO) tool cover -html=coverage.out -o coverage.html
	$(GO) tool cover -func=coverage.out | tail -n 1

bench: ## how fast and how light, as one table, BENCHCOUNT (3) rounds of each burst; ten minutes of a quiet machine
	@mkdir -p bin
	@: >bin/bench.txt
	@# In turns: what is compared with the bare loop has seen the same minutes of the disk.
	for round in $$(seq $(BENCHCOUNT)); do \
		$(GO) test ./store/bolt -run '^$$' -bench 'Due|OneLane' -benchtime 3x -queued 0 -timeout 60m | tee -a bin/bench.txt; \
		CRIER_BENCH_QUEUED=0 $(GO) test ./scheduler -run '^$$' -bench 'Burst/=10000$$/=0$$' -benchtime 3x -timeout 60m | tee -a bin/bench.txt; \
	done
	CRIER_BENCH_QUEUED=$(BENCHQUEUED) $(GO) test -p 1 ./scheduler -run '^$$' -bench Burst -benchtime $(BENCHCOUNT)x -timeout 60m | tee -a bin/bench.txt
	$(GO) test -p 1 ./store/bolt -run '^$$' -bench Open -benchtime 5x -queued $(BENCHQUEUED) -timeout 60m | tee -a bin/bench.txt
	CRIER_BENCH_QUEUED=$(BENCHQUEUED) $(GO) test -p 1 ./internal/app -run '^$$' -bench 'Ready|Punctual|Bulk' -benchtime 2x -timeout 60m | tee -a bin/bench.txt
	CRIER_BENCH_QUEUED=$(BENCHQUEUED) $(GO) test -p 1 ./internal/app -run '^$$' -bench REST -benchtime 2000x -timeout 60m | tee -a bin/bench.txt
	@echo; awk -f bench/table.awk bin/bench.txt

bench-growth: ## the burst on 1 to 10,000 lanes, and on top of 1,000 to BENCHQUEUED (1,000,000) queued; five minutes
	CRIER_BENCH_QUEUED=$(BENCHQUEUED) $(GO) test -p 1 ./scheduler -run '^$$' -bench Growth -benchtime $(BENCHCOUNT)x -timeout 60m

bench-peers: ## the same burst beside River and asynq; needs PostgreSQL and Redis (bench/run.sh --install)
	bench/run.sh $(PEERS)

vuln: ## known vulnerabilities in what is linked; needs the network
	$(GO) run golang.org/x/vuln/cmd/govulncheck@v1.8.0 ./...

check: fmt-check lint race zones sim crash verify ## what .ci/run runs, fuzzing aside

clean: ## remove what the targets above made
	rm -rf bin coverage.out coverage.html
