# Tests with real kernels: power cuts, full, broken and read-only disks, the limits of a process. Included by the Makefile
# at the top; alone it works as `make -f tests/kernel/rules.mk kernel-test`.
#
# TEST=name runs one subject, or the tests whose name holds the word; T=seconds each of those runs that has no end of its
# own; SEED=n chooses another run. Root is needed for all that mounts; what cannot be tried says SKIP and why.

kernel_here := $(dir $(lastword $(MAKEFILE_LIST)))
include $(if $(c_here),,$(kernel_here)../c/rules.mk)

kernel_harness := $(addprefix $(c_here),check.c runner.c store.c)
kernel_sources := $(kernel_harness) $(addprefix $(kernel_here),main.c engine.c history.c device.c power.c room.c broken.c \
	limits.c bits.c)
kernel_headers := $(c_headers) $(wildcard $(kernel_here)*.h)

.PHONY: kernel-test kernel-compare

kernel-test: $(c_build)/kernel ## power cuts, full, broken and read-only disks on real file systems (root; T=seconds SEED=n)
	$(c_build)/kernel $(TEST)

# What is found in others is printed and fails nothing.
kernel-compare: $(c_build)/kernel-compare ## the same power cuts, kills, full disks and flipped bits with LMDB and SQLite beside Larder
	@for engine in larder lmdb sqlite; do \
	  for subject in power room bits; do ENGINE=$$engine T=$(or $(T),10) $(c_build)/kernel-compare $$subject | grep -E '^(torture|SKIP): '; done; done

$(c_build)/kernel: $(kernel_sources) $(kernel_headers) | c-library
	$(CC) $(c_test_flags) -I$(c_here) -I$(kernel_here) $(kernel_sources) -o $@ $(c_link)

$(c_build)/kernel-compare: $(kernel_sources) $(kernel_here)others.c $(kernel_headers) | c-library
	@for header in lmdb.h sqlite3.h; do echo "#include <$$header>" | $(CC) -E - >/dev/null 2>&1 || \
	  { echo "$$header is missing (apt-get install liblmdb-dev libsqlite3-dev)"; exit 1; }; done
	$(CC) $(c_test_flags) -DWITH_OTHERS -I$(c_here) -I$(kernel_here) $(kernel_sources) $(kernel_here)others.c -o $@ $(c_link) -llmdb -lsqlite3
