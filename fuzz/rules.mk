# Fuzzing: bytes that somebody made up, for everything that reads bytes. Included by the Makefile at the top.
#
# T=seconds in all (default 60), SEED=n for the unguided driver, TARGET=name for one target.

fuzz_here := $(dir $(lastword $(MAKEFILE_LIST)))
fuzz_root := $(abspath $(fuzz_here)..)
fuzz_targets = $(or $(TARGET),formats records manifest recovery packed calls requests)
fuzz_built := $(abspath $(CARGO_TARGET_DIR))/fuzz/release/fuzz
fuzz_cargo = cd $(fuzz_root)/fuzz && CARGO_TARGET_DIR=$(abspath $(CARGO_TARGET_DIR))

# Coverage by LLVM's own pass, which every rustc has; the host is named so that build scripts are spared.
fuzz_host = $(shell rustc -vV | sed -n 's/^host: //p')
fuzz_guided = $(abspath $(CARGO_TARGET_DIR))/guided/$(fuzz_host)/release/guided
fuzz_coverage := -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=3 \
	-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
	-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1

.PHONY: fuzz fuzz-unguided fuzz-replay fuzz-build

fuzz-build: need-rust
	@$(fuzz_cargo)/fuzz $(CARGO) build --quiet --release --locked

fuzz-replay: fuzz-build ## every input that was ever kept, once
	@$(fuzz_cargo)/fuzz $(CARGO) clippy --quiet --release --all-targets --locked -- -D warnings
	@cd $(fuzz_root)/fuzz && $(CARGO) fmt --check
	@$(fuzz_built) --replay $(TARGET)

fuzz-unguided: fuzz-build ## made-up inputs without coverage, T seconds in all (SEED=n TARGET=name)
	@$(fuzz_built) --seconds $(or $(T),60) --seed $(or $(SEED),1) $(TARGET)

# What broke something is in fuzz/found. KEEP=1 adds what reached new code to the corpus.
fuzz: fuzz-build ## all fuzz targets under libFuzzer, T seconds in all (TARGET=name, KEEP=1 adds to the corpus)
	@command -v $(or $(CXX),c++) >/dev/null || { echo "SKIP: fuzz: no C++ compiler for libFuzzer (apt-get install g++); make fuzz-unguided needs none"; exit $${LARDER_FORBID_SKIP:-0}; }; \
	set -e; (RUSTFLAGS="$(fuzz_coverage)"; export RUSTFLAGS; $(fuzz_cargo)/guided $(CARGO) build --quiet --release --locked --features guided --bin guided --target $(fuzz_host)); \
	scratch=$$(mktemp -d); trap 'rm -rf "$$scratch"' EXIT; failed=0; count=$$(echo $(fuzz_targets) | wc -w); \
	for target in $(fuzz_targets); do \
	  $(fuzz_built) --unpack $$scratch/$$target $$target; mkdir -p $(fuzz_root)/fuzz/found/$$target $$scratch/least-$$target; \
	  seconds=$$(( $(or $(T),60) / count )); [ $$seconds -gt 0 ] || seconds=1; \
	  if LARDER_FUZZ_TARGET=$$target $(fuzz_guided) -max_total_time=$$seconds -max_len=512 -timeout=20 -seed=$(or $(SEED),0) -print_final_stats=1 \
	    -artifact_prefix=$(fuzz_root)/fuzz/found/$$target/ $$scratch/$$target >$$scratch/log 2>&1; then wrong=0; else \
	    wrong=1; failed=$$((failed + 1)); grep -E -A 3 'panicked|ERROR' $$scratch/log; fi; \
	  echo "torture: fuzz=$$target executions=$$(sed -n 's/^stat::number_of_executed_units: *//p' $$scratch/log) seconds=$$seconds wrong=$$wrong crashed=0 coverage=$$(sed -n 's/.*cov: \([0-9]*\) .*/\1/p' $$scratch/log | tail -n 1)"; \
	  LARDER_FUZZ_TARGET=$$target $(fuzz_guided) -merge=1 -max_len=512 $$scratch/least-$$target $$scratch/$$target >/dev/null 2>&1 || true; \
	  [ -z "$(KEEP)" ] || $(fuzz_built) --pack $$scratch/least-$$target $$target; \
	done; \
	find $(fuzz_root)/fuzz/found -type d -empty -delete 2>/dev/null || true; \
	echo "$$((count - failed)) passed, $$failed failed"; [ $$failed -eq 0 ]
