# Other targets than a directory: the library with them, and what it does over servers.

remote_dir := $(CARGO_TARGET_DIR)/remote
targets_build := $(BUILD_DIR)/targets
remote_lib := $(abspath $(targets_build))/prefix/lib
targets_env = LARDER_PROGRAM=$(LARDER_PROGRAM) LARDER_LIBRARY=$(remote_lib)/liblarder.so

.PHONY: targets-test

# The library that is tested is installed first, below a prefix of its own. Go links the one of `make build` and loads this one.
targets-test: need-rust need-go need-cc build program ## one handle over directories, larder serve, redis-server and a cluster: vectors, faults, slots that move
	$(CARGO) clippy --locked --lib --features remote --target-dir $(remote_dir) -- -D warnings
	$(CARGO) test --locked --features remote --target-dir $(remote_dir) --lib -- ffi:: remote:: options::
	@$(MAKE) --no-print-directory install REMOTE=1 PREFIX=$(abspath $(targets_build))/prefix
	@mkdir -p $(targets_build)
	$(CC) -std=c11 -D_GNU_SOURCE -O1 -g -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror -fsanitize=address,undefined \
	  -fno-sanitize-recover=all -Iinclude -Ibindings/c bindings/c/tests/vectors.c -o $(targets_build)/vectors \
	  -L$(remote_lib) -llarder -Wl,-rpath,$(remote_lib)
	$(targets_env) timeout 300 $(PYTHON) tests/targets/vectors.py $(targets_build)/vectors
	@for program in redis-server redis-cli; do if ! command -v $$program >/dev/null; then \
	  echo "SKIP: targets-test: $$program is not installed (apt-get install redis-server)"; exit $${LARDER_FORBID_SKIP:-0}; fi; done; \
	set -e; export $(targets_env); \
	timeout 300 $(PYTHON) -W ignore::ResourceWarning tests/targets/faults.py; \
	timeout 300 $(PYTHON) -W ignore::ResourceWarning tests/targets/cluster.py; \
	$(PYTHON) -W ignore::ResourceWarning tests/targets/go.py "$(GO)"
