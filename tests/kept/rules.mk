# What programs rely on that were compiled earlier: symbols, declarations, layouts, status numbers, and one such program itself.

kept_build := $(BUILD_DIR)/kept
kept_baseline := $(lastword $(sort $(wildcard tests/kept/larder-*.abixml)))
kept_abidw := abidw --no-show-locs --no-parameter-names --no-elf-needed --no-corpus-path --no-comp-dir-path

.PHONY: kept-test kept-library kept-release

kept-test: need-cc build kept-library ## whether programs run that were compiled against an earlier header: ABI, layouts, statuses, a kept program; the library's size
	@KEPT_BUILD="$(kept_build)" KEPT_BASELINE="$(kept_baseline)" CC="$(CC)" PYTHON="$(PYTHON)" bash tests/kept/run.sh $(LIB_DIR)

# The library as packages have it; and one made of the header alone, whose debugging information says in C what the header
# declares.
kept-library: build
	@mkdir -p $(kept_build)
	@$(STRIP) --strip-unneeded $(LIB_DIR)/liblarder.so -o $(kept_build)/liblarder.so.$(ABI_VERSION)
	@$(PYTHON) tests/kept/check.py stubs $(kept_build)/stubs.c
	@$(CC) -g -O0 -Iinclude -shared -fPIC -Wl,-soname,liblarder.so.$(ABI_VERSION) $(kept_build)/stubs.c -o $(kept_build)/stubs.so

kept-release: kept-library ## note declarations and layouts of this version for later ones to be compared with: part of a release
	$(kept_abidw) --out-file tests/kept/larder-$(VERSION).abixml $(kept_build)/stubs.so
	LARDER_BLESS=1 CC="$(CC)" $(PYTHON) tests/kept/check.py layout $(kept_build)
	LARDER_BLESS=1 $(PYTHON) tests/kept/check.py size $(kept_build)/liblarder.so.$(ABI_VERSION)
	LARDER_BLESS=1 $(PYTHON) tests/kept/check.py statuses
