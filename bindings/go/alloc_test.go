//go:build !race

package larder

import (
	"bytes"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Not under the race detector: it allocates, and makes sync.Pool forget on purpose.

func TestHotCallsAllocateNothingAndGoToCOnce(t *testing.T) {
	db := openNew(t)
	key, missing, value := []byte("key"), []byte("missing"), bytes.Repeat([]byte("v"), 100)
	must(t, db.Set(key, value))
	dst := make([]byte, 128)
	batch := db.Batch()
	count := 0
	keys := [][]byte{key, missing, key, key}

	for _, call := range []struct {
		name   string
		allocs float64
		calls  int64
		run    func() error
	}{
		{"GetInto", 0, 1, func() error { _, err := db.GetInto(key, dst); return err }},
		{"GetInto onto the stack", 0, 1, func() error { var own [128]byte; _, err := db.GetInto(key, own[:]); return err }},
		{"GetInto of a missing key", 0, 1, func() error { _, err := db.GetInto(missing, dst); return expect(err, ErrNotFound) }},
		{"GetInto without room", 0, 1, func() error { _, err := db.GetInto(key, dst[:1]); return expect(err, ErrBufferTooSmall) }},
		{"Get", 1, 1, func() error { _, err := db.Get(key); return err }},
		{"Get of a missing key", 0, 1, func() error { _, err := db.Get(missing); return expect(err, ErrNotFound) }},
		{"View", 0, 2, func() error { return db.View(key, func(v []byte) error { count += len(v); return nil }) }},
		{"Has", 0, 1, func() error { _, err := db.Has(key); return err }},
		{"Set", 0, 1, func() error { return db.Set(key, value) }},
		{"SetTTL", 0, 1, func() error { return db.SetTTL(key, value, time.Hour) }},
		{"SetIfAbsent", 0, 1, func() error { return expect(db.SetIfAbsent(key, value), ErrExists) }},
		{"TTL", 0, 1, func() error { _, err := db.TTL(key); return err }},
		{"Delete of a missing key", 0, 1, func() error { return expect(db.Delete(missing), ErrNotFound) }},
		{"GetMany", 2, 1, func() error { _, err := db.GetMany(keys); return err }},
		{"Batch", 0, 1, func() error { batch.Set(key, value); batch.Delete(missing); return batch.Write() }},
	} {
		t.Run(call.name, func(t *testing.T) {
			const runs = 200
			before := runtime.NumCgoCall()
			for range runs {
				must(t, call.run())
			}
			if calls := runtime.NumCgoCall() - before; calls != call.calls*runs {
				t.Errorf("%d runs made %d cgo calls, want %d each", runs, calls, call.calls)
			}
			if allocs := testing.AllocsPerRun(runs, func() { call.run() }); allocs > call.allocs {
				t.Errorf("%v allocations, want %v", allocs, call.allocs)
			}
		})
	}
}

func expect(err, want error) error {
	if err == want {
		return nil
	}
	return err
}

func TestAFailureFreesWhatItWasToldWith(t *testing.T) {
	db := openNew(t)
	long := make([]byte, 1<<16)
	before := residentBytes(t)
	for range 200_000 {
		if db.Delete(long) == nil {
			t.Fatal("an overlong key was deleted")
		}
	}
	// 256 bytes a failure would be 50 MB.
	if grown := residentBytes(t) - before; grown > 20<<20 {
		t.Errorf("200,000 failures left %d bytes", grown)
	}
}

// residentBytes is how much memory the process has, C's included.
func residentBytes(t *testing.T) int {
	t.Helper()
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip("SKIPPED: this system has no /proc: ", err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(statm))[1])
	must(t, err)
	return pages * os.Getpagesize()
}
