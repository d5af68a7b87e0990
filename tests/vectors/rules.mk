# The conformance vectors in C, the parity of the bindings, and what the pages of docs/languages show.

vectors_build := $(BUILD_DIR)/vectors
vectors_flags := -std=c11 -D_GNU_SOURCE -O1 -g -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror -Iinclude -Ibindings/c
vectors_link := -L$(abspath $(LIB_DIR)) -llarder -Wl,-rpath,$(abspath $(LIB_DIR))

# Compiles and runs what docs/languages/<page>.md shows; each language's tests call it for their page.
snippets = LIB_DIR="$(abspath $(LIB_DIR))" CC="$(CC)" CXX="$(CXX)" GO="$(GO)" $(PYTHON) tests/vectors/snippets.py $(1)

.PHONY: vectors parity

vectors: need-cc build parity ## the conformance vectors from C, plain and under the sanitizers, and which language has which function
	@mkdir -p $(vectors_build)
	$(CC) $(vectors_flags) bindings/c/tests/vectors.c -o $(vectors_build)/c $(vectors_link)
	$(vectors_build)/c tests/vectors/vectors.jsonl
	$(CC) $(vectors_flags) -fsanitize=address,undefined -fno-sanitize-recover=all bindings/c/tests/vectors.c -o $(vectors_build)/c-asan $(vectors_link)
	$(vectors_build)/c-asan tests/vectors/vectors.jsonl
	$(call snippets,c bindings/c/README.md:c)

parity: ## whether every binding has every function of the header, or says why not
	@if ! command -v $(PYTHON) >/dev/null; then \
	  echo "SKIP: parity: $(PYTHON) is not installed (apt-get install python3)"; exit $${LARDER_FORBID_SKIP:-0}; fi; \
	$(PYTHON) tests/vectors/parity.py --self-test && $(PYTHON) tests/vectors/parity.py
