#!/bin/sh
# Every public header compiles alone, and twice, in every standard that the compilers here know, without a
# warning. Usage: headers.sh INCLUDE_DIRECTORY...  ($CC, $CXX: the compilers; clang is tried too if it is here)
# A compiler that is missing is named; where it is $CC or $CXX that is a skip, and LARDER_FORBID_SKIP=1 allows none.
set -u

include=
headers=
for directory in "$@"; do
    include="$include -I$directory"
    for header in "$directory"/*.h; do headers="$headers ${header##*/}"; done
done
warnings='-Wall -Wextra -Wpedantic -Wshadow -Wundef -Werror'
passed=0
failed=0
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT

# compile COMPILER LANGUAGE STANDARD
compile() {
    # An empty file tells whether the compiler has the standard at all.
    : >"$scratch/empty.$2"
    if ! "$1" -x "$2" "-std=$3" -fsyntax-only "$scratch/empty.$2" 2>/dev/null; then
        echo "$1 has no $3: left out"
        return
    fi
    for header in $headers; do
        # -Wstrict-prototypes and -Wconversion find what a user's stricter flags would.
        extra=-Wconversion
        [ "$2" = c ] && extra='-Wconversion -Wstrict-prototypes'
        printf '#include "%s"\n' "$header" >"$scratch/alone.$2"
        printf '#include "%s"\n#include "%s"\n' "$header" "$header" >"$scratch/twice.$2"
        for unit in alone twice; do
            # shellcheck disable=SC2086 # the flags are words
            if "$1" -x "$2" "-std=$3" $warnings $extra $include -fsyntax-only "$scratch/$unit.$2"; then
                passed=$((passed + 1))
            else
                failed=$((failed + 1))
                echo "FAIL: $header $unit with $1 -std=$3"
            fi
        done
    done
}

# each COMPILER LANGUAGE STANDARD...
each() {
    compiler=$1 language=$2
    shift 2
    if ! command -v "$compiler" >/dev/null 2>&1; then
        case $compiler in
        clang*) echo "there is no $compiler here: left out" ;;
        *)
            echo "SKIP: headers: there is no $compiler here"
            [ "${LARDER_FORBID_SKIP:-0}" != 1 ] || failed=$((failed + 1))
            ;;
        esac
        return
    fi
    for standard in "$@"; do compile "$compiler" "$language" "$standard"; done
}

each "${CC:-cc}" c c99 c11 c17 c2x
each "${CXX:-c++}" c++ c++11 c++14 c++17 c++20
each clang c c99 c11 c17 c2x
each clang++ c++ c++11 c++14 c++17 c++20

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
