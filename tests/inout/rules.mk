# Keys into the program and out of it: files, redis-server both ways, a Redis Cluster of three nodes.

.PHONY: inout-test

inout-test: need-rust build program ## export, import and push of the program larder: round trips, redis-server both ways, a cluster, damaged files
	$(program_cargo) test --locked --features program --bin larder -- rdb:: interchange:: remote::
	LARDER_PROGRAM=$(LARDER_PROGRAM) PYTHONDONTWRITEBYTECODE=1 timeout 400 $(PYTHON) -W error::ResourceWarning -m unittest discover -s tests/inout
	@if ! command -v redis-server >/dev/null; then \
	  echo "SKIP: inout-test: redis-server is not installed (apt-get install redis-server)"; exit $${LARDER_FORBID_SKIP:-0}; fi; \
	LARDER_PROGRAM=$(LARDER_PROGRAM) LIB_DIR=$(abspath $(LIB_DIR)) timeout 60 $(PYTHON) tests/server/transcript.py docs/moving-data.md
