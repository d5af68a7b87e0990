//go:build larder_static

package larder

// The static library of the source tree, and what Rust's standard library needs of the system. Elsewhere, as in a vendor
// directory, name the directory that has liblarder.a: CGO_LDFLAGS=-L<directory>.

// #cgo LDFLAGS: -L${SRCDIR}/../../target/release -l:liblarder.a
// #cgo linux LDFLAGS: -lgcc_s -lutil -lrt -lpthread -lm -ldl -lc
import "C"
