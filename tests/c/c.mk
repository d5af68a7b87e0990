# c.mk: builds and runs what is written in C: tests, examples, headers.
#
# A top-level Makefile includes it; alone it works as `make -f tests/c/c.mk c-test`.
#
#   c-test           against the shared library
#   c-test-static    against the archive
#   c-test-asan      with AddressSanitizer and UndefinedBehaviorSanitizer on the C side
#   c-test-valgrind  the tests that fit valgrind's speed, with its leak check
#   c-headers        every header alone, and twice, in every C and C++ standard
#   c-examples       builds the examples and runs hello, load and writer once
#   c-check          all of these
#
# TEST=name runs one subject, or the tests whose name holds the word. LARDER_FORBID_SKIP=1 makes every skip a
# failure, as continuous integration should.

c_here := $(dir $(lastword $(MAKEFILE_LIST)))
c_root := $(abspath $(c_here)../..)

PROFILE ?= release
CARGO_TARGET_DIR ?= $(c_root)/target
c_lib := $(CARGO_TARGET_DIR)/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))
C_BUILD ?= $(c_root)/build/c
TEST ?=

# What the archive needs from the system. `make c-static-libs` asks the compiler and fails if it says otherwise.
C_STATIC_LIBS ?= -lgcc_s -lutil -lrt -lpthread -lm -ldl -lc

C_WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Werror
C_INCLUDE := -I$(c_root)/include -I$(c_root)/bindings/c
C_FLAGS := -std=c11 -D_GNU_SOURCE -O1 -g -fno-omit-frame-pointer $(C_WARNINGS) $(C_INCLUDE) $(CFLAGS)
C_EXAMPLE_FLAGS := -std=c11 -D_POSIX_C_SOURCE=200809L -O2 -g $(C_WARNINGS) $(C_INCLUDE) $(CFLAGS)
C_SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all

c_harness := check.c runner.c
c_tests := $(c_harness) store.c main.c about.c abuse.c basics.c close.c cursor.c errors.c fork.c full_disk.c guest.c \
	kill.c packed.c set_with.c threads.c ttl.c views.c
c_test_sources := $(addprefix $(c_here),$(c_tests))
c_dlopen_sources := $(addprefix $(c_here),$(c_harness) dlopen.c)
c_headers := $(wildcard $(c_here)*.h $(c_root)/include/*.h $(c_root)/bindings/c/*.h)

# The linker looks for liblarder.so, the loader for the name that the library gives itself: both are here.
c_link := -L$(C_BUILD)/lib -llarder -Wl,-rpath,$(C_BUILD)/lib -pthread

.PHONY: c-library c-test c-test-static c-test-asan c-test-valgrind c-headers c-examples c-static-libs c-check c-clean

c-check: c-headers c-static-libs c-test c-test-static c-test-asan c-test-valgrind c-examples

# cargo knows best whether there is anything to do.
c-library:
	cd $(c_root) && cargo build --quiet --lib --profile $(PROFILE)
	@mkdir -p $(C_BUILD)/lib
	@ln -sf $(c_lib)/liblarder.so $(C_BUILD)/lib/liblarder.so
	@ln -sf $(c_lib)/liblarder.so $(C_BUILD)/lib/liblarder.so.0

# Objects are not kept apart: all of it compiles in seconds, and a stale object is never a question.
$(C_BUILD)/test: $(c_test_sources) $(c_headers) | c-library
	$(CC) $(C_FLAGS) $(c_test_sources) -o $@ $(c_link)

$(C_BUILD)/test-asan: $(c_test_sources) $(c_headers) | c-library
	$(CC) $(C_FLAGS) $(C_SANITIZE) $(c_test_sources) -o $@ $(c_link)

$(C_BUILD)/test-static: $(c_test_sources) $(c_headers) $(c_lib)/liblarder.a | c-library
	$(CC) $(C_FLAGS) $(c_test_sources) -o $@ $(c_lib)/liblarder.a $(C_STATIC_LIBS)

$(c_lib)/liblarder.a: | c-library

$(C_BUILD)/dlopen: $(c_dlopen_sources) $(c_headers) | c-library
	$(CC) $(C_FLAGS) $(c_dlopen_sources) -o $@ -ldl

$(C_BUILD)/dlopen-asan: $(c_dlopen_sources) $(c_headers) | c-library
	$(CC) $(C_FLAGS) $(C_SANITIZE) $(c_dlopen_sources) -o $@ -ldl

c-test: $(C_BUILD)/test $(C_BUILD)/dlopen
	$(C_BUILD)/test $(TEST)
	$(if $(TEST),,LARDER_LIBRARY=$(C_BUILD)/lib/liblarder.so $(C_BUILD)/dlopen)

c-test-static: $(C_BUILD)/test-static
	$(C_BUILD)/test-static $(TEST)

# First the proof that the sanitizer is on: a program that reads freed memory must not end well.
c-test-asan: $(C_BUILD)/test-asan $(C_BUILD)/dlopen-asan
	@printf '#include <stdlib.h>\nint main(void){char *volatile p=malloc(1);free(p);return *p;}\n' >$(C_BUILD)/proof.c
	@$(CC) $(C_SANITIZE) $(C_BUILD)/proof.c -o $(C_BUILD)/proof && \
		if $(C_BUILD)/proof 2>/dev/null; then echo "the sanitizer is not on"; exit 1; fi
	UBSAN_OPTIONS=print_stacktrace=1 $(C_BUILD)/test-asan $(TEST)
	$(if $(TEST),,LARDER_LIBRARY=$(C_BUILD)/lib/liblarder.so $(C_BUILD)/dlopen-asan)

c-test-valgrind: $(C_BUILD)/test
	@command -v valgrind >/dev/null || { echo "SKIPPED: there is no valgrind here"; [ "$$LARDER_FORBID_SKIP" != 1 ]; }
	@command -v valgrind >/dev/null || exit 0; set -x; valgrind --quiet --error-exitcode=99 --leak-check=full \
		--errors-for-leak-kinds=definite,indirect --suppressions=$(c_here)valgrind.supp \
		$(C_BUILD)/test --no-fork --quick $(TEST)

c-headers:
	CC="$(CC)" CXX="$(CXX)" $(c_here)headers.sh $(c_root)/include $(c_root)/bindings/c

# In a target directory of its own, because other arguments to rustc would make cargo rebuild the library.
c-static-libs:
	@cd $(c_root) && mkdir -p $(C_BUILD) && \
		said=$$(cargo rustc --quiet --lib --target-dir $(C_BUILD)/static-libs --crate-type staticlib -- \
			--print native-static-libs 2>&1 | sed -n 's/.*native-static-libs: //p') && \
		echo "rustc: $$said" && echo "here:  $(C_STATIC_LIBS)" && [ -n "$$said" ] && \
		for word in $$said; do case " $(C_STATIC_LIBS) " in *" $$word "*) ;; *) echo "$$word is missing"; exit 1 ;; esac; done

c_examples := $(addprefix $(C_BUILD)/,hello load writer)

$(c_examples): $(C_BUILD)/%: $(c_root)/examples/c/%.c $(c_headers) | c-library
	$(CC) $(C_EXAMPLE_FLAGS) $< -o $@ $(c_link)

c-examples: $(c_examples)
	@scratch=$$(mktemp -d) && trap 'rm -rf "$$scratch"' EXIT && cd $$scratch && set -ex && \
		$(C_BUILD)/hello && $(C_BUILD)/load pantry $(c_root)/bindings && \
		$(C_BUILD)/writer write numbers --count 1000 >acknowledged && $(C_BUILD)/writer verify numbers <acknowledged

c-clean:
	rm -rf $(C_BUILD)
