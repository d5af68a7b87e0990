#!/usr/bin/env bash
# Installs into an empty prefix, builds and runs programs from there by every way that README names, and uninstalls.
#
# `make install-test` calls it; it builds nothing of the library. Each step is a test: "N passed, M failed" at the end. A tool
# that is missing is a "SKIP:", and LARDER_FORBID_SKIP=1 makes that a failure.
set -uo pipefail
cd "$(dirname "$0")/.."
tree=$PWD
make=${MAKE:-make} cc=${CC:-cc} go=${GO:-go}
library_dir=$(realpath "$LIB_DIR")

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
prefix=$scratch/prefix
mkdir "$prefix"
passed=0 failed=0

. tests/steps.sh

skip() {
  echo "SKIP: install-test: $1"
  [ "${LARDER_FORBID_SKIP:-0}" != 1 ] || failed=$((failed + 1))
}

install_below() { "$make" --no-print-directory -o build install LARDER_PROGRAM="$LARDER_PROGRAM" "$@"; }

# runs PROGRAM [LIBRARY_DIRECTORY]: in a directory of its own, where it finds its apricots.
runs() {
  local directory
  directory=$(mktemp -d -p "$scratch")
  (cd "$directory" && LD_LIBRARY_PATH=${2:-} "$1" | tee out && grep -q 'jam: apricot' out)
}

needs_no_liblarder() { lacks 'NEEDED.*liblarder' readelf -d "$1"; }
needs_the_soname() { has 'NEEDED.*\[liblarder\.so\.0\]' readelf -d "$1"; }

# What is there is what the list says, no more and no less.
list_matches() {
  diff <("$make" --no-print-directory -s installed-list PREFIX="$prefix" | sort) <(find "$prefix" -type f -o -type l | sort)
}

links_lead_to_the_library() {
  local version=$VERSION
  [ "$(readlink "$prefix/lib/liblarder.so")" = "liblarder.so.0" ] &&
    [ "$(readlink "$prefix/lib/liblarder.so.0")" = "liblarder.so.$version" ] &&
    [ -f "$prefix/lib/liblarder.so.$version" ] && ! [ -L "$prefix/lib/liblarder.so.$version" ]
}

# DESTDIR is for packagers: no file may name it.
destdir_leaves_no_trace() {
  install_below DESTDIR="$scratch/dest" PREFIX=/usr LIBDIR=/usr/lib/some-triplet &&
    [ -f "$scratch/dest/usr/lib/some-triplet/liblarder.so.$VERSION" ] &&
    ! grep -rIl --exclude='*.a' "$scratch" "$scratch/dest" &&
    "$make" --no-print-directory uninstall DESTDIR="$scratch/dest" PREFIX=/usr LIBDIR=/usr/lib/some-triplet &&
    prints_nothing find "$scratch/dest" -type f -o -type l
}

with_pkg_config() {
  export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
  [ "$(pkg-config --modversion larder)" = "$VERSION" ] &&
    $cc "$tree/examples/c/hello.c" $(pkg-config --cflags --libs larder) -o "$scratch/pc-shared" &&
    needs_the_soname "$scratch/pc-shared" && runs "$scratch/pc-shared" "$prefix/lib"
}

with_pkg_config_statically() {
  export PKG_CONFIG_PATH=$1/lib/pkgconfig
  shift
  $cc "$tree/examples/c/hello.c" $(pkg-config --static --cflags --libs larder) "$@" -o "$scratch/pc-static" &&
    needs_no_liblarder "$scratch/pc-static" && runs "$scratch/pc-static"
}

with_cmake() {
  cmake -S "$tree/examples/cmake" -B "$scratch/cmake" -DCMAKE_PREFIX_PATH="$1" && cmake --build "$scratch/cmake" &&
    needs_the_soname "$scratch/cmake/hello" && needs_no_liblarder "$scratch/cmake/hello-static" &&
    runs "$scratch/cmake/hello" "$1/lib" && runs "$scratch/cmake/hello-static"
  local status=$?
  rm -rf "$scratch/cmake"
  return $status
}

# cmake_finds VERSION [NAME]: whether find_package takes what is installed for it.
cmake_finds() {
  mkdir -p "$scratch/finds"
  printf 'cmake_minimum_required(VERSION 3.14)\nproject(finds C)\nfind_package(%s %s REQUIRED)\n' "${2:-larder}" "$1" >"$scratch/finds/CMakeLists.txt"
  cmake -S "$scratch/finds" -B "$scratch/finds/build" -DCMAKE_PREFIX_PATH="$prefix" 2>&1
  local status=$?
  rm -rf "$scratch/finds"
  return $status
}

cmake_refuses() { ! cmake_finds "$@" >"$scratch/refused" && grep -q "$1" "$scratch/refused"; }

# with_cgo PROGRAM TAGS: a module of its own that asks for the installed library.
with_cgo() {
  mkdir -p "$scratch/cgo"
  cat >"$scratch/cgo/go.mod" <<MOD
module example.org/installed

go 1.25

require larder.dev/go v0.0.0

replace larder.dev/go => $tree/bindings/go
MOD
  cat >"$scratch/cgo/main.go" <<'GO'
package main

import (
	"fmt"
	"log"

	larder "larder.dev/go"
)

func main() {
	db, err := larder.Open("pantry")
	if err != nil {
		log.Fatal(err)
	}
	if err := db.Set([]byte("jam"), []byte("apricot")); err != nil {
		log.Fatal(err)
	}
	value, err := db.Get([]byte("jam"))
	fmt.Printf("jam: %s\n", value)
	if err != nil || db.Close() != nil {
		log.Fatal(err)
	}
}
GO
  (cd "$scratch/cgo" && PKG_CONFIG_PATH=$prefix/lib/pkgconfig CGO_LDFLAGS="-L$prefix/lib" "$go" build -tags "$2" -o "$scratch/$1" .)
}

with_cgo_shared() {
  with_cgo go-shared larder_pkgconfig && needs_the_soname "$scratch/go-shared" && runs "$scratch/go-shared" "$prefix/lib"
}

with_cgo_statically() {
  with_cgo go-static larder_static && needs_no_liblarder "$scratch/go-static" && runs "$scratch/go-static"
}

with_the_tree_itself() {
  export PKG_CONFIG_PATH=$tree/$BUILD_DIR
  $cc "$tree/examples/c/hello.c" $(pkg-config --cflags --libs larder) -Wl,-rpath,"$(pkg-config --variable=libdir larder)" -o "$scratch/tree" &&
    runs "$scratch/tree"
}

manual_page_is_clean() {
  local page
  page=$(MANWIDTH=80 LC_ALL=C.UTF-8 man --warnings -l "$prefix/share/man/man3/larder_get_into.3" 2>&1) || return 1
  grep -q 'larder_get_into()' <<<"$page" && ! grep -q 'warning' <<<"$page"
}

program_works_where_it_is_installed() {
  local page
  [ "$("$prefix/bin/larder" --version)" = "larder $VERSION" ] && (cd "$scratch" && "$prefix/bin/larder" set -d from-bin jam apricot) &&
    bash -n "$prefix/share/bash-completion/completions/larder" && grep -q '^#compdef larder' "$prefix/share/zsh/site-functions/_larder" &&
    grep -q '^complete -c larder' "$prefix/share/fish/vendor_completions.d/larder.fish" || return 1
  command -v man >/dev/null || return 0
  page=$(MANWIDTH=80 LC_ALL=C.UTF-8 man --warnings -l "$prefix/share/man/man1/larder.1" 2>&1) || return 1
  grep -q '^larder(1)' <<<"$page" && ! grep -q 'warning' <<<"$page"
}

# A program that was not built is not installed, and nothing of it.
no_program_no_files() {
  install_below PREFIX="$scratch/library" LARDER_PROGRAM= && [ ! -e "$scratch/library/bin" ] && [ ! -e "$scratch/library/share/man/man1" ] &&
    prints_nothing find "$scratch/library" -name '*larder.fish'
}

strips() {
  "$make" --no-print-directory -o build install-strip PREFIX="$scratch/stripped" &&
    lacks '\.debug_info' readelf -S "$scratch/stripped/lib/liblarder.so.0" &&
    lacks '\.debug_info' readelf -S "$scratch/stripped/bin/larder" && "$scratch/stripped/bin/larder" --version &&
    LD_LIBRARY_PATH= $cc "$tree/examples/c/hello.c" -I"$scratch/stripped/include" "$scratch/stripped/lib/liblarder.a" -lm -ldl -lpthread \
      -o "$scratch/from-stripped" && runs "$scratch/from-stripped" && runs "$scratch/pc-shared" "$scratch/stripped/lib"
}

prefix_is_empty() { prints_nothing find "$prefix" -mindepth 1; }

step "make install fills an empty prefix" install_below PREFIX="$prefix"
step "what is there is what the list says" list_matches
step "liblarder.so leads to liblarder.so.0 and that to the version" links_lead_to_the_library
step "a second install changes nothing" install_below PREFIX="$prefix"
step "DESTDIR is nowhere in what is installed, and uninstall obeys it" destdir_leaves_no_trace
step "the program, its manual page and its completions" program_works_where_it_is_installed
step "without the program, nothing of it" no_program_no_files
if command -v pkg-config >/dev/null; then
  step "pkg-config, shared" with_pkg_config
  # A linker takes the archive if the shared library is not there.
  mkdir -p "$scratch/archive/lib"
  cp -r "$prefix/include" "$scratch/archive/"
  cp -r "$prefix/lib/pkgconfig" "$prefix/lib/liblarder.a" "$scratch/archive/lib/"
  sed -i "s|^prefix=.*|prefix=$scratch/archive|" "$scratch/archive/lib/pkgconfig/larder.pc"
  step "pkg-config, static" with_pkg_config_statically "$scratch/archive"
  step "pkg-config, static, without any shared library" with_pkg_config_statically "$scratch/archive" -static
  step "pkg-config in the source tree" with_the_tree_itself
else
  skip "pkg-config is not installed (apt-get install pkg-config)"
fi
if command -v cmake >/dev/null; then
  step "CMake, shared and static" with_cmake "$prefix"
  step "CMake takes an older version for the name Larder too" cmake_finds 0.1 Larder
  step "CMake refuses a newer version" cmake_refuses 0.9
  step "CMake refuses another major version" cmake_refuses 1.0
  mv "$prefix" "$scratch/moved"
  step "CMake, after the prefix was moved" with_cmake "$scratch/moved"
  mv "$scratch/moved" "$prefix"
else
  skip "cmake is not installed (apt-get install cmake)"
fi
if command -v "$go" >/dev/null; then
  step "cgo, shared" with_cgo_shared
  step "cgo, static" with_cgo_statically
else
  skip "go is not installed"
fi
if command -v man >/dev/null; then
  step "the manual page of a function" manual_page_is_clean
else
  skip "man is not installed (apt-get install man-db)"
fi
step "install-strip leaves nothing for debuggers, and programs run" strips
step "uninstall" "$make" --no-print-directory uninstall PREFIX="$prefix"
step "the prefix is empty after it" prefix_is_empty

ls "$library_dir/liblarder.so" >/dev/null || failed=$((failed + 1))
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
