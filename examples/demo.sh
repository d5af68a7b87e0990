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
writing_seconds_max=30

scratch=$(mktemp -d)
writer_pid=
clean_up() {
  [ -z "$writer_pid" ] || kill -9 "$writer_pid" 2>/dev/null || true
  rm -rf "$scratch"
}
trap clean_up EXIT
trap 'exit 130' INT TERM
case $scratch/ in
  "$directory"/*) echo "$directory holds the demo's own scratch directory; name another, or set TMPDIR"; exit 1 ;;
esac

fail() { echo "   FAILED: $1" >&2; exit 1; }
step() { printf '\n%d. %s\n' "$((++step_number))" "$1"; }
step_number=0

# The ending of the paths that Go is to delete: the most frequent one that at most a twentieth of the files have.
deleted_ending() {
  find "$directory" \( -name .git -o -name target -o -name build \) -prune -o -type f -print |
    sed 's|.*/||; s/^.*[^.]\(\.[A-Za-z0-9]*\)$/\1/; t; s/.*/-/' | sort | uniq -c | sort -k 1nr -k 2 |
    awk '{ count[NR] = $1; ending[NR] = $2; total += $1 }
         END { for (i = 1; i <= NR; i++) if (ending[i] != "-" && count[i] * 20 <= total) { print ending[i]; exit }
               print ".tmp" }'
}

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
"$programs/change" -dir "$scratch/store" -root "$directory" -delete "$(deleted_ending)" | sed 's/^/   /'

step "Python compares every value with the files"
export LARDER_LIBRARY=$library_directory/liblarder.so PYTHONPATH=$PWD/bindings/python PYTHONDONTWRITEBYTECODE=1
"$python_program" examples/python/check.py "$scratch/store" "$directory"

step "A C program writes without pause, and is killed with SIGKILL; what it was told is stored must be there"
for mode in always none; do
  : >"$scratch/acknowledged"
  "$programs/writer" "$scratch/killed" --sync "$mode" >"$scratch/acknowledged" &
  writer_pid=$!
  # A slow disk gets the time it needs to acknowledge something.
  for ((second = 1; second <= writing_seconds_max; second++)); do
    sleep 1
    kill -0 "$writer_pid" 2>/dev/null || fail "the writer ended by itself"
    count=$(wc -l <"$scratch/acknowledged")
    [ "$count" -eq 0 ] || break
  done
  kill -9 "$writer_pid"
  status=0
  wait "$writer_pid" 2>/dev/null || status=$?
  writer_pid=
  [ "$status" -eq 137 ] || fail "the writer ended with $status, not by the kill"
  count=$(wc -l <"$scratch/acknowledged")
  [ "$count" -gt 0 ] || fail "the writer acknowledged nothing in $writing_seconds_max seconds"
  echo "   sync=$mode: killed after $second s and $count acknowledged writes; opened again:"
  "$programs/writer" verify "$scratch/killed" <"$scratch/acknowledged" | sed 's/^/   /'
done

printf '\nNothing is missing, nothing is wrong.\n'
