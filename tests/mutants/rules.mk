# The tests of the tests: safety rules left out one by one. Included by the Makefile at the top.
#
# RULE=name for one rule; ALL=1 runs every module on the simulated disk without it, which takes half an hour for all rules.

.PHONY: mutants mutants-named

mutants: need-rust ## each safety rule left out once: which tests notice (RULE=name for one, ALL=1 for all tests)
	@CARGO="$(CARGO)" CARGO_TARGET_DIR="$(CARGO_TARGET_DIR)" tests/mutants/run $(if $(ALL),--all) $(RULE)

mutants-named: need-rust ## the same with only the tests that are named for each rule
	@CARGO="$(CARGO)" CARGO_TARGET_DIR="$(CARGO_TARGET_DIR)" tests/mutants/run --named $(RULE)
