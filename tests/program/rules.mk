# The program's commands, run as a user runs them. (The server next to redis-server: tests/server.)

.PHONY: program-test

program-test: need-rust program ## every command of the program larder: what it prints, how it ends, damaged and busy stores, the shell on a terminal
	$(program_cargo) clippy --locked --features program --bin larder -- -D warnings
	$(program_cargo) test --locked --features program --bin larder
	LARDER_PROGRAM=$(LARDER_PROGRAM) PYTHONDONTWRITEBYTECODE=1 timeout 300 $(PYTHON) -W error::ResourceWarning -m unittest discover -s tests/program
