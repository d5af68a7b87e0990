#!/bin/sh
# Made client-0.1.0, once, on Debian 12 (gcc 12.2, glibc 2.36): build.sh LIBRARY_DIRECTORY OUTPUT. Not run by any test but to see
# that the source still compiles; the binary is what is kept.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
"${CC:-cc}" -std=c11 -O1 -Wall -Wextra -Wpedantic -Werror -I"$here/../../include" "$here/client.c" -o "$2" \
    -L"$1" -llarder -Wl,-z,now -Wl,--build-id=none -s
