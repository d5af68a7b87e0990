# Larder beside other stores: minutes to half an hour, never part of `make test`. docs/benchmarks.md is written here.

# With KEYS, only what it names is run: `make bench-compare KEYS="1000000 10000000" ONLY=open ROUNDS=1`. Without it, the
# three runs below, about half an hour: figures of several parts at one million keys, and how cost grows from 1e4 to 1e7.
KEYS ?=
ROUNDS ?= 3
# A row ends after so many seconds, however much of it is done: what is compared is the rate.
SECONDS_MAX ?= 1.5
ENGINES ?= larder lmdb rocksdb redb fjall sqlite candystore map map-siphash bare
ONLY ?= unsynced large durable open latency
# On the disk that is to be measured: not a tmpfs.
BENCH_DIR ?= $(BUILD_DIR)/bench-compare

compare_results := docs/benchmarks
compare_cargo = LARDER_LIB_DIR="$(abspath $(LIB_DIR))" CARGO_TARGET_DIR="$(abspath $(CARGO_TARGET_DIR))/compare" $(CARGO)
compare := $(CARGO_TARGET_DIR)/compare/release/larder-compare

.PHONY: bench-compare bench-compare-build bench-compare-go bench-compare-render bench-compare-test need-peers

# Each part and key count has a file of its own, so that a part can be run again and the document rendered anew.
bench-compare: bench-compare-build ## Larder beside LMDB, RocksDB, redb, fjall, SQLite, a map: half an hour; KEYS="1000000 10000000" ROUNDS=1 ENGINES= ONLY=durable
	@mkdir -p $(BENCH_DIR)
	@whole=yes; \
	run() { \
	  [ -z "$$4" ] || $(compare) --keys "$$1" --rounds "$$2" --seconds "$$3" --only "$$4" --engines "$(ENGINES)" \
	    --directory $(BENCH_DIR) --results $(compare_results) || whole=no; \
	}; \
	if [ -n "$(KEYS)" ]; then \
	  run "$(KEYS)" $(ROUNDS) $(SECONDS_MAX) "$(ONLY)"; \
	else \
	  run 1000000 $(ROUNDS) $(SECONDS_MAX) "$(ONLY)"; \
	  run "10000 100000" 2 0.5 "$(filter unsynced,$(ONLY))"; \
	  run 10000000 1 $(SECONDS_MAX) "$(filter unsynced open latency,$(ONLY))"; \
	fi; \
	$(compare) render $(compare_results) $(compare_results).md && [ $$whole = yes ]

bench-compare-render: bench-compare-build ## docs/benchmarks.md once more from what was measured
	$(compare) render $(compare_results) $(compare_results).md

bench-compare-build: need-rust need-peers build
	cd benches/compare && $(compare_cargo) build --release --locked

bench-compare-go: need-go need-cc build ## the Go binding beside bbolt, Badger and Pebble: KEYS= ROUNDS=
	@mkdir -p $(BENCH_DIR)
	cd benches/compare-go && $(GO) build -o "$(abspath $(BUILD_DIR))/larder-compare-go" .
	$(BUILD_DIR)/larder-compare-go -seconds $(SECONDS_MAX) -keys "$(firstword $(KEYS) 1000000)" -rounds $(ROUNDS) -directory $(BENCH_DIR) -results $(compare_results)

# Its smoke test runs every part of every engine with ten thousand keys, in less than a minute.
bench-compare-test: need-rust need-peers build ## whether the comparison itself works: lints and a smoke test
	cd benches/compare && $(CARGO) fmt --check
	cd benches/compare && $(compare_cargo) clippy --release --all-targets --locked -- -D warnings
	cd benches/compare && $(compare_cargo) test --release --locked
	cd benches/compare-go && $(GO) vet ./... && test -z "$$(gofmt -l .)" && $(GO) test -count=1 ./...

# An engine whose library is missing is left out, which the program says, the document too, and make fails at the end.
need-peers:
	@for header in lmdb.h rocksdb/c.h sqlite3.h; do [ -e /usr/include/$$header ] || [ -e /usr/local/include/$$header ] \
	  || echo "$$header is missing: apt-get install librocksdb-dev liblmdb-dev libsqlite3-dev"; done
