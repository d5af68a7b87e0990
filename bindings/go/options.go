package larder

import (
	"strconv"
	"strings"
	"time"
)

// Option changes how Open opens a store.
type Option func(*settings)

// settings is what the library is given: names and values in order, the last of a name wins.
type settings []setting

type setting struct{ name, value string }

func (s *settings) add(name, value string) {
	*s = append(*s, setting{name, value})
}

// WithSyncAlways makes every acknowledged write durable before the call returns; concurrent
// writers share one sync. This is the default of Open.
func WithSyncAlways() Option {
	return func(s *settings) { s.add("sync", "always") }
}

// WithSyncInterval syncs in the background this often, in whole milliseconds, one at least. A
// power cut takes at most that much plus one sync; a killed process loses nothing.
func WithSyncInterval(interval time.Duration) Option {
	return func(s *settings) { s.add("sync", "interval:"+strconv.FormatInt(millisUp(interval), 10)) }
}

// WithSyncNone leaves it to the kernel when writes reach the disk. A power cut may take the latest
// of them; a killed process loses nothing. Close and Sync are durable as ever.
func WithSyncNone() Option {
	return func(s *settings) { s.add("sync", "none") }
}

// WithReadOnly opens the store without a lock and without creating or changing any file. Writes
// are ErrReadOnly.
func WithReadOnly() Option {
	return func(s *settings) { s.add("read_only", "true") }
}

// WithoutCreate makes Open return ErrNotFound where there is no store, instead of creating one.
func WithoutCreate() Option {
	return func(s *settings) { s.add("create", "false") }
}

// WithSegmentSize sets the size in bytes that the store's files grow to: 64 KiB to 4 GiB.
func WithSegmentSize(size uint64) Option {
	return func(s *settings) { s.add("segment_size", strconv.FormatUint(size, 10)) }
}

// WithMaxSize limits the bytes that the store takes on disk; a write over it is ErrNoSpace, and
// deletes still work. 0 is no limit, the default.
func WithMaxSize(size uint64) Option {
	return func(s *settings) { s.add("max_size", strconv.FormatUint(size, 10)) }
}

// VerifyReads says which reads check what they read.
type VerifyReads string

const (
	// VerifyCopies checks every read that copies: all but View. The default.
	VerifyCopies VerifyReads = "copies"
	// VerifyAll checks views too.
	VerifyAll VerifyReads = "all"
	// VerifyNone checks no read; recovery, compaction and Verify still do.
	VerifyNone VerifyReads = "none"
)

// WithVerifyReads sets which reads check the record's checksum.
func WithVerifyReads(which VerifyReads) Option {
	return func(s *settings) { s.add("verify_reads", string(which)) }
}

// WithManualCompaction leaves it to calls of Compact when room is reclaimed.
func WithManualCompaction() Option {
	return func(s *settings) { s.add("compaction", "manual") }
}

// WithOption sets an option of the library by its name, for those newer than this package. An
// unknown name or a malformed value makes Open return ErrInvalidArgument.
func WithOption(name, value string) Option {
	return func(s *settings) { s.add(name, value) }
}

// Config is the same as a struct, for programs that read theirs from a file. The zero value of
// every field but DataDir is a sound choice.
//
// Mind that the zero SyncWrites is not Open's default: it syncs in the background, not on every
// write.
type Config struct {
	// DataDir is the store's directory.
	DataDir string
	// SyncWrites makes every write durable before it returns, as Open does by default.
	SyncWrites bool
	// SyncInterval is how often writes are synced in the background if SyncWrites is false: every
	// second if it is 0; if it is negative, when the kernel decides.
	SyncInterval time.Duration
	// ReadOnly opens without a lock and refuses writes.
	ReadOnly bool
	// MustExist makes a missing store ErrNotFound instead of a new one.
	MustExist bool
	// SegmentSize is the size in bytes that files grow to; 0 is the library's choice.
	SegmentSize uint64
	// MaxSize limits the bytes on disk; 0 is no limit.
	MaxSize uint64
	// VerifyReads says which reads check what they read; "" is VerifyCopies.
	VerifyReads VerifyReads
	// ManualCompaction leaves compaction to calls of Compact.
	ManualCompaction bool
	// Options are further options of the library, by name. They win over the fields.
	Options map[string]string
}

// options is c in the form that Open takes.
func (c Config) options() []Option {
	var opts []Option
	switch {
	case c.SyncWrites:
		opts = append(opts, WithSyncAlways())
	case c.SyncInterval < 0:
		opts = append(opts, WithSyncNone())
	case c.SyncInterval == 0:
		opts = append(opts, WithSyncInterval(time.Second))
	default:
		opts = append(opts, WithSyncInterval(c.SyncInterval))
	}
	if c.ReadOnly {
		opts = append(opts, WithReadOnly())
	}
	if c.MustExist {
		opts = append(opts, WithoutCreate())
	}
	if c.SegmentSize != 0 {
		opts = append(opts, WithSegmentSize(c.SegmentSize))
	}
	if c.MaxSize != 0 {
		opts = append(opts, WithMaxSize(c.MaxSize))
	}
	if c.VerifyReads != "" {
		opts = append(opts, WithVerifyReads(c.VerifyReads))
	}
	if c.ManualCompaction {
		opts = append(opts, WithManualCompaction())
	}
	for name, value := range c.Options {
		opts = append(opts, WithOption(name, value))
	}
	return opts
}

// hasNUL finds what would end a string early in C.
func (s setting) hasNUL() bool {
	return strings.IndexByte(s.name, 0) >= 0 || strings.IndexByte(s.value, 0) >= 0
}

// WithTimeout sets how long a call over a server waits for the server's next bytes, in whole
// milliseconds, one at least; 5 s by default. Over a directory it has no effect.
func WithTimeout(timeout time.Duration) Option {
	return func(s *settings) { s.add("timeout_ms", strconv.FormatInt(millisUp(timeout), 10)) }
}

// WithConnectTimeout sets how long a call waits for a connection to a server, in whole
// milliseconds, one at least; 2 s by default. Over a directory it has no effect.
func WithConnectTimeout(timeout time.Duration) Option {
	return func(s *settings) { s.add("connect_timeout_ms", strconv.FormatInt(millisUp(timeout), 10)) }
}

// WithPassword sets who asks a server: a user, empty for its default user, and the password. A
// location that names them goes before it. Over a directory it has no effect.
func WithPassword(user, password string) Option {
	return func(s *settings) {
		s.add("user", user)
		s.add("password", password)
	}
}
