# Keys into the program and out of it: files, redis-server both ways, a Redis Cluster of three nodes.

.PHONY: inout-test

inout-test: need-rust program ## export, import and push of the program larder: round trips, redis-server both ways, a cluster, damaged files
	$(program_cargo) test --locked --features program --bin larder -- rdb:: interchange:: remote::
	LARDER_PROGRAM=$(LARDER_PROGRAM) PYTHONDONTWRITEBYTECODE=1 timeout 400 $(PYTHON) -W error::ResourceWarning -m unittest discover -s tests/inout
