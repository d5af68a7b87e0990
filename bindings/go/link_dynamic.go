//go:build !larder_static && !larder_pkgconfig

package larder

// The default: the shared library of the source tree that this package lies in. Elsewhere the two
// directories do not exist, which does no harm: name yours in CGO_LDFLAGS, or install the library,
// or build with the tag larder_pkgconfig.

// #cgo LDFLAGS: -L${SRCDIR}/../../target/release -llarder -Wl,-rpath,${SRCDIR}/../../target/release
import "C"
