// Package larder is a key-value store inside your program: keys and values are bytes, everything is
// on disk, and reads are served from memory-mapped files.
//
//	db, err := larder.Open("/var/lib/app/store")
//	if err != nil {
//		return err
//	}
//	defer db.Close()
//
//	if err := db.Set([]byte("greeting"), []byte("hello")); err != nil {
//		return err
//	}
//	value, err := db.Get([]byte("greeting"))
//	if errors.Is(err, larder.ErrNotFound) {
//		// no such key
//	}
//
// A [DB] is for any number of goroutines. A store is for one process at a time; a second opener gets
// [ErrBusy] at once.
//
// # Reading
//
// [DB.Get] returns a copy. [DB.GetInto] copies into a buffer of yours and does not allocate.
// [DB.View] shows the value where it lies, without a copy. [DB.GetMany] looks up many keys at once,
// several times as fast as one by one. [DB.All] and [DB.Prefix] go through everything.
//
// # Writing
//
// [DB.Set], [DB.Delete] and their variants are atomic each; a [Batch] makes many of them atomic
// together. Whether a write is on the disk when it returns is the sync mode's: always, unless an
// option of [Open] says otherwise. In every mode a process that is killed loses nothing that has
// returned. In the mode always a write waits for the disk, and concurrent writers share one wait:
// many goroutines write much faster than one, each on a thread of its own while it waits.
//
// # Errors
//
// Outcomes to compare with are values such as [ErrNotFound]; use errors.Is. Each error is an
// [*Error], which carries the status, the system's errno, the place of damage and a sentence.
//
// # Building
//
// The package is a thin layer over liblarder, through cgo. By default it links the shared library
// that `make build` leaves in the source tree it lies in. With the build tag larder_static it links
// liblarder.a from there, and with larder_pkgconfig an installed library that pkg-config knows.
// Vendored, or from the module cache, use larder_pkgconfig, or name the library's directory in
// CGO_LDFLAGS. The header comes with the package.
package larder
