package larder

import (
	"encoding/binary"
	"fmt"
	"math"
	"sync"
)

// bulkScratch holds buffers for GetMany and the iterators.
var bulkScratch = sync.Pool{New: func() any { return new([bulkLen]byte) }}

const bulkLen = 64 << 10

// groupCount is how many keys go into one call: enough to overlap their lookups, and few enough
// that a call which runs out of buffer has not read many keys in vain.
const groupCount = 512

// answerHeadLen is the length of an answer without value and padding.
const answerHeadLen = 16

// GetMany returns the values of keys, in their order: nil for a key that is missing or expired,
// empty and not nil for an empty value. The lookups overlap, which makes it several times as fast
// as one Get after the other. It is not a snapshot: each value is the key's own at some moment of
// the call.
//
// The values are the caller's own, but some share memory: to keep one of many for long, copy it.
func (db *DB) GetMany(keys [][]byte) ([][]byte, error) {
	if db.unusable() {
		return nil, ErrClosed
	}
	packed, out := bulkScratch.Get().(*[bulkLen]byte), bulkScratch.Get().(*[bulkLen]byte)
	defer bulkScratch.Put(packed)
	defer bulkScratch.Put(out)

	values := make([][]byte, len(keys))
	for first := 0; first < len(keys); first += groupCount {
		last := min(first+groupCount, len(keys))
		if err := db.getGroup(keys[first:last], values[first:last], packed[:0], out[:]); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// getGroup gets one group. packed is room for the packed keys, out for the answers.
func (db *DB) getGroup(keys, values [][]byte, packed, out []byte) error {
	for _, key := range keys {
		if uint64(len(key)) > math.MaxUint32 {
			return &Error{Status: StatusTooLarge, Text: fmt.Sprintf("a key of %d bytes is over the limit", len(key))}
		}
		packed = binary.LittleEndian.AppendUint32(packed, uint32(len(key)))
		packed = append(packed, key...)
		packed = appendPadding(packed, 4+len(key))
	}
	for len(keys) > 0 {
		used, answered, err := db.h.getMany(packed, out)
		if err != nil {
			return err
		}
		if err := db.takeAnswers(keys[:answered], values, out[:used]); err != nil {
			return err
		}
		if answered == 0 {
			// A value that is larger than out goes its own way.
			switch values[0], err = db.Get(keys[0]); err {
			case nil, ErrNotFound:
				answered = 1
			default:
				return err
			}
		}
		for _, key := range keys[:answered] {
			packed = packed[padded(4+len(key)):]
		}
		keys, values = keys[answered:], values[answered:]
	}
	return nil
}

// takeAnswers copies the answers to keys out of out, into one allocation for all of them.
func (db *DB) takeAnswers(keys, values [][]byte, out []byte) error {
	total := 0
	for rest, i := out, 0; i < len(keys); i++ {
		status := Status(binary.LittleEndian.Uint32(rest))
		valueLen := int(binary.LittleEndian.Uint64(rest[8:]))
		if status != 0 && status != StatusNotFound {
			return db.whyOf(keys[i], status)
		}
		total += valueLen
		rest = rest[answerHeadLen+padded(valueLen):]
	}
	slab := make([]byte, 0, total)
	for i := range keys {
		status := Status(binary.LittleEndian.Uint32(out))
		valueLen := int(binary.LittleEndian.Uint64(out[8:]))
		if status == 0 {
			start := len(slab)
			slab = append(slab, out[answerHeadLen:answerHeadLen+valueLen]...)
			values[i] = slab[start:len(slab):len(slab)]
		}
		out = out[answerHeadLen+padded(valueLen):]
	}
	return nil
}

// whyOf finds the details of a failure of one key among many, of which an answer has only the
// status: a failed read, unlike a failed write, may be asked for again.
func (db *DB) whyOf(key []byte, status Status) error {
	if _, err := db.Get(key); err != nil && err != ErrNotFound {
		return err
	}
	return sentinelOf(status)
}
