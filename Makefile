# Larder's targets: `make` alone lists them, `make demo` shows the store, `make test` runs every test.
#
# Parts of the tree bring their own targets in a rules.mk that is included below; a target with a
# "##" sentence behind it appears in the list. The parts of `make test` are named in TEST_PARTS, in
# the order in which they run; tests/run runs them, counts and times them.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

CARGO ?= cargo
GO ?= go
PYTHON ?= python3
CXX ?= c++
# make's own default is "cc" already; named here because the examples and tests build with it.
CC ?= cc

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | sed -n 1p)
ABI_VERSION := $(shell sed -n 's/^.define LARDER_ABI_VERSION \([0-9]*\).*/\1/p' include/larder.h)
CARGO_TARGET_DIR ?= target
# REMOTE=1: the library that opens servers too (docs/targets.md), in a target directory of its own.
ifeq ($(REMOTE),)
LIB_DIR := $(CARGO_TARGET_DIR)/release
else
LIB_DIR := $(CARGO_TARGET_DIR)/remote/release
lib_features := --features remote --target-dir $(CARGO_TARGET_DIR)/remote
endif
BUILD_DIR := build

# A directory for `make demo`: every file below it is stored. By default this repository.
DIR ?= .

MIRI_TOOLCHAIN ?= nightly
# Miri interprets, a thousand times slower: the modules with unsafe code, and of the index those tests that end within
# a minute. One test of the epochs counts what gets done in 400 ms, which is nothing there.
MIRI_TESTS ?= epoch::tests storage::sim hashes_at_both_ends several_stripes_are an_empty_index a_stripe_refuses a_guard_of_other \
  --skip readers_of_a_swapped_box

go_modules := $(patsubst %/go.mod,%,$(wildcard bindings/*/go.mod examples/*/go.mod tests/*/go.mod benches/*/*/go.mod))

TEST_PARTS := harness-test lint rust-test mutants-named c-test c-static-libs c-test-asan kernel-test fuzz-replay c-examples vectors go-test go-vendor-test cpp-test python-test node-test java-test install-test kept-test deb-test reference-test docs-test demo program-test inout-test server-test server-clients targets-test c-test-valgrind models miri

.PHONY: help build demo test measure harness-test lint rust-test go-test go-vendor-test bench models miri header clean
.PHONY: need-rust need-go need-cc

help:
	@echo "Larder $(VERSION). Targets:"
	@sed -n 's/^\([a-z][a-z-]*\):.*## *\(.*\)$$/\1\t\2/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r target says; do printf '  %-16s %s\n' "$$target" "$$says"; done

demo: need-rust need-go need-cc ## store this repository (or DIR=/some/dir) from C, change it from Go, check it from Python, kill a writer
	@MAKE="$(MAKE)" CC="$(CC)" GO="$(GO)" PYTHON="$(PYTHON)" bash examples/demo.sh "$(DIR)"

test: ## every test there is, with a table at the end (LARDER_FORBID_SKIP=1: a skip is a failure)
	@MAKE="$(MAKE)" bash tests/run $(TEST_PARTS)

build: need-rust ## the shared and the static library, into target/release (REMOTE=1: that opens servers too, target/remote/release)
	$(CARGO) build --release --locked $(lib_features)
	@ln -sf liblarder.so $(LIB_DIR)/liblarder.so.$(ABI_VERSION)
	$(if $(REMOTE),,@$(MAKE) --no-print-directory pc)

harness-test: ## whether the runner of these tests counts and refuses as it should
	@bash tests/run_test

lint: need-rust need-go ## formatting, clippy and go vet
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets --locked -- -D warnings
	@$(MAKE) --no-print-directory build
	@set -e; for module in $(go_modules); do \
	  echo "$(GO) vet ./... (in $$module)"; (cd $$module && $(GO) vet ./...); \
	  unformatted=$$(cd $$module && gofmt -l .); \
	  if [ -n "$$unformatted" ]; then echo "gofmt: $$unformatted (in $$module)"; exit 1; fi; done

# A test says what it could not try in its output, which cargo hides when it passes: shown, and all but that left out.
rust-test: need-rust ## the Rust tests: modules, integration, header, tidy
	@set -o pipefail; $(CARGO) test --locked --no-fail-fast -- --show-output 2>&1 | awk '/^successes:$$/ { hidden = 1 } \
	  /^(failures:|test result: .*)$$/ { hidden = 0 } !hidden || /^SKIP/ { print; fflush() }'

measure: need-rust ## what the Rust tests measure instead of testing: minutes, gigabytes
	$(CARGO) test --release --locked --lib -- --ignored --nocapture --test-threads=1

# Twice: the race detector hides what the tests of allocations look for. The second run has cgo's costly pointer checks.
go-test: need-go need-cc build ## the Go binding's tests, plain and under the race detector with cgo's pointer checks
	@set -e; for module in $(go_modules); do \
	  echo "go test (in $$module)"; (cd $$module && $(GO) test -count=1 -v ./...); \
	  echo "go test -race (in $$module)"; (cd $$module && GOEXPERIMENT=cgocheck2 $(GO) test -race -count=1 -v ./...); done
	cd bindings/go && $(GO) test -tags larder_static -count=1 .

go-vendor-test: need-go need-cc build ## whether the Go package works vendored in another module, shared and static
	@GO="$(GO)" bindings/go/vendored.sh $(abspath $(LIB_DIR))
	$(call snippets,go)

miri: need-rust ## the modules with unsafe code, interpreted by Miri
	@if ! $(CARGO) +$(MIRI_TOOLCHAIN) miri --version >/dev/null 2>&1; then \
	  echo "SKIP: miri: not installed (rustup toolchain install $(MIRI_TOOLCHAIN) --profile minimal --component miri,rust-src)"; exit $${LARDER_FORBID_SKIP:-0}; fi; \
	MIRIFLAGS="-Zmiri-permissive-provenance" CARGO_TARGET_DIR=$(abspath $(CARGO_TARGET_DIR))/miri $(CARGO) +$(MIRI_TOOLCHAIN) miri test --locked --lib -- $(MIRI_TESTS)

bench: need-rust need-go need-cc ## rates next to a hash map, in Rust, C, Go and Python, and instructions per operation: minutes
	$(CARGO) bench --locked --bench rates
	benches/languages/run
	benches/languages/ways/run
	benches/languages/costs/run
	benches/instructions

models: need-rust ## every interleaving of a few threads in the index and the epochs, under loom
	RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=$(abspath $(CARGO_TARGET_DIR))/loom $(CARGO) test --release --locked --lib models

header: need-rust ## write include/larder.h anew from src/ffi, and all that is made from it (tests compare them)
	LARDER_BLESS=1 $(CARGO) test --locked --test abi -- header library api
	cp include/larder.h bindings/go/larder.h
	@$(MAKE) --no-print-directory reference
	LARDER_BLESS=1 $(PYTHON) tests/kept/check.py statuses

clean: ## everything that was built
	$(CARGO) clean
	rm -rf $(BUILD_DIR)
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

need-rust:
	@command -v $(CARGO) >/dev/null || { echo "cargo is missing: install Rust from https://rustup.rs"; exit 1; }

need-go:
	@command -v $(GO) >/dev/null || { echo "go is missing: install Go from https://go.dev/dl or your package manager"; exit 1; }

need-cc:
	@command -v $(CC) >/dev/null || { echo "$(CC) is missing: install a C compiler (apt-get install gcc)"; exit 1; }

# Targets of other parts of the tree: installing, the C tests, the bindings and, where they are there, benchmarks, torture and fuzzing.
include packaging/rules.mk $(sort $(wildcard tests/*/rules.mk bindings/*/rules.mk bench/rules.mk benches/rules.mk torture/rules.mk fuzz/rules.mk))
