#!/usr/bin/env bash
# Runs what `make kept-test` names, and counts. A tool that is missing is a "SKIP:", and LARDER_FORBID_SKIP=1 makes that a failure.
set -uo pipefail
cd "$(dirname "$0")/../.."
python=${PYTHON:-python3} build=$KEPT_BUILD baseline=$KEPT_BASELINE
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
passed=0 failed=0

. tests/steps.sh

skip() {
  echo "SKIP: kept-test: $1"
  [ "${LARDER_FORBID_SKIP:-0}" != 1 ] || failed=$((failed + 1))
}

# Added functions are no difference here: include/symbols.txt is about those.
declarations_are_kept() { abidiff --no-added-syms --suppressions tests/kept/abidiff.suppr "$baseline" "$build/stubs.so"; }

# The library itself, of which only the symbols are compared: its debugging information is Rust's.
symbols_are_kept() { abidiff --no-added-syms --suppressions tests/kept/abidiff.suppr "$baseline" "$build/liblarder.so.0"; }

# A check that finds nothing proves nothing: these changes of the header have to be found.
changes_are_found() {
  mkdir -p "$scratch/include"
  for change in 's/^  uint64_t version;/  uint32_t version;/' 's/int64_t \*ttl_ms,/int32_t *ttl_ms,/' 's/^  int32_t os_errno;/  int64_t os_errno;/'; do
    sed "$change" include/larder.h >"$scratch/include/larder.h"
    cmp -s include/larder.h "$scratch/include/larder.h" && return 1
    sed "$change" "$build/stubs.c" >"$scratch/stubs.c"
    ${CC:-cc} -g -O0 -I"$scratch/include" -shared -fPIC -Wl,-soname,liblarder.so.0 "$scratch/stubs.c" -o "$scratch/stubs.so" || return 1
    abidiff --no-added-syms --suppressions tests/kept/abidiff.suppr "$baseline" "$scratch/stubs.so" && return 1
  done
  sed '/larder_cursor_close/,+1d' "$build/stubs.c" >"$scratch/stubs.c"
  ${CC:-cc} -g -O0 -Iinclude -shared -fPIC -Wl,-soname,liblarder.so.0 "$scratch/stubs.c" -o "$scratch/stubs.so" || return 1
  ! abidiff --no-added-syms "$baseline" "$scratch/stubs.so"
}

# The figures may grow at their end, which abidiff takes as a leave to change them: their layout is the compiler's word alone.
changed_figures_are_found() {
  local -x LARDER_BLESS=0
  mkdir -p "$scratch/include"
  for change in 's/^  uint64_t live_bytes;/  uint32_t live_bytes;/' 's/^  uint64_t segments;/  uint64_t segments, more;/'; do
    sed "$change" include/larder.h >"$scratch/include/larder.h"
    cmp -s include/larder.h "$scratch/include/larder.h" && return 1
    KEPT_INCLUDE=$scratch/include "$python" tests/kept/check.py layout "$scratch" && return 1
  done
  sed 's/^  uint64_t compacted_bytes;/  uint64_t compacted_bytes; uint64_t more;/' include/larder.h >"$scratch/include/larder.h"
  KEPT_INCLUDE=$scratch/include "$python" tests/kept/check.py layout "$scratch" || return 1
  sed 's/^#define LARDER_BUSY 102/#define LARDER_BUSY 114/' include/larder.h >"$scratch/include/larder.h"
  ! KEPT_INCLUDE=$scratch/include "$python" tests/kept/check.py statuses
}

# What packages ship, stripped, and what the build leaves.
client_runs() { LD_LIBRARY_PATH=$2 "$1" "$(mktemp -d -p "$scratch")/store"; }
client_is_small() { [ "$(stat -c %s "$1")" -lt 40960 ]; }
client_binds_at_once() { has 'NEEDED.*\[liblarder\.so\.0\]' readelf -d "$1" && has BIND_NOW readelf -d "$1"; }
source_compiles() { CC=${CC:-cc} tests/kept/build.sh "$1" "$scratch/client" && client_runs "$scratch/client" "$build"; }

step "status numbers are what they were" "$python" tests/kept/check.py statuses
step "layouts are what they were" "$python" tests/kept/check.py layout "$scratch"
step "a layout and a number that have changed are found, a figure more is none" changed_figures_are_found
step "the stripped library is under its limit" "$python" tests/kept/check.py size "$build/liblarder.so.0"
if [ "$(uname -s -m)" = "Linux x86_64" ]; then
  for client in tests/kept/client-*; do
    step "$(basename "$client"), compiled long ago, runs" client_runs "$client" "$build"
    step "$(basename "$client") runs with the library as it is built" client_runs "$client" "$1"
    step "$(basename "$client") binds each function as it starts" client_binds_at_once "$client"
    step "$(basename "$client") is small" client_is_small "$client"
  done
  if command -v abidiff >/dev/null; then
    step "declarations are those of $(basename "$baseline"), or more" declarations_are_kept
    step "symbols are those of $(basename "$baseline"), or more" symbols_are_kept
    step "a header that has changed is found" changes_are_found
  else
    skip "abidiff is not installed (apt-get install abigail-tools)"
  fi
else
  skip "the kept programs are for Linux on x86-64"
fi
step "the kept program's source compiles" source_compiles "$1"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
