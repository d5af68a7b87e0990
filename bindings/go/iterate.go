package larder

import (
	"bytes"
	"encoding/binary"
	"iter"
)

// All returns an iterator over all live keys and their values, in no particular order, and a
// function that says after the loop whether it ended because of an error:
//
//	entries, failed := db.All()
//	for key, value := range entries {
//		…
//	}
//	if err := failed(); err != nil {
//		…
//	}
//
// It is not a snapshot: a key that is live throughout the loop comes exactly once, one that is set
// or deleted meanwhile may or may not, and entries are read ahead, a few dozen kilobytes at a time.
// The loop may change the store. Keys and values are copies, and the caller's own.
//
// Nothing is opened before the loop starts, and leaving it early, also by a panic, closes
// everything. The iterator may be used again, then it starts afresh; it is for one goroutine at a
// time.
func (db *DB) All() (iter.Seq2[[]byte, []byte], func() error) {
	return db.Prefix(nil)
}

// Prefix is All for the keys that begin with prefix.
func (db *DB) Prefix(prefix []byte) (iter.Seq2[[]byte, []byte], func() error) {
	prefix = bytes.Clone(prefix)
	var failure error
	entries := func(yield func(key, value []byte) bool) {
		failure = nil
		failure = db.scan(prefix, false, func(key, value []byte) bool {
			// One allocation for both; the capacities keep an append to one off the other.
			both := make([]byte, len(key)+len(value))
			n := copy(both, key)
			copy(both[n:], value)
			return yield(both[:n:n], both[n:])
		})
	}
	return entries, func() error { return failure }
}

// scan calls visit with each entry until it returns false. What it is called with is only good
// until it returns. With keysOnly the values are empty.
func (db *DB) scan(prefix []byte, keysOnly bool, visit func(key, value []byte) bool) error {
	if db.unusable() {
		return ErrClosed
	}
	cursor, err := db.h.cursor(prefix)
	if err != nil {
		return err
	}
	defer cursor.close()
	scratch := bulkScratch.Get().(*[bulkLen]byte)
	defer bulkScratch.Put(scratch)

	buffer := scratch[:readAheadLen]
	for {
		filled, more, need, err := cursor.fill(buffer, keysOnly)
		for rest := buffer[:filled]; len(rest) > 0; {
			keyLen := int(binary.NativeEndian.Uint64(rest))
			valueLen := int(binary.NativeEndian.Uint64(rest[8:]))
			key := rest[entryHeadLen:][:keyLen]
			value := rest[entryHeadLen+keyLen:][:valueLen]
			if !visit(key, value) {
				return nil
			}
			rest = rest[entryHeadLen+keyLen+valueLen:]
		}
		if err != nil || !more {
			return err
		}
		if need > len(buffer) {
			buffer = make([]byte, need)
		}
	}
}

// readAheadLen is how much the iterators read ahead: enough that the call into C is spread over
// many small entries, and little enough that a slow loop does not see values from long ago.
const readAheadLen = 32 << 10
