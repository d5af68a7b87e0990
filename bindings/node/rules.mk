# The Node package: its tests in the tree, its types, and the package as npm installs it.

NODE ?= node
NPM ?= npm
node_tools := $(abspath $(BUILD_DIR))/node
node_package := $(abspath $(BUILD_DIR))/node/package

.PHONY: node-test

node-test: build need-cc ## the Node package: addon, vectors, worker threads, types, and as npm installs it
	@if ! command -v $(NODE) >/dev/null || ! command -v $(NPM) >/dev/null; then \
	  echo "SKIP: node-test: node and npm are not installed (https://nodejs.org, 20 or later)"; exit $${LARDER_FORBID_SKIP:-0}; fi; \
	set -e; mkdir -p $(node_tools); \
	[ -d $(node_tools)/node_modules/typescript ] && [ -d $(node_tools)/node_modules/node-api-headers ] || \
	  $(NPM) install --silent --no-save --no-audit --no-fund --prefix $(node_tools) typescript@5 @types/node@20 node-api-headers@1; \
	export LARDER_LIBRARY=$(abspath $(LIB_DIR))/liblarder.so NODE_PATH=$(node_tools)/node_modules; \
	CC="$(CC)" CFLAGS="-Wpedantic -Werror" $(NODE) bindings/node/build.js; \
	$(NODE) --test --test-reporter=tap bindings/node/tests/; \
	echo "types"; $(NODE) $(node_tools)/node_modules/typescript/bin/tsc --noEmit --strict --target es2022 --module commonjs \
	  --typeRoots $(node_tools)/node_modules/@types --types node bindings/node/tests/types.ts; \
	$(call snippets,node bindings/node/README.md:node); \
	echo "npm pack, npm install"; rm -rf $(node_package); mkdir -p $(node_package); \
	(cd bindings/node && $(NPM) pack --silent --pack-destination $(node_package)); rm -rf bindings/node/lib; \
	cd $(node_package) && echo '{"private": true}' > package.json; unset LARDER_LIBRARY NODE_PATH; \
	$(NPM) install --silent --no-audit --no-fund ./larder-*.tgz; \
	[ -f node_modules/larder/build/larder.node ] || $(NODE) node_modules/larder/build.js; \
	$(NODE) -e 'const db = require("larder").open("store"); db.set("k", "installed"); console.log(String(db.get("k"))); db.close();'; \
	echo "2 passed, 0 failed"
