# The Java package: over the foreign function API where a JDK has it, over JNA, and over JNA with the oldest Java.

MVN ?= mvn

.PHONY: java-test

java-test: build ## the Java package over the foreign function API and over JNA, also with the oldest Java; its jar
	@MVN="$(MVN)" PYTHON="$(PYTHON)" LIBRARY_DIR="$(abspath $(LIB_DIR))" bash bindings/java/test.sh
