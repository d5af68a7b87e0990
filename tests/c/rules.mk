# Targets for what is written in C: tests, headers, examples. Included by the Makefile at the top; alone it works
# as `make -f tests/c/rules.mk c-test`.
#
# TEST=name runs one subject, or the tests whose name holds the word. LARDER_FORBID_SKIP=1 makes every skip a failure,
# as continuous integration should.

c_here := $(dir $(lastword $(MAKEFILE_LIST)))
c_root := $(abspath $(c_here)../..)

CARGO ?= cargo
CARGO_TARGET_DIR ?= target
LIB_DIR ?= $(CARGO_TARGET_DIR)/release
c_lib := $(abspath $(LIB_DIR))
c_build := $(c_root)/build/c
TEST ?=

# What the archive needs besides what the compiler links by itself. `make c-static-libs` compares it with rustc's word.
STATIC_LIBS ?= -lutil -lrt -lpthread -lm -ldl

c_warnings := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Werror
c_include := -I$(c_root)/include -I$(c_root)/bindings/c -I$(c_build)
c_test_flags := -std=c11 -D_GNU_SOURCE -O1 -g -fno-omit-frame-pointer $(c_warnings) $(c_include) $(CFLAGS)
c_example_flags := -std=c11 -O2 -g $(c_warnings) $(c_include) $(CFLAGS)
c_sanitize := -fsanitize=address,undefined -fno-sanitize-recover=all

c_harness := $(addprefix $(c_here),check.c runner.c)
c_test_sources := $(c_harness) $(addprefix $(c_here),store.c main.c about.c abuse.c basics.c border.c close.c cursor.c errors.c \
	fork.c full_disk.c guest.c kill.c packed.c salvage.c set_with.c threads.c ttl.c views.c)
c_dlopen_sources := $(c_harness) $(c_here)dlopen.c
c_headers := $(wildcard $(c_here)*.h $(c_root)/include/*.h $(c_root)/bindings/c/*.h) $(c_build)/border.inc

# The linker looks for liblarder.so, the loader for the name that the library gives itself: this directory has both.
c_link := -L$(c_build)/lib -llarder -Wl,-rpath,$(c_build)/lib -pthread

.PHONY: c-library c-test c-test-shared c-test-asan c-test-valgrind c-test-static c-headers c-examples c-static-libs c-clean

c-test: c-headers c-test-shared c-test-static ## the C tests, against the shared library, the archive and dlopen; every header in every standard

c-test-shared: $(c_build)/test $(c_build)/dlopen
	$(c_build)/test $(TEST)
	$(if $(TEST),,LARDER_LIBRARY=$(c_build)/lib/liblarder.so $(c_build)/dlopen)

# What can differ in an archive is what links and what starts; the store is the same.
c-test-static: $(c_build)/test-static
	$(c_build)/test-static $(or $(TEST),basics)

# First the proof that the sanitizer is on: a program that reads freed memory must not end well.
c-test-asan: $(c_build)/test-asan $(c_build)/dlopen-asan ## the C tests under the address and undefined behaviour sanitizers
	@printf '#include <stdlib.h>\nint main(void) { char *volatile p = malloc(1); free(p); return *p; }\n' >$(c_build)/proof.c
	@$(CC) $(c_sanitize) -w $(c_build)/proof.c -o $(c_build)/proof
	@if $(c_build)/proof 2>/dev/null; then echo "the sanitizer is not on"; exit 1; fi
	UBSAN_OPTIONS=print_stacktrace=1 $(c_build)/test-asan $(TEST)
	$(if $(TEST),,LARDER_LIBRARY=$(c_build)/lib/liblarder.so $(c_build)/dlopen-asan)

# Without a suppression: the shells of closed handles stay reachable from the library, so nobody is told of a leak.
c-test-valgrind: $(c_build)/test ## the C tests that fit valgrind's speed, with its leak check
	@if ! command -v valgrind >/dev/null; then \
	  echo "SKIP: c-test-valgrind: valgrind is not installed (apt-get install valgrind)"; exit $${LARDER_FORBID_SKIP:-0}; fi; \
	set -x; valgrind --quiet --error-exitcode=99 --leak-check=full --show-leak-kinds=definite,indirect \
	  --errors-for-leak-kinds=definite,indirect $(c_build)/test --no-fork --quick $(TEST)

c-headers:
	CC="$(CC)" CXX="$(CXX)" $(c_here)headers.sh $(c_root)/include $(c_root)/bindings/c

c_examples := $(addprefix $(c_build)/,hello load writer)

c-examples: $(c_examples) ## build the C examples and run each of them once
	@scratch=$$(mktemp -d) && trap 'rm -rf "$$scratch"' EXIT && cd $$scratch && set -ex && \
	  $(c_build)/hello && $(c_build)/load pantry $(c_root)/bindings && \
	  $(c_build)/writer numbers --count 1000 >acknowledged && $(c_build)/writer verify numbers <acknowledged

# rustc's own words but the two that the compiler adds by itself, in rustc's order. In a target directory of its own, because
# other arguments to rustc would make cargo build the library again.
c-static-libs: ## whether STATIC_LIBS, which larder.pc has as Libs.private, is what rustc says that the archive needs
	@cd $(c_root) && mkdir -p $(c_build) && \
	  said=$$($(CARGO) rustc --quiet --locked --lib --target-dir $(c_build)/static-libs --crate-type staticlib -- \
	    --print native-static-libs 2>&1 | sed -n 's/.*native-static-libs: //p') && \
	  echo "rustc: $$said" && echo "here:  $(STATIC_LIBS)" && [ -n "$$said" ] && \
	  needed=$$(for word in $$said; do case $$word in -lc | -lgcc_s) ;; *) echo $$word ;; esac; done | xargs) && \
	  if [ "$$needed" != "$(STATIC_LIBS)" ]; then echo "FAILED: STATIC_LIBS has to be $$needed"; exit 1; fi

c-clean:
	rm -rf $(c_build)

# cargo knows best whether there is anything to do.
c-library:
	@cd $(c_root) && $(CARGO) build --quiet --release --locked
	@mkdir -p $(c_build)/lib
	@ln -sf $(c_lib)/liblarder.so $(c_build)/lib/liblarder.so
	@ln -sf $(c_lib)/liblarder.so $(c_build)/lib/liblarder.so.0

# Cases for every function of the header, written from it; one that the script did not see is a failure.
$(c_build)/border.inc: $(c_here)border.awk $(c_root)/include/larder.h
	@mkdir -p $(c_build)
	awk -f $< $(c_root)/include/larder.h >$@.new
	@declared=$$(grep -cE '^[a-z].*larder_[a-z_]+\(' $(c_root)/include/larder.h); known=$$(grep -cE '^    "larder_[a-z_]+",$$' $@.new); \
	  [ "$$declared" -eq "$$known" ] || { echo "larder.h declares $$declared functions, border.awk knows $$known"; exit 1; }
	@mv $@.new $@

# Objects are not kept apart: all of it compiles in seconds, and a stale object is never a question.
$(c_build)/test: $(c_test_sources) $(c_headers) | c-library
	$(CC) $(c_test_flags) $(c_test_sources) -o $@ $(c_link)

$(c_build)/test-asan: $(c_test_sources) $(c_headers) | c-library
	$(CC) $(c_test_flags) $(c_sanitize) $(c_test_sources) -o $@ $(c_link)

$(c_build)/test-static: $(c_test_sources) $(c_headers) c-library
	$(CC) $(c_test_flags) $(c_test_sources) -o $@ $(c_lib)/liblarder.a $(STATIC_LIBS)

$(c_build)/dlopen: $(c_dlopen_sources) $(c_headers) | c-library
	$(CC) $(c_test_flags) $(c_dlopen_sources) -o $@ -ldl

$(c_build)/dlopen-asan: $(c_dlopen_sources) $(c_headers) | c-library
	$(CC) $(c_test_flags) $(c_sanitize) $(c_dlopen_sources) -o $@ -ldl

$(c_examples): $(c_build)/%: $(c_root)/examples/c/%.c $(c_headers) | c-library
	$(CC) $(c_example_flags) $< -o $@ $(c_link)
