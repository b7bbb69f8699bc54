# Developer commands. `make help` lists them.

SHELL := /bin/bash
GO    ?= go
FUZZTIME ?= 1m
SQLC  := $(GO) tool -modfile=tools/go.mod sqlc
LINT  := $(GO) tool -modfile=tools/lint/go.mod golangci-lint

.PHONY: help
help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.PHONY: generate
generate: ## write all generated code: the sqlc wrappers, then what absurdgen makes
	$(GO) generate ./...

.PHONY: check
check: ## everything that needs no database: generated code is current, modules tidy, vet, lint, cross-builds
	@test -z "$$(gofmt -l .)" || { echo 'not gofmt-ed (run gofmt -w .):'; gofmt -l .; exit 1; }
	$(GO) mod tidy -diff
	$(SQLC) diff
	$(GO) run ./cmd/absurdgen -check ./...
	$(GO) vet ./...
	$(LINT) run ./...
	GOOS=darwin GOARCH=arm64 $(GO) vet ./...
	GOOS=windows GOARCH=amd64 $(GO) vet ./...

.PHONY: test
test: ## run all tests, as the README says
	$(GO) test ./...

.PHONY: race
race: ## run all tests with the race detector
	$(GO) test -race ./...

.PHONY: versions
versions: ## run the tests of the database on partitioned queues, and on PostgreSQL 14 to 18 (downloaded)
	ABSURD_TEST_PARTITIONED=default,children $(GO) test -count=1 ./tests/runtime
	.ci/versions 14 15 16 17 18

.PHONY: soak
soak: fuzz ## fuzz, and run every property at full size; the output is kept in docs/soak.txt
	ABSURD_TEST_PARTITIONED=children $(GO) test -count=1 ./tests/runtime
	set -o pipefail; ABSURD_SOAK=1 CONTRACT_SOAK=2m $(GO) test -count=1 -timeout 3h -v ./... 2>&1 \
		| grep -E '^(ok|FAIL|---|    --- FAIL|panic)' | tee docs/soak.txt

.PHONY: fuzz
fuzz: ## fuzz directives, the lock and the codecs, FUZZTIME each (default 1m)
	$(GO) test -run '^$$' -fuzz '^FuzzParse$$' -fuzztime $(FUZZTIME) ./absurdgen/internal/directive
	$(GO) test -run '^$$' -fuzz '^FuzzParse$$' -fuzztime $(FUZZTIME) ./absurdgen/internal/lock
	$(GO) test -run '^$$' -fuzz '^FuzzDecode$$' -fuzztime $(FUZZTIME) ./workflow/codec/internal/codectest
	$(GO) test -run '^$$' -fuzz '^FuzzAppend$$' -fuzztime $(FUZZTIME) ./workflow/codec/internal/codectest

.PHONY: bench
bench: ## measure, twenty minutes; see docs/performance.md. make bench SCALE=0.3 is shorter
	$(GO) run ./tests/bench -scale $(or $(SCALE),1)
