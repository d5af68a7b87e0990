package larder

import (
	"fmt"
	"strings"
)

// DB is an open store. Any number of goroutines may use it at the same time, Close included.
//
// A DB that is dropped without Close is not closed behind your back: closing syncs, can take its
// time and can fail, which is nothing for the garbage collector to do. The store then stays open
// and locked until the process ends. Writes are safe all the same: they were when they returned.
type DB struct {
	h handle
}

// Open opens the store in dir, and creates it if it is not there (dir's parent must be). While it
// is open, another Open of the same store is ErrBusy, at once.
//
// Every write is durable when it returns, unless an option says otherwise.
func Open(dir string, opts ...Option) (*DB, error) {
	s, err := settingsOf(opts, dir)
	if err != nil {
		return nil, err
	}
	h, err := openHandle(dir, s)
	if err != nil {
		return nil, err
	}
	return &DB{h}, nil
}

// settingsOf is what opts say. C's strings end at a zero byte, so there may be none in them, nor in dirs.
func settingsOf(opts []Option, dirs ...string) (settings, error) {
	var s settings
	for _, opt := range opts {
		opt(&s)
	}
	for _, dir := range dirs {
		if strings.IndexByte(dir, 0) >= 0 {
			return nil, invalid("the directory's name has a zero byte")
		}
	}
	for _, one := range s {
		if one.hasNUL() {
			return nil, invalid(fmt.Sprintf("option %q has a zero byte", one.name))
		}
	}
	return s, nil
}

// OpenWithConfig opens the store in config.DataDir. See [Config] for how its zero value differs
// from Open without options.
func OpenWithConfig(config Config) (*DB, error) {
	return Open(config.DataDir, config.options()...)
}

// Close syncs the store, whatever the sync mode, and closes it. It closes also if it returns an
// error: that of the last sync, or the failure that made the store refuse writes before. What was not
// durable by then may be lost in a power cut. Calls that other goroutines have under way end first;
// every later call is ErrClosed, a second Close too.
func (db *DB) Close() error {
	if db.unusable() {
		return ErrClosed
	}
	return db.h.close()
}

// unusable is true of a nil DB and of one that Open did not make. Whether a real one is closed is
// the library's to say: only there does the answer not race with Close.
func (db *DB) unusable() bool {
	return db == nil || db.h == 0
}

// Len is the number of live keys. Keys that have expired may be counted for up to a second more.
func (db *DB) Len() (uint64, error) {
	if db.unusable() {
		return 0, ErrClosed
	}
	return db.h.len()
}

// Sync makes every write that has returned durable, whatever the sync mode.
func (db *DB) Sync() error {
	if db.unusable() {
		return ErrClosed
	}
	return db.h.sync()
}

// Compact reclaims the room of overwritten, deleted and expired records now. The store does so by
// itself in the background, unless it was opened WithManualCompaction.
func (db *DB) Compact() error {
	if db.unusable() {
		return ErrClosed
	}
	return db.h.compact()
}

// Verify reads the whole store and checks every record. Damage is ErrCorrupt: the [*Error] names
// the first damaged place, and its BadRecords says how many there are.
func (db *DB) Verify() error {
	if db.unusable() {
		return ErrClosed
	}
	badRecords, err := db.h.verify()
	if failure, ok := err.(*Error); ok && badRecords != 0 {
		found := *failure
		found.BadRecords = badRecords
		return &found
	}
	return err
}

// Stats returns the figures of this moment.
func (db *DB) Stats() (Stats, error) {
	if db.unusable() {
		return Stats{}, ErrClosed
	}
	return db.h.stats()
}

// Stats are the figures of one store at one moment. Counts start at zero when it is opened.
type Stats struct {
	Keys           uint64 // live keys
	LiveBytes      uint64 // bytes of whole live records, heads and padding included
	DeadBytes      uint64 // bytes of records that compaction can or will drop
	FileBytes      uint64 // bytes that the store's files take on disk, reserved room included
	Segments       uint64 // files
	MappedBytes    uint64 // bytes of address space
	IndexBytes     uint64 // bytes of memory of the index
	PinnedViews    uint64 // views that are held at this moment
	Gets           uint64 // reads of one key, of any kind
	Hits           uint64 // those that found a live key
	Sets           uint64 // records written by sets, expires and batches
	Dels           uint64 // keys deleted
	Expired        uint64 // keys removed because their time was over
	Syncs          uint64 // syncs of the log
	Compactions    uint64 // compactions that were committed
	CompactedBytes uint64 // bytes of records that compactions copied
}

// Version is the version of the library that the program runs with, such as "0.1.0".
func Version() string {
	return libraryVersion()
}
