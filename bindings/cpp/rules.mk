# The C++ header: its tests in each standard, the vectors, both under the sanitizers, the example.

cpp_build := $(BUILD_DIR)/cpp
cpp_flags := -O1 -g -pthread -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror -Iinclude -Ibindings/cpp
cpp_link := -L$(abspath $(LIB_DIR)) -llarder -Wl,-rpath,$(abspath $(LIB_DIR))
cpp_sanitize := -fsanitize=address,undefined -fno-sanitize-recover=all

.PHONY: cpp-test

# The newest standard is compiled only: what differs between them is what they accept.
cpp-test: build ## the C++ header's tests and the vectors, as C++17, 20 and 23, and under the sanitizers
	@if ! command -v $(CXX) >/dev/null; then \
	  echo "SKIP: cpp-test: $(CXX) is not installed (apt-get install g++)"; exit $${LARDER_FORBID_SKIP:-0}; fi; \
	set -e; mkdir -p $(cpp_build); cd $(CURDIR); \
	printf '#include "larder.hpp"\n#include "larder.hpp"\nint main() { return 0; }\n' > $(cpp_build)/alone.cpp; \
	for standard in 17 20 23; do for file in $(cpp_build)/alone.cpp bindings/cpp/tests/store.cpp; do \
	  echo "$(CXX) -std=c++$$standard $$file"; $(CXX) -std=c++$$standard $(cpp_flags) -fsyntax-only $$file; done; done; \
	for test in store vectors; do set -x; \
	  $(CXX) -std=c++17 $(cpp_flags) $(cpp_sanitize) bindings/cpp/tests/$$test.cpp -o $(cpp_build)/$$test-asan $(cpp_link); \
	  { set +x; } 2>/dev/null; done; \
	$(CXX) -std=c++20 $(cpp_flags) -O2 bindings/cpp/tests/store.cpp -o $(cpp_build)/store $(cpp_link); \
	$(CXX) -std=c++17 $(cpp_flags) bindings/cpp/examples/tour.cpp -o $(cpp_build)/tour $(cpp_link); \
	$(cpp_build)/store; $(cpp_build)/store-asan; $(cpp_build)/vectors-asan tests/vectors/vectors.jsonl; \
	scratch=$$(mktemp -d); trap 'rm -rf "$$scratch"' EXIT; $(cpp_build)/tour $$scratch/store; \
	$(call snippets,cpp)
