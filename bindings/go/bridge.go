package larder

// The only file that calls C. Every other file is plain Go over the methods of handle.
//
// Rules kept here: each method makes one cgo call on the way without failures. C keeps no Go
// pointer after a call. The hot calls are noescape (their arguments may live on the caller's
// stack) and nocallback (the library never calls into Go).

/*
#cgo CFLAGS: -I${SRCDIR}
#cgo noescape   lgo_get_into
#cgo nocallback lgo_get_into
#cgo noescape   lgo_set
#cgo nocallback lgo_set
#cgo noescape   lgo_set_with
#cgo nocallback lgo_set_with
#cgo noescape   lgo_del
#cgo nocallback lgo_del
#cgo noescape   lgo_exists
#cgo nocallback lgo_exists
#cgo noescape   lgo_ttl
#cgo nocallback lgo_ttl
#cgo noescape   lgo_expire
#cgo nocallback lgo_expire
#cgo noescape   lgo_get_view
#cgo nocallback lgo_get_view
#cgo noescape   lgo_view_release
#cgo nocallback lgo_view_release
#cgo noescape   lgo_get_many
#cgo nocallback lgo_get_many
#cgo noescape   lgo_write_packed
#cgo nocallback lgo_write_packed
#cgo noescape   lgo_cursor_open
#cgo nocallback lgo_cursor_open
#cgo noescape   lgo_cursor_fill
#cgo nocallback lgo_cursor_fill
#cgo noescape   lgo_cursor_close
#cgo nocallback lgo_cursor_close
#include "bridge.h"
*/
import "C"

import (
	"math"
	"syscall"
	"time"
	"unsafe"
)

// handle is the library's larder *: an address in C memory, which the library keeps for ever, so
// that a call on a closed handle is an answer and not a crash.
type handle C.uintptr_t

// cursorHandle is an lgo_cursor * of bridge.h.
type cursorHandle C.uintptr_t

// bytesAt is the address of b's first byte. An empty b may give nil, which C takes as no bytes.
func bytesAt(b []byte) *C.uint8_t {
	return (*C.uint8_t)(unsafe.Pointer(unsafe.SliceData(b)))
}

// errorOf turns how a call ended into an error, and frees what the call left.
func errorOf(r C.lgo_result) error {
	if r.status == C.LARDER_OK {
		return nil
	}
	// The answer of every cache in front of something: not to allocate here is worth a line.
	if r.status == C.LARDER_NOT_FOUND {
		return ErrNotFound
	}
	return failureOf(r)
}

func failureOf(r C.lgo_result) error {
	status := Status(r.status)
	if r.failure == nil {
		return sentinelOf(status)
	}
	defer C.lgo_failure_free(r.failure)
	// Nothing that the library could add makes a closed handle more closed.
	if status == StatusClosed {
		return ErrClosed
	}
	return &Error{
		Status: status,
		Errno:  syscall.Errno(r.failure.os_errno),
		Offset: uint64(r.failure.offset),
		Text:   C.GoString(&r.failure.message[0]),
	}
}

// newOptions makes options of settings: names and values in the order in which they are set. The caller
// frees them.
func newOptions(settings []setting) (*C.larder_options, error) {
	options := C.larder_options_new()
	if options == nil {
		return nil, ErrOutOfMemory
	}
	for _, s := range settings {
		if err := setOption(options, s); err != nil {
			C.larder_options_free(options)
			return nil, err
		}
	}
	return options, nil
}

func openHandle(location string, settings []setting) (handle, error) {
	options, err := newOptions(settings)
	if err != nil {
		return 0, err
	}
	defer C.larder_options_free(options)
	at := C.CString(location)
	defer C.free(unsafe.Pointer(at))
	r := C.lgo_open(at, options)
	return handle(r.number), errorOf(r)
}

func salvage(source, target string, settings []setting) (SalvageReport, error) {
	options, err := newOptions(settings)
	if err != nil {
		return SalvageReport{}, err
	}
	defer C.larder_options_free(options)
	from, to := C.CString(source), C.CString(target)
	defer C.free(unsafe.Pointer(from))
	defer C.free(unsafe.Pointer(to))
	out := C.lgo_salvage_run(from, to, options)
	if err := errorOf(out.result); err != nil {
		return SalvageReport{}, err
	}
	defer C.lgo_salvage_free(out.losses)
	r := out.report
	return SalvageReport{
		Segments:         uint64(r.segments),
		Records:          uint64(r.records),
		Keys:             uint64(r.keys),
		Bytes:            uint64(r.bytes),
		LostBytes:        uint64(r.lost_bytes),
		HasWholeManifest: r.has_whole_manifest != 0,
		Losses:           lossLines(C.GoStringN((*C.char)(out.losses), C.int(out.losses_len))),
	}, nil
}

func setOption(options *C.larder_options, s setting) error {
	name, value := C.CString(s.name), C.CString(s.value)
	defer C.free(unsafe.Pointer(name))
	defer C.free(unsafe.Pointer(value))
	return errorOf(C.lgo_options_set(options, name, value))
}

func (h handle) close() error {
	return errorOf(C.lgo_close(C.uintptr_t(h)))
}

func (h handle) getInto(key, dst []byte) (int, error) {
	r := C.lgo_get_into(C.uintptr_t(h), bytesAt(key), C.size_t(len(key)), bytesAt(dst), C.size_t(len(dst)))
	return int(r.number), errorOf(r)
}

func (h handle) set(key, value []byte) error {
	return errorOf(C.lgo_set(C.uintptr_t(h), bytesAt(key), C.size_t(len(key)), bytesAt(value), C.size_t(len(value))))
}

// Flags of setWith and writePacked.
const (
	flagIfAbsent  uint32 = C.LARDER_IF_ABSENT
	flagIfPresent uint32 = C.LARDER_IF_PRESENT
	flagSync      uint32 = C.LARDER_SYNC
)

func (h handle) setWith(key, value []byte, ttlMillis int64, flags uint32) (uint64, error) {
	r := C.lgo_set_with(C.uintptr_t(h), bytesAt(key), C.size_t(len(key)), bytesAt(value), C.size_t(len(value)),
		C.int64_t(ttlMillis), C.uint32_t(flags))
	return uint64(r.number), errorOf(r)
}

func (h handle) del(key []byte) error {
	return errorOf(C.lgo_del(C.uintptr_t(h), bytesAt(key), C.size_t(len(key))))
}

func (h handle) exists(key []byte) error {
	return errorOf(C.lgo_exists(C.uintptr_t(h), bytesAt(key), C.size_t(len(key))))
}

func (h handle) ttl(key []byte) (time.Duration, error) {
	r := C.lgo_ttl(C.uintptr_t(h), bytesAt(key), C.size_t(len(key)))
	if err := errorOf(r); err != nil {
		return 0, err
	}
	switch millis := int64(r.number); {
	case millis < 0:
		return NoExpiry, nil
	case millis > math.MaxInt64/int64(time.Millisecond):
		// Other languages can set what a time.Duration cannot hold: some 292 years and more.
		return math.MaxInt64, nil
	default:
		return time.Duration(millis) * time.Millisecond, nil
	}
}

func (h handle) expire(key []byte, ttlMillis int64) error {
	return errorOf(C.lgo_expire(C.uintptr_t(h), bytesAt(key), C.size_t(len(key)), C.int64_t(ttlMillis)))
}

// view calls fn with key's value in place. The pin is given back however fn ends.
func (h handle) view(key []byte, fn func(value []byte) error) error {
	out := C.lgo_get_view(C.uintptr_t(h), bytesAt(key), C.size_t(len(key)))
	if err := errorOf(out.result); err != nil {
		return err
	}
	defer C.lgo_view_release(out.data, out.len, out.version, out.expires_at_ms, out.pin)
	value := []byte{}
	if out.len != 0 {
		// The capacity is the length: an append to it must not write into the store.
		value = unsafe.Slice((*byte)(out.data), int(out.len))
	}
	return fn(value)
}

// getMany is one call of larder_get_many_packed: used bytes of out hold the answers to the first
// answered keys.
func (h handle) getMany(keys, out []byte) (used, answered int, err error) {
	many := C.lgo_get_many(C.uintptr_t(h), bytesAt(keys), C.size_t(len(keys)), bytesAt(out), C.size_t(len(out)))
	if many.result.status != C.LARDER_BUFFER_TOO_SMALL {
		err = errorOf(many.result)
	}
	return int(many.used), int(many.answered), err
}

// writePacked applies ops. badOffset is the offset of the entry that is to blame, -1 if none is.
func (h handle) writePacked(ops []byte, flags uint32) (badOffset int, err error) {
	r := C.lgo_write_packed(C.uintptr_t(h), bytesAt(ops), C.size_t(len(ops)), C.uint32_t(flags))
	if uint64(r.number) > math.MaxInt {
		return -1, errorOf(r)
	}
	return int(r.number), errorOf(r)
}

func (h handle) len() (uint64, error) {
	r := C.lgo_len(C.uintptr_t(h))
	return uint64(r.number), errorOf(r)
}

func (h handle) sync() error {
	return errorOf(C.lgo_sync(C.uintptr_t(h)))
}

func (h handle) compact() error {
	return errorOf(C.lgo_compact(C.uintptr_t(h)))
}

func (h handle) verify() (badRecords uint64, err error) {
	r := C.lgo_verify(C.uintptr_t(h))
	return uint64(r.number), errorOf(r)
}

func (h handle) stats() (Stats, error) {
	out := C.lgo_stats_get(C.uintptr_t(h))
	if err := errorOf(out.result); err != nil {
		return Stats{}, err
	}
	s := out.stats
	return Stats{
		Keys:           uint64(s.keys),
		LiveBytes:      uint64(s.live_bytes),
		DeadBytes:      uint64(s.dead_bytes),
		FileBytes:      uint64(s.file_bytes),
		Segments:       uint64(s.segments),
		MappedBytes:    uint64(s.mapped_bytes),
		IndexBytes:     uint64(s.index_bytes),
		PinnedViews:    uint64(s.pinned_views),
		Gets:           uint64(s.gets),
		Hits:           uint64(s.hits),
		Sets:           uint64(s.sets),
		Dels:           uint64(s.dels),
		Expired:        uint64(s.expired),
		Syncs:          uint64(s.syncs),
		Compactions:    uint64(s.compactions),
		CompactedBytes: uint64(s.compacted_bytes),
	}, nil
}

// entryHeadLen is the size of the two lengths in front of each entry that fill writes.
const entryHeadLen = C.LGO_ENTRY_HEAD

func (h handle) cursor(prefix []byte) (cursorHandle, error) {
	r := C.lgo_cursor_open(C.uintptr_t(h), bytesAt(prefix), C.size_t(len(prefix)))
	return cursorHandle(r.number), errorOf(r)
}

// fill writes entries into buffer: {u64 key length, u64 value length, key, value}*. filled bytes of
// them are good whatever err is. more is false at the end. need is not 0 if the next entry is
// larger than buffer.
func (c cursorHandle) fill(buffer []byte, keysOnly bool) (filled int, more bool, need int, err error) {
	var onlyKeys C.int
	if keysOnly {
		onlyKeys = 1
	}
	r := C.lgo_cursor_fill(C.uintptr_t(c), bytesAt(buffer), C.size_t(len(buffer)), onlyKeys)
	switch r.status {
	case C.LARDER_OK:
		return int(r.number), true, 0, nil
	case C.LARDER_DONE:
		return int(r.number), false, 0, nil
	case C.LARDER_BUFFER_TOO_SMALL:
		return 0, true, int(r.number), nil
	default:
		return int(r.number), false, 0, errorOf(r)
	}
}

func (c cursorHandle) close() {
	C.lgo_cursor_close(C.uintptr_t(c))
}

// statusName is the library's name of a status, "LARDER_NOT_FOUND".
func statusName(status Status) string {
	return C.GoString(C.larder_status_name(C.larder_status(status)))
}

// libraryVersion is the version of the library that the program runs with.
func libraryVersion() string {
	return C.GoString(C.larder_version_string())
}
