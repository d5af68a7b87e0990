#!/usr/bin/env bash
# Builds the Debian packages with dpkg-buildpackage: deb.sh OUTPUT_DIRECTORY. `make deb` calls it.
#
# dpkg-buildpackage wants debian/ at the top of the sources and writes beside them, so a copy of the sources is made; the
# library is taken from $LIB_DIR as it was built.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p "$1"
output=$(realpath "$1")
library_dir=$(realpath "$LIB_DIR")

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
source=$scratch/larder-$VERSION
mkdir "$source"
cp -r Makefile Cargo.toml LICENSE-* README.md CHANGELOG.md include packaging "$source/"
mkdir -p "$source/bindings" "$source/examples"
cp -r bindings/c bindings/cpp "$source/bindings/"
cp -r examples/c "$source/examples/"
mv "$source/packaging/debian" "$source/debian"

cd "$source"
packaged=$(dpkg-parsechangelog -S Version)
if [ "${packaged%-*}" != "$VERSION" ]; then
  echo "packaging/debian/changelog is about $packaged, the library is $VERSION"
  exit 1
fi
# dh would look at a surrounding make's jobs and targets.
unset MAKEFLAGS MAKELEVEL MFLAGS
LARDER_PREBUILT=$library_dir DEB_BUILD_OPTIONS="noautodbgsym nocheck ${DEB_BUILD_OPTIONS:-}" \
  dpkg-buildpackage --build=binary --no-sign
cp ../*.deb "$output/"
ls -l "$output"
