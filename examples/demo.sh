#!/usr/bin/env bash
# The demo: one store, three languages, and a process that is killed. `make demo` runs it.
#
#   examples/demo.sh [directory]     by default this repository
#
# Every regular file below the directory becomes a key (its path) with the file's bytes as value, but for those
# below directories named .git, target or build. Stores lie in a scratch directory that is removed at the end.
set -euo pipefail
directory=$(cd "${1:-.}" && pwd)
cd "$(dirname "$0")/.."

make_program=${MAKE:-make} cc_program=${CC:-cc} go_program=${GO:-go} python_program=${PYTHON:-python3}
library_directory=$PWD/${CARGO_TARGET_DIR:-target}/release
programs=$PWD/build/demo
killed_after_count=20000
killed_after_tenths_max=300

scratch=$(mktemp -d)
writer_pid=
clean_up() {
  [ -z "$writer_pid" ] || kill -9 "$writer_pid" 2>/dev/null || true
  rm -rf "$scratch"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

step() { printf '\n%d. %s\n' "$((++step_number))" "$1"; }
step_number=0

if ! command -v "$python_program" >/dev/null; then
  echo "$python_program is missing: apt-get install python3"
  exit 1
fi

step "Build the library, the C programs and the Go program"
"$make_program" --no-print-directory build 2>&1 | sed 's/^/   /'
mkdir -p "$programs"
for program in load writer; do
  "$cc_program" -O2 -Wall -Iinclude -Ibindings/c "examples/c/$program.c" -o "$programs/$program" \
    -L"$library_directory" -llarder -Wl,-rpath,"$library_directory"
done
(cd examples/go && "$go_program" build -o "$programs/change" .)
size_of() { du -hL "$1" | cut -f 1; }
echo "   liblarder.so $(size_of "$library_directory/liblarder.so"), load $(size_of "$programs/load"), writer $(size_of "$programs/writer"), change $(size_of "$programs/change")"

step "C stores every file below $directory"
"$programs/load" "$scratch/store" "$directory" | sed 's/^/   /'

step "Go reads it all back, copies some under new keys, deletes some"
"$programs/change" "$scratch/store" "$directory" | sed 's/^/   /'

step "Python compares every value with the files"
export LARDER_LIBRARY=$library_directory/liblarder.so PYTHONDONTWRITEBYTECODE=1
"$python_program" examples/python/check.py files "$scratch/store" "$directory"

step "A C program writes without pause, and is killed with SIGKILL"
: >"$scratch/acknowledged"
"$programs/writer" "$scratch/killed" >"$scratch/acknowledged" &
writer_pid=$!
# A fast machine is killed after so many writes, a slow one after so many tenths of a second.
for ((tenths = 0; tenths < killed_after_tenths_max; tenths++)); do
  sleep 0.1
  [ "$(wc -l <"$scratch/acknowledged")" -lt "$killed_after_count" ] || break
  kill -0 "$writer_pid" 2>/dev/null || { echo "   the writer ended by itself"; exit 1; }
  [ $((tenths % 10)) -ne 9 ] || echo "   … $(wc -l <"$scratch/acknowledged") writes acknowledged"
done
kill -9 "$writer_pid"
status=0
wait "$writer_pid" 2>/dev/null || status=$?
writer_pid=
[ "$status" -eq 137 ] || { echo "   the writer ended with $status, not by the kill"; exit 1; }
echo "   killed while it was writing, after $(wc -l <"$scratch/acknowledged") acknowledged writes"

step "Python opens the store again and looks for every acknowledged write"
"$python_program" examples/python/check.py killed "$scratch/killed" "$scratch/acknowledged"

printf '\nNothing is missing, nothing is wrong.\n'
