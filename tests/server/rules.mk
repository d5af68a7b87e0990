# The program and its server. It has a target directory of its own, so that the library of `make build` is never built with
# the program's feature.

program_dir := $(abspath $(CARGO_TARGET_DIR))/program
program_cargo = CARGO_TARGET_DIR=$(program_dir) $(CARGO)
LARDER_PROGRAM := $(program_dir)/release/larder
clients_dir := $(BUILD_DIR)/server-clients

.PHONY: program server-test server-clients server-bench

program: need-rust ## the program larder, into target/program/release
	$(program_cargo) build --release --locked --features program --bin larder

# Replies equal to those of an unmodified redis-server, and what the server promises besides.
server-test: need-rust need-cc build program $(clients_dir)/python/bin/python ## larder serve next to redis-server: the same replies, byte by byte; and its other promises
	$(program_cargo) clippy --locked --features program --bin larder -- -D warnings
	$(program_cargo) test --locked --features program --bin larder
	@if ! command -v redis-server >/dev/null; then \
	  echo "SKIP: server-test: redis-server is not installed (apt-get install redis-server)"; exit $${LARDER_FORBID_SKIP:-0}; fi; \
	set -e; export LARDER_PROGRAM=$(LARDER_PROGRAM) CC="$(CC)" LIB_DIR="$(abspath $(LIB_DIR))"; \
	timeout 120 $(PYTHON) tests/server/behaviour.py; \
	CLIENTS_DIR=$(abspath $(clients_dir)) timeout 120 $(PYTHON) tests/server/operating.py; \
	timeout 60 $(PYTHON) tests/server/differential.py --seconds 15 --seed 20261121; \
	timeout 60 $(PYTHON) tests/server/transcript.py README.md

# The clients come from their registries, in the versions that are named here and in their lock files.
$(clients_dir)/python/bin/python: tests/server/rules.mk
	rm -rf $(clients_dir)/python
	$(PYTHON) -m venv $(clients_dir)/python
	$(clients_dir)/python/bin/pip install --quiet --disable-pip-version-check redis==8.1.0 limits==5.8.0
	@touch $@

$(clients_dir)/node/node_modules: tests/server/clients/node/package.json tests/server/clients/node/package-lock.json
	@mkdir -p $(clients_dir)/node
	cp $^ $(clients_dir)/node
	cd $(clients_dir)/node && npm ci --silent --no-audit --no-fund
	@touch $@

server-clients: need-rust need-go program ## redis-cli, redis-benchmark, redis-py, go-redis, node-redis, ioredis against larder serve
	@for tool in redis-cli redis-benchmark npm; do if ! command -v $$tool >/dev/null; then \
	  echo "SKIP: server-clients: $$tool is not installed (apt-get install redis-tools npm)"; exit $${LARDER_FORBID_SKIP:-0}; fi; done; \
	set -e; $(MAKE) --no-print-directory $(clients_dir)/python/bin/python $(clients_dir)/node/node_modules; \
	cp tests/server/clients/node/*.mjs $(clients_dir)/node; \
	(cd tests/server/clients/go && $(GO) build -o $(abspath $(clients_dir))/go .); \
	LARDER_PROGRAM=$(LARDER_PROGRAM) CLIENTS_DIR=$(abspath $(clients_dir)) timeout 120 $(PYTHON) tests/server/clients.py

server_load := $(abspath $(BUILD_DIR))/server-load

server-bench: need-rust need-cc program ## rates of GET and SET next to redis-server, by redis-benchmark and a cheaper client: ten minutes
	@mkdir -p $(BUILD_DIR) docs/benchmarks
	$(CC) -O2 -Wall -Wextra -Werror -o $(server_load) benches/server/load.c
	LARDER_PROGRAM=$(LARDER_PROGRAM) LARDER_SERVER_LOAD=$(server_load) $(PYTHON) benches/server/rates.py --json docs/benchmarks/server.json
	$(PYTHON) benches/server/draw.py docs/benchmarks/server.json --document docs/server.md
