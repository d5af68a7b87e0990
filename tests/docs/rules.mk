# The pages: what they tell a reader to type is typed, what guides show is compiled and run. (docs/languages' programs are run by
# each language's own tests, README's are quotations of files that are.)

docs_typed := README.md examples/README.md packaging/README.md $(patsubst %,docs/languages/%.md,c cpp go python node java)

.PHONY: docs-test

docs-test: need-go need-cc build program ## type what the pages say, as it stands, in a copy of this machine; compile and run what the guides show
	@if ! command -v $(PYTHON) >/dev/null; then \
	  echo "SKIP: docs-test: $(PYTHON) is not installed (apt-get install python3)"; exit $${LARDER_FORBID_SKIP:-0}; fi; \
	set -e; $(PYTHON) tests/docs/accounted.py $(docs_typed); $(PYTHON) tests/docs/typed.py $(docs_typed); \
	LARDER_PROGRAM=$(LARDER_PROGRAM) LIB_DIR=$(abspath $(LIB_DIR)) $(PYTHON) tests/server/transcript.py docs/program.md; \
	$(call snippets,docs/choosing-a-sync-mode.md:c docs/choosing-a-sync-mode.md:go); \
	LARDER_LIBRARY=$(abspath $(LIB_DIR))/liblarder.so PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$(CURDIR)/bindings/python \
	  $(PYTHON) tests/vectors/snippets.py docs/choosing-a-sync-mode.md:python
