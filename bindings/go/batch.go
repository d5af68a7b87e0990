package larder

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
)

// Batch collects writes that happen together: after Write either all of them are there or none is,
// for every reader and after any crash. A key may occur more than once; the last wins.
//
// A Batch is for one goroutine at a time. It keeps copies of keys and values, in one buffer that
// Write hands over in one call.
type Batch struct {
	db    *DB
	ops   []byte
	count int
	err   error // the first that an operation was refused with; Write returns it
}

// Batch returns a new, empty batch.
func (db *DB) Batch() *Batch {
	return &Batch{db: db}
}

// Operations of larder_write_packed.
const (
	opSet uint32 = 1
	opDel uint32 = 2
)

// opHeadLen is the length of an operation without key, value and padding.
const opHeadLen = 24

// Set adds the setting of key to value, without expiry.
func (b *Batch) Set(key, value []byte) {
	b.add(opSet, key, value, 0)
}

// SetTTL adds the setting of key to value, to expire in ttl from Write on. See [DB.SetTTL].
func (b *Batch) SetTTL(key, value []byte, ttl time.Duration) {
	ttlMillis, err := setTTLMillis(ttl)
	if err != nil {
		b.refuse(err)
		return
	}
	b.add(opSet, key, value, ttlMillis)
}

// SetKeepTTL adds the setting of key to value with the expiry that key has when the batch is written, none if it is not
// live then.
func (b *Batch) SetKeepTTL(key, value []byte) {
	b.add(opSet, key, value, -1)
}

// Delete adds the deletion of key, which need not be there.
func (b *Batch) Delete(key []byte) {
	b.add(opDel, key, nil, 0)
}

// Len is the number of operations in the batch.
func (b *Batch) Len() int {
	return b.count
}

// Reset empties the batch, its errors included, and keeps its memory for the next operations.
func (b *Batch) Reset() {
	b.ops, b.count, b.err = b.ops[:0], 0, nil
}

// Write carries the batch out and empties it, ready for the next operations. After an error nothing
// of the batch is carried out, and it is as it was: try again, or Reset it. An operation that could
// not be added (a negative ttl) is such an error too.
func (b *Batch) Write() error {
	return b.write(0)
}

// WriteSync is Write, durable on return whatever the store's sync mode.
func (b *Batch) WriteSync() error {
	return b.write(flagSync)
}

func (b *Batch) write(flags uint32) error {
	if b.db.unusable() {
		return ErrClosed
	}
	if b.err != nil {
		return b.err
	}
	badOffset, err := b.db.h.writePacked(b.ops, flags)
	if err != nil {
		return b.blame(err, badOffset)
	}
	b.Reset()
	return nil
}

func (b *Batch) add(op uint32, key, value []byte, ttlMillis int64) {
	if uint64(len(key)) > math.MaxUint32 {
		b.refuse(&Error{Status: StatusTooLarge, Text: fmt.Sprintf("a key of %d bytes is over the limit", len(key))})
		return
	}
	b.ops = binary.LittleEndian.AppendUint32(b.ops, op)
	b.ops = binary.LittleEndian.AppendUint32(b.ops, uint32(len(key)))
	b.ops = binary.LittleEndian.AppendUint64(b.ops, uint64(len(value)))
	b.ops = binary.LittleEndian.AppendUint64(b.ops, uint64(ttlMillis))
	b.ops = append(b.ops, key...)
	b.ops = append(b.ops, value...)
	b.ops = appendPadding(b.ops, len(key)+len(value))
	b.count++
}

func (b *Batch) refuse(err error) {
	if b.err == nil {
		b.err = atOperation(err, b.count)
	}
}

// blame says which operation the library refused, if it was one.
func (b *Batch) blame(err error, badOffset int) error {
	if badOffset < 0 || badOffset >= len(b.ops) {
		return err
	}
	n := 0
	for at := 0; at < badOffset; n++ {
		keyLen := int(binary.LittleEndian.Uint32(b.ops[at+4:]))
		valueLen := int(binary.LittleEndian.Uint64(b.ops[at+8:]))
		at += opHeadLen + padded(keyLen+valueLen)
	}
	return atOperation(err, n)
}

// atOperation adds to err which operation of the batch it is about.
func atOperation(err error, n int) error {
	failure, ok := err.(*Error)
	if !ok {
		return err
	}
	found := *failure
	found.Text = fmt.Sprintf("batch operation %d: %s", n, failure.Text)
	return &found
}

// padded is n rounded up to a multiple of 8, as all entries of packed buffers are.
func padded(n int) int {
	return (n + 7) &^ 7
}

// appendPadding appends the zeros that follow n bytes.
func appendPadding(b []byte, n int) []byte {
	var zeros [8]byte
	return append(b, zeros[:padded(n)-n]...)
}
