#!/usr/bin/env bash
# Builds the Debian packages, installs them, links and runs programs, purges them. `make deb-test` calls it.
#
# They are really installed, by dpkg, but into overlays of /etc, /usr and /var that only this process sees, so nothing of it is
# there afterwards. Each step is a test; a tool that is missing is a "SKIP:", and LARDER_FORBID_SKIP=1 makes that a failure.
set -uo pipefail
cd "$(dirname "$0")/.."

skip() {
  echo "SKIP: deb-test: $1"
  exit "${LARDER_FORBID_SKIP:-0}"
}

command -v dpkg-buildpackage >/dev/null || skip "dpkg-buildpackage is not installed (apt-get install dpkg-dev)"
command -v dh >/dev/null || skip "dh is not installed (apt-get install debhelper)"

if [ "${1:-}" != inside ]; then
  export scratch
  scratch=$(mktemp -d)
  trap 'rm -rf "$scratch"' EXIT
  # Root needs no namespace of users; without overlays there is nowhere to install to.
  isolate=(unshare --mount)
  [ "$(id -u)" -eq 0 ] || isolate=(unshare --map-root-user --mount)
  mkdir "$scratch/layers"
  "${isolate[@]}" bash -c 'cd "$scratch/layers" && mount -t tmpfs tmpfs . && cd "$scratch/layers" && mkdir lower upper work merged &&
    mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work merged' 2>/dev/null || skip "this process may not mount an overlay (root may)"
  if ! bash packaging/deb.sh "$BUILD_DIR/deb" >"$scratch/build.log" 2>&1; then
    tail -n 40 "$scratch/build.log"
    echo "FAILED: dpkg-buildpackage builds the packages"
    exit 1
  fi
  echo "ok   dpkg-buildpackage builds the packages: $(cd "$BUILD_DIR/deb" && stat -c '%n %s' *.deb | xargs)"
  "${isolate[@]}" bash "$0" inside
  exit
fi

passed=1 failed=0
. tests/steps.sh

# In memory: not every file system can be an overlay's upper one.
mount -t tmpfs tmpfs "$scratch/layers" || exit 1
for directory in etc usr var; do
  mkdir "$scratch/layers/$directory" "$scratch/layers/$directory.work"
  mount -t overlay overlay -o "lowerdir=/$directory,upperdir=$scratch/layers/$directory,workdir=$scratch/layers/$directory.work" "/$directory" || exit 1
done
export DEBIAN_FRONTEND=noninteractive PATH=$PATH:/usr/sbin:/sbin
unset LD_LIBRARY_PATH PKG_CONFIG_PATH
packages=$BUILD_DIR/deb
triplet=$(dpkg-architecture -qDEB_HOST_MULTIARCH)

runs() {
  local directory
  directory=$(mktemp -d -p "$scratch")
  (cd "$directory" && "$1" | tee out && grep -q 'jam: apricot' out)
}

links_shared() {
  ${CC:-cc} examples/c/hello.c $(pkg-config --cflags --libs larder) -o "$scratch/shared" &&
    has 'NEEDED.*\[liblarder\.so\.0\]' readelf -d "$scratch/shared" && runs "$scratch/shared"
}

links_static() {
  ${CC:-cc} examples/c/hello.c "/usr/lib/$triplet/liblarder.a" $(sed -n 's/^Libs.private: //p' "/usr/lib/$triplet/pkgconfig/larder.pc") \
    -o "$scratch/static" && lacks liblarder readelf -d "$scratch/static" && runs "$scratch/static"
}

links_with_cmake() {
  cmake -S examples/cmake -B "$scratch/cmake" && cmake --build "$scratch/cmake" && runs "$scratch/cmake/hello" && runs "$scratch/cmake/hello-static"
}

lint_is_clean() {
  # initial-upload-closes-no-bugs, no-symbols-control-file and the like are about an archive, not about the packages.
  lintian --fail-on error,warning --suppress-tags initial-upload-closes-no-bugs,unknown-field "$packages"/*.deb
}

is_verified() { prints_nothing dpkg --verify liblarder0 liblarder-dev; }
is_stripped() { lacks '\.debug_info' readelf -S "/usr/lib/$triplet/liblarder.so.0"; }
is_refused() { ! "$@"; }
is_cached() { has 'liblarder\.so\.0 ' ldconfig -p; }
has_manual_pages() { [ -e /usr/share/man/man3/larder.3.gz ] && [ -e /usr/share/man/man3/larder_get.3.gz ]; }
nothing_is_left() { prints_nothing find /usr /var/lib/dpkg/info /etc -xdev -name '*larder*'; }
depends_on() { dpkg-deb -f "$packages"/liblarder0_*.deb Depends | tee "$scratch/depends" && grep -q libc6 "$scratch/depends" && grep -q libgcc-s1 "$scratch/depends"; }

step "the library's package names what it needs" depends_on
step "liblarder-dev without liblarder0 is not configured" is_refused dpkg -i "$packages"/liblarder-dev_*.deb
step "both install" dpkg -i "$packages"/liblarder0_*.deb "$packages"/liblarder-dev_*.deb
step "what is installed is what the packages say" is_verified
step "the shared library is stripped" is_stripped
step "the loader knows it" is_cached
step "there are manual pages" has_manual_pages
step "a program links it, shared" links_shared
step "a program links it, static" links_static
if command -v cmake >/dev/null; then step "a program links it with CMake" links_with_cmake; fi
if command -v lintian >/dev/null; then step "lintian finds nothing" lint_is_clean; else echo "lintian is not installed: left out"; fi
step "the library cannot go before what needs it" is_refused dpkg -r liblarder0
step "both are purged" dpkg -P liblarder-dev liblarder0
step "nothing is left" nothing_is_left
step "the program finds no library any more" is_refused runs "$scratch/shared"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
