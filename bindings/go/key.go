package larder

import (
	"bytes"
	"sync"
	"time"
)

// getScratch holds buffers for Get. Up to their size, a second copy of the value costs less than
// asking the library a second time; the size is where the two meet.
var getScratch = sync.Pool{New: func() any { return new([8 << 10]byte) }}

// Get returns a copy of key's value, which is the caller's own. An empty value is empty, not nil. A
// missing or expired key is ErrNotFound.
func (db *DB) Get(key []byte) ([]byte, error) {
	if db.unusable() {
		return nil, ErrClosed
	}
	scratch := getScratch.Get().(*[8 << 10]byte)
	defer getScratch.Put(scratch)
	n, err := db.h.getInto(key, scratch[:])
	if err == nil {
		value := make([]byte, n)
		copy(value, scratch[:])
		return value, nil
	}
	// A value that another goroutine replaces by a longer one meanwhile does not fit again.
	for err == ErrBufferTooSmall {
		value := make([]byte, n)
		if n, err = db.h.getInto(key, value); err == nil {
			return value[:n:n], nil
		}
	}
	return nil, err
}

// GetInto copies key's value into dst and returns its length. If len(dst) is too short, the error
// is ErrBufferTooSmall, n is the length that is needed, and dst is as it was. It does not allocate;
// key and dst may be on the stack.
func (db *DB) GetInto(key, dst []byte) (n int, err error) {
	if db.unusable() {
		return 0, ErrClosed
	}
	return db.h.getInto(key, dst)
}

// View calls fn with key's value where it lies in the store, without a copy, and returns fn's
// error. The value must not be written to, and is only good until fn returns: fn copies what it
// wants to keep. While fn runs the value stays as it is, also if the key is overwritten or the
// store closed. fn may use the DB.
//
// A missing key is ErrNotFound, and fn is not called. Views are not checked against damage of the
// disk unless the store was opened WithVerifyReads(VerifyAll).
func (db *DB) View(key []byte, fn func(value []byte) error) error {
	if db.unusable() {
		return ErrClosed
	}
	return db.h.view(key, fn)
}

// Has says whether key is live.
func (db *DB) Has(key []byte) (bool, error) {
	if db.unusable() {
		return false, ErrClosed
	}
	switch err := db.h.exists(key); err {
	case nil:
		return true, nil
	case ErrNotFound:
		return false, nil
	default:
		return false, err
	}
}

// Set sets key to value, and clears an expiry that key had. Both are copied; both may be empty.
func (db *DB) Set(key, value []byte) error {
	if db.unusable() {
		return ErrClosed
	}
	return db.h.set(key, value)
}

// NoExpiry is the time to live of a key that does not expire: what TTL returns for one, and what
// SetTTL and Expire take to make one.
const NoExpiry time.Duration = -1

// SetTTL sets key to value, to expire in ttl from now, rounded up to a whole millisecond. A ttl of
// 0 or NoExpiry means that it does not expire; another negative one is ErrInvalidArgument.
func (db *DB) SetTTL(key, value []byte, ttl time.Duration) error {
	_, err := db.SetWith(key, value, SetOptions{TTL: ttl})
	return err
}

// SetIfAbsent sets key to value if key is not live, else it is ErrExists and nothing is changed.
func (db *DB) SetIfAbsent(key, value []byte) error {
	_, err := db.SetWith(key, value, SetOptions{IfAbsent: true})
	return err
}

// SetIfPresent sets key to value if key is live, else it is ErrNotFound and nothing is changed. It
// clears an expiry.
func (db *DB) SetIfPresent(key, value []byte) error {
	_, err := db.SetWith(key, value, SetOptions{IfPresent: true})
	return err
}

// SetOptions are the ways in which SetWith can set.
type SetOptions struct {
	// TTL is as for SetTTL.
	TTL time.Duration
	// KeepTTL keeps the expiry that the key has, if it is live. TTL must be 0 then.
	KeepTTL bool
	// IfAbsent sets only if the key is not live, else it is ErrExists.
	IfAbsent bool
	// IfPresent sets only if the key is live, else it is ErrNotFound.
	IfPresent bool
	// Sync makes this write, and all before it, durable before the call returns, whatever the
	// store's sync mode.
	Sync bool
}

// SetWith sets key to value as options say, and returns the record's version, which grows with
// every change of the store.
func (db *DB) SetWith(key, value []byte, options SetOptions) (version uint64, err error) {
	if db.unusable() {
		return 0, ErrClosed
	}
	ttlMillis, err := setTTLMillis(options.TTL)
	if err != nil {
		return 0, err
	}
	if options.KeepTTL {
		if ttlMillis != 0 {
			return 0, invalid("both a time to live and KeepTTL were given")
		}
		ttlMillis = -1
	}
	var flags uint32
	if options.IfAbsent {
		flags |= flagIfAbsent
	}
	if options.IfPresent {
		flags |= flagIfPresent
	}
	if options.Sync {
		flags |= flagSync
	}
	return db.h.setWith(key, value, ttlMillis, flags)
}

// Delete deletes key. If it is not live, that is ErrNotFound.
func (db *DB) Delete(key []byte) error {
	if db.unusable() {
		return ErrClosed
	}
	return db.h.del(key)
}

// TTL returns how much longer key lives, NoExpiry if for ever. A key whose time is over is
// ErrExpired as long as the store remembers it, then ErrNotFound like any missing key.
func (db *DB) TTL(key []byte) (time.Duration, error) {
	if db.unusable() {
		return 0, ErrClosed
	}
	return db.h.ttl(key)
}

// Expire makes key expire in ttl from now, rounded up to a whole millisecond: at once if ttl is 0,
// never if it is NoExpiry. Another negative one is ErrInvalidArgument.
func (db *DB) Expire(key []byte, ttl time.Duration) error {
	if db.unusable() {
		return ErrClosed
	}
	if ttl == NoExpiry {
		return db.h.expire(key, -1)
	}
	if ttl < 0 {
		return errNegativeTTL
	}
	return db.h.expire(key, millisUp(ttl))
}

// Persist makes key live for ever.
func (db *DB) Persist(key []byte) error {
	return db.Expire(key, NoExpiry)
}

// Keys returns all live keys, in no particular order. For a large store, range over All instead.
func (db *DB) Keys() ([][]byte, error) {
	keys := [][]byte{}
	err := db.scan(nil, true, func(key, _ []byte) bool {
		keys = append(keys, bytes.Clone(key))
		return true
	})
	if err != nil {
		return nil, err
	}
	return keys, nil
}

var errNegativeTTL = invalid("a time to live is negative")

// setTTLMillis is ttl as the library takes it for a set: 0 is no expiry.
func setTTLMillis(ttl time.Duration) (int64, error) {
	if ttl == NoExpiry {
		return 0, nil
	}
	if ttl < 0 {
		return 0, errNegativeTTL
	}
	return millisUp(ttl), nil
}

// millisUp is d in milliseconds, rounded up: what lives a microsecond must not live for ever, which
// is what 0 means.
func millisUp(d time.Duration) int64 {
	millis := int64(d / time.Millisecond)
	if d%time.Millisecond > 0 {
		millis++
	}
	return millis
}
