# The tests with several threads, under the thread sanitizer. Included by the Makefile at the top; alone it works as
# `make -f tests/store/rules.mk tsan`.
#
# The standard library is built with the sanitizer too, or it would know nothing of its locks and channels: that
# needs its source, and a compiler that takes -Zbuild-std. The first build takes minutes. A fence is
# nothing that the sanitizer knows (loom's models check those); everything else is checked as it runs.

CARGO ?= cargo
CARGO_TARGET_DIR ?= target
TSAN_TOOLCHAIN ?= nightly
tsan_host = $(shell rustc +$(TSAN_TOOLCHAIN) -vV | sed -n 's/^host: //p')
tsan_cargo = RUSTFLAGS="-Zsanitizer=thread" CARGO_TARGET_DIR=$(CARGO_TARGET_DIR)/tsan \
	$(CARGO) +$(TSAN_TOOLCHAIN) test -Zbuild-std --target $(tsan_host) --locked

.PHONY: tsan

# First the proof that the sanitizer is on: a test with a race in it must not end well.
tsan: ## the tests with several threads under the thread sanitizer
	@if ! ls "$$(rustc +$(TSAN_TOOLCHAIN) --print sysroot 2>/dev/null)"/lib/rustlib/src/rust/library/std >/dev/null 2>&1; then \
	  echo "SKIP: tsan: not installed (rustup toolchain install $(TSAN_TOOLCHAIN) --profile minimal --component rust-src)"; exit $${LARDER_FORBID_SKIP:-0}; fi; \
	set -e; $(tsan_cargo) --test store --no-run; \
	if LARDER_TEST_RACE=1 $(tsan_cargo) --test store -- --exact threads::a_race_is_found_where_there_is_one >/dev/null 2>&1; then \
	  echo "the sanitizer is not on"; exit 1; fi; \
	$(tsan_cargo) --test store -- threads::; \
	$(tsan_cargo) --lib -- index::tests::threads epoch::
