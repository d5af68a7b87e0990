# Sourced by tests that are scripts: counts steps in `passed` and `failed`. The caller has a directory of its own, $scratch.

# step SENTENCE COMMAND…: one test; what it printed is shown if it fails, and the library's size wherever a step measures it.
step() {
  local sentence=$1
  shift
  if "$@" >"$scratch/log" 2>&1; then
    passed=$((passed + 1))
    echo "ok   $sentence$(sed -n 's/^liblarder.so, stripped/: &/p' "$scratch/log")"
  else
    failed=$((failed + 1))
    echo "FAILED: $sentence"
    sed 's/^/     /' "$scratch/log"
  fi
}

# What a command prints is asked for by these, never by a pipe into `grep -q`: that one ends at its first match, which ends
# the writer by SIGPIPE now and then, and under pipefail `!` makes a match that was found of it. The command has to end well.

# has PATTERN COMMAND…: a line that it prints matches.
has() {
  local pattern=$1 output
  shift
  output=$("$@") && { grep -q -e "$pattern" <<<"$output" || { echo "no line has $pattern: $output" && false; }; }
}

# lacks PATTERN COMMAND…: no line does.
lacks() {
  local pattern=$1 output
  shift
  output=$("$@") && ! grep -e "$pattern" <<<"$output"
}

# prints_nothing COMMAND…
prints_nothing() {
  local output
  output=$("$@") && { [ -z "$output" ] || { echo "$output" && false; }; }
}
