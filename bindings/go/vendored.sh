#!/usr/bin/env bash
# Whether the package works vendored: a scratch module that vendors it builds and runs, with the shared library and with
# the static one. vendored.sh LIBRARY_DIR; `make go-vendor-test`.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
library_dir=$1
go=${GO:-go}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"

cat >go.mod <<MOD
module example.org/scratch

go 1.25

require larder.dev/go v0.0.0

replace larder.dev/go => $here
MOD
cat >main.go <<'GO'
package main

import (
	"fmt"
	"log"

	larder "larder.dev/go"
)

func main() {
	db, err := larder.Open("store")
	if err != nil {
		log.Fatal(err)
	}
	if err := db.Set([]byte("k"), []byte("vendored")); err != nil {
		log.Fatal(err)
	}
	value, err := db.Get([]byte("k"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s, larder %s\n", value, larder.Version())
	if err := db.Close(); err != nil {
		log.Fatal(err)
	}
}
GO
"$go" mod vendor
# `go mod vendor` takes no directory without a .go file: the headers have to lie beside the code.
ls vendor/larder.dev/go/larder.h vendor/larder.dev/go/bridge.h >/dev/null

CGO_LDFLAGS="-L$library_dir -Wl,-rpath,$library_dir" "$go" build -mod=vendor -o shared .
[ "$(./shared)" = "vendored, larder $(./shared | sed 's/.* //')" ]
# Not `readelf | grep -q`, which ends the writer at the first match: under pipefail now and then a failure, or none.
readelf -d shared >needed && grep -q 'liblarder\.so\.0' needed
CGO_LDFLAGS="-L$library_dir" "$go" build -mod=vendor -tags larder_static -o static .
./static
readelf -d static >needed
if grep -q liblarder needed; then
  echo "FAILED: the static program wants the shared library"
  exit 1
fi
echo "2 passed, 0 failed"
