//go:build larder_pkgconfig && !larder_static

package larder

// An installed library, found through larder.pc.

// #cgo pkg-config: larder
import "C"
