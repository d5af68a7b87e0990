# Installing: what goes where, its removal, pkg-config and CMake files, manual page, Debian packages; and the tests of it.
#
# What is installed is written once, in the list below: install, uninstall and the test read it.

PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
DATADIR ?= $(PREFIX)/share
MANDIR ?= $(DATADIR)/man
PKGCONFIGDIR ?= $(LIBDIR)/pkgconfig
CMAKEDIR ?= $(LIBDIR)/cmake/larder
BINDIR ?= $(PREFIX)/bin
INSTALL ?= install
STRIP ?= strip

# What a program that links liblarder.a needs besides: what rustc names, without -lgcc_s and -lc, which a compiler adds by
# itself (and has to choose by itself for a program without any shared library). c-static-libs compares.
STATIC_LIBS := -lutil -lrt -lpthread -lm -ldl

installed_headers := include/larder.h $(wildcard bindings/c/*.h bindings/cpp/*.hpp)
# Functions have a manual page as links to larder(3).
installed_links := $(shell sed 's/$$/.3/' include/symbols.txt)

# The program, if `make program` has built it (tests/server/rules.mk says where). What it brings is made by itself.
program_files := $(BINDIR)/larder $(MANDIR)/man1/larder.1 $(DATADIR)/bash-completion/completions/larder \
  $(DATADIR)/zsh/site-functions/_larder $(DATADIR)/fish/vendor_completions.d/larder.fish
program_directories := $(sort $(dir $(program_files)))

library_files := \
  $(LIBDIR)/liblarder.so.$(VERSION) $(LIBDIR)/liblarder.so.$(ABI_VERSION) $(LIBDIR)/liblarder.so $(LIBDIR)/liblarder.a \
  $(addprefix $(INCLUDEDIR)/,$(notdir $(installed_headers))) \
  $(PKGCONFIGDIR)/larder.pc $(CMAKEDIR)/larder-config.cmake $(CMAKEDIR)/larder-config-version.cmake \
  $(DATADIR)/larder/larder.api.json $(MANDIR)/man3/larder.3 $(addprefix $(MANDIR)/man3/,$(installed_links))
installed_files = $(library_files) $(if $(wildcard $(LARDER_PROGRAM)),$(program_files))

# The deepest first, so that each is empty when its turn comes. Larder's own directories go in any case, others only if they
# are empty, and never those that a system comes with.
own_directories := $(CMAKEDIR) $(DATADIR)/larder
shared_directories := $(if $(filter /usr /usr/local,$(PREFIX)),,$(PKGCONFIGDIR) $(LIBDIR)/cmake $(LIBDIR) $(INCLUDEDIR) \
  $(MANDIR)/man3 $(program_directories) $(DATADIR)/bash-completion $(DATADIR)/zsh $(DATADIR)/fish $(MANDIR) $(DATADIR))

fill := sed -e 's|@version@|$(VERSION)|' -e 's|@abi@|$(ABI_VERSION)|' -e 's|@static_libs@|$(STATIC_LIBS)|' \
  -e "s|@static_libs_list@|$$(echo $(STATIC_LIBS) | tr ' ' ';')|"

define install_program
$(INSTALL) -d $(patsubst %,"$(DESTDIR)%",$(program_directories))
$(INSTALL) -m 755 $(LARDER_PROGRAM) "$(DESTDIR)$(BINDIR)/larder"
$(LARDER_PROGRAM) man | $(INSTALL) -m 644 /dev/stdin "$(DESTDIR)$(MANDIR)/man1/larder.1"
$(LARDER_PROGRAM) completions bash | $(INSTALL) -m 644 /dev/stdin "$(DESTDIR)$(DATADIR)/bash-completion/completions/larder"
$(LARDER_PROGRAM) completions zsh | $(INSTALL) -m 644 /dev/stdin "$(DESTDIR)$(DATADIR)/zsh/site-functions/_larder"
$(LARDER_PROGRAM) completions fish | $(INSTALL) -m 644 /dev/stdin "$(DESTDIR)$(DATADIR)/fish/vendor_completions.d/larder.fish"
endef

.PHONY: pc install install-strip install-files uninstall installed-list install-test reference reference-test deb deb-test

pc: $(BUILD_DIR)/larder.pc ## build/larder.pc, for pkg-config from this tree
	@:

# Names the tree relative to the file's own place, so that the tree can be moved.
$(BUILD_DIR)/larder.pc: packaging/larder.pc.in packaging/rules.mk Cargo.toml Makefile
	@mkdir -p $(BUILD_DIR)
	@$(fill) -e 's|@prefix@|$${pcfiledir}/..|' -e 's|@libdir@|$(patsubst $(CURDIR)/%,$${prefix}/%,$(abspath $(LIB_DIR)))|' \
	  -e 's|@includedir@|$${prefix}/include|' $< > $@

install: build install-files ## libraries, headers, pkg-config and CMake files, manual page, and the program if it is built, below PREFIX (default /usr/local)

install-strip: build ## the same, the shared library and the archive without what only debuggers read
	@$(MAKE) --no-print-directory install-files
	$(STRIP) --strip-unneeded "$(DESTDIR)$(LIBDIR)/liblarder.so.$(VERSION)"
	$(STRIP) --strip-debug --enable-deterministic-archives "$(DESTDIR)$(LIBDIR)/liblarder.a"
	$(if $(wildcard $(LARDER_PROGRAM)),$(STRIP) "$(DESTDIR)$(BINDIR)/larder")

# Without building anything: what packagers call who have built before.
install-files:
	$(INSTALL) -d "$(DESTDIR)$(LIBDIR)" "$(DESTDIR)$(INCLUDEDIR)" "$(DESTDIR)$(PKGCONFIGDIR)" "$(DESTDIR)$(CMAKEDIR)" \
	  "$(DESTDIR)$(DATADIR)/larder" "$(DESTDIR)$(MANDIR)/man3"
	$(INSTALL) -m 755 $(LIB_DIR)/liblarder.so "$(DESTDIR)$(LIBDIR)/liblarder.so.$(VERSION)"
	ln -sf liblarder.so.$(VERSION) "$(DESTDIR)$(LIBDIR)/liblarder.so.$(ABI_VERSION)"
	ln -sf liblarder.so.$(ABI_VERSION) "$(DESTDIR)$(LIBDIR)/liblarder.so"
	$(INSTALL) -m 644 $(LIB_DIR)/liblarder.a "$(DESTDIR)$(LIBDIR)/"
	$(INSTALL) -m 644 $(installed_headers) "$(DESTDIR)$(INCLUDEDIR)/"
	$(INSTALL) -m 644 include/larder.api.json "$(DESTDIR)$(DATADIR)/larder/"
	$(fill) -e 's|@prefix@|$(PREFIX)|' -e 's|@libdir@|$(patsubst $(PREFIX)/%,$${prefix}/%,$(LIBDIR))|' \
	  -e 's|@includedir@|$(patsubst $(PREFIX)/%,$${prefix}/%,$(INCLUDEDIR))|' packaging/larder.pc.in > "$(DESTDIR)$(PKGCONFIGDIR)/larder.pc"
	$(fill) -e 's|@libdir_from_here@|'"$$(realpath -ms --relative-to="$(CMAKEDIR)" "$(LIBDIR)")"'|' \
	  -e 's|@includedir_from_here@|'"$$(realpath -ms --relative-to="$(CMAKEDIR)" "$(INCLUDEDIR)")"'|' \
	  packaging/larder-config.cmake.in > "$(DESTDIR)$(CMAKEDIR)/larder-config.cmake"
	$(fill) packaging/larder-config-version.cmake.in > "$(DESTDIR)$(CMAKEDIR)/larder-config-version.cmake"
	$(INSTALL) -m 644 packaging/larder.3 "$(DESTDIR)$(MANDIR)/man3/"
	@for page in $(installed_links); do ln -sf larder.3 "$(DESTDIR)$(MANDIR)/man3/$$page"; done
	$(if $(wildcard $(LARDER_PROGRAM)),$(install_program))

uninstall: ## take away what `make install` with the same PREFIX and DESTDIR put there
	@for file in $(library_files) $(program_files); do rm -f "$(DESTDIR)$$file"; done
	@for directory in $(own_directories) $(shared_directories); do \
	  [ ! -d "$(DESTDIR)$$directory" ] || rmdir --ignore-fail-on-non-empty "$(DESTDIR)$$directory"; done

installed-list:
	@printf '%s\n' $(installed_files)

# What a packager does and what a program's author does, from an empty prefix and with nothing of this tree.
install-test: need-cc build program ## install into an empty prefix; build with pkg-config, CMake and cgo, shared and static; uninstall
	@MAKE="$(MAKE)" CC="$(CC)" CXX="$(CXX)" GO="$(GO)" LIB_DIR="$(LIB_DIR)" BUILD_DIR="$(BUILD_DIR)" VERSION="$(VERSION)" \
	  LARDER_PROGRAM="$(LARDER_PROGRAM)" bash packaging/install_test.sh

deb: build ## the Debian packages liblarder0 and liblarder-dev, into build/deb
	@LIB_DIR="$(LIB_DIR)" VERSION="$(VERSION)" bash packaging/deb.sh $(BUILD_DIR)/deb

deb-test: need-cc build ## build the Debian packages, install them into a copy of this system that is gone afterwards, link, run, purge
	@LIB_DIR="$(LIB_DIR)" BUILD_DIR="$(BUILD_DIR)" VERSION="$(VERSION)" CC="$(CC)" bash packaging/deb_test.sh

reference: ## write docs/c-api.md and the manual page anew from include/larder.api.json (a test compares them)
	LARDER_BLESS=1 $(PYTHON) packaging/reference.py

reference-test: ## whether docs/c-api.md and the manual page are what the header says
	@if ! command -v $(PYTHON) >/dev/null; then \
	  echo "SKIP: reference-test: $(PYTHON) is not installed (apt-get install python3)"; exit $${LARDER_FORBID_SKIP:-0}; fi; \
	$(PYTHON) packaging/reference.py
