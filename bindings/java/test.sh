#!/usr/bin/env bash
# Runs the Java tests with the JDKs that are there: JAVA_HOME and what lies in /usr/lib/jvm. `make java-test`.
#
# A JDK of 22 or later compiles everything and tests both ways to call C; the oldest of 17 or later, if it is another,
# tests JNA once more. Without the former there is no foreign function API to test, which is said as a skip.
set -euo pipefail
cd "$(dirname "$0")"
mvn=${MVN:-mvn}
library_dir=${LIBRARY_DIR:-$PWD/../../target/release}

skip() {
  echo "SKIP: java-test: $1"
  exit "${LARDER_FORBID_SKIP:-0}"
}
# The feature version of a JDK; nothing if there is none.
feature() { sed -n 's/^JAVA_VERSION="\([0-9]*\).*/\1/p' "$1/release" 2>/dev/null; }

command -v "$mvn" >/dev/null || skip "$mvn is not installed (apt-get install maven)"
newest= newest_feature=0 oldest= oldest_feature=1000
for home in ${JAVA_HOME:+"$JAVA_HOME"} /usr/lib/jvm/*; do
  [ -x "$home/bin/javac" ] || continue
  found=$(feature "$home")
  [ -n "$found" ] && [ "$found" -ge 17 ] || continue
  if [ "$found" -gt "$newest_feature" ]; then newest=$home newest_feature=$found; fi
  if [ "$found" -lt "$oldest_feature" ]; then oldest=$home oldest_feature=$found; fi
done
[ -n "$newest" ] || skip "no JDK of 17 or later (apt-get install openjdk-17-jdk-headless)"
export JAVA_HOME=$newest

# Maven's own words are many; the counts and what failed are what the reader wants.
run() {
  echo "Java $1: $2"
  shift 2
  "$mvn" --batch-mode -Dlarder.built="$library_dir" "$@" 2>&1 | grep -v '^WARNING: ' |
    { grep -E '^\[(ERROR|WARNING)\]|Tests run:|COMPILATION|BUILD' || true; }
}

if [ "$newest_feature" -ge 22 ]; then
  run "$newest_feature" "foreign function API" test -Dlarder.backend=ffm
  run "$newest_feature" "JNA" surefire:test -Dlarder.backend=jna
else
  echo "SKIP: java-test: the foreign function API: no JDK of 22 or later (https://adoptium.net)"
  [ "${LARDER_FORBID_SKIP:-0}" = 0 ] || exit 1
  run "$newest_feature" "JNA" test -Dlarder.backend=jna
fi
if [ "$oldest_feature" -ne "$newest_feature" ]; then
  run "$oldest_feature" "JNA" surefire:test -Dlarder.backend=jna -Dlarder.jvm.arguments= -Djvm="$oldest/bin/java"
fi

echo "the jar, with the library that it carries"
run "$newest_feature" "package" package -DskipTests
"$mvn" --batch-mode --quiet dependency:build-classpath -Dmdep.outputFile=target/classpath 2>/dev/null >&2
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
classpath=$PWD/target/larder-0.1.0.jar:$(cat target/classpath)
"$JAVA_HOME/bin/javac" -cp "$classpath" -d "$scratch" examples/Tour.java
(cd "$scratch" && env -u LARDER_LIBRARY "$JAVA_HOME/bin/java" --enable-native-access=ALL-UNNAMED -cp "$classpath:$scratch" Tour store)
if command -v strip >/dev/null; then
  (cd "$scratch" && "$JAVA_HOME/bin/jar" xf "${classpath%%:*}" dev/larder/native)
  readelf -S "$scratch"/dev/larder/native/*/liblarder.so >"$scratch/sections"
  ! grep -F .debug_info "$scratch/sections" || { echo "FAILED: the jar carries what is for debuggers" && exit 1; }
fi
echo "1 passed, 0 failed"
JAVA_CLASSPATH=$classpath LIB_DIR=$library_dir "${PYTHON:-python3}" ../../tests/vectors/snippets.py java bindings/java/README.md:java
