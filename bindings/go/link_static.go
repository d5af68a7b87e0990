//go:build larder_static

package larder

// The static library of the source tree, and what Rust's standard library needs of the system.

// #cgo LDFLAGS: ${SRCDIR}/../../target/release/liblarder.a
// #cgo linux LDFLAGS: -lgcc_s -lutil -lrt -lpthread -lm -ldl -lc
import "C"
