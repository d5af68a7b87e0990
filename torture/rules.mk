# All layers of tests for a given time. Included by the Makefile at the top.

.PHONY: torture

torture: need-rust need-cc ## every layer for T seconds (600): crash images, power cuts, kills, bits, histories, fuzzing, mutants (SEED=n)
	@MAKE="$(MAKE)" CARGO="$(CARGO)" CARGO_TARGET_DIR="$(CARGO_TARGET_DIR)" torture/run $(or $(T),600) $(SEED)
