# All layers of tests for a given time, and the tests of the tests. Included by the Makefile at the top.

.PHONY: torture mutants mutants-named

torture: need-rust need-cc ## every layer for T seconds (600): crash images, power cuts, kills, bits, histories, fuzzing, mutants (SEED=n)
	@MAKE="$(MAKE)" CARGO="$(CARGO)" torture/run $(or $(T),600) $(SEED)

mutants: need-rust ## each safety rule left out once: which tests notice (RULE=name for one)
	@CARGO="$(CARGO)" tests/mutants/run $(RULE)

mutants-named: need-rust ## the same with only the tests that are named for each rule
	@CARGO="$(CARGO)" tests/mutants/run --named $(RULE)
