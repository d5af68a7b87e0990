package larder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// openAt opens the store in dir and closes it with the test, if the test has not.
func openAt(t testing.TB, dir string, opts ...Option) *DB {
	t.Helper()
	db, err := Open(dir, opts...)
	if err != nil {
		t.Fatalf("Open(%q): %v", dir, err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil && err != ErrClosed {
			t.Errorf("Close: %v", err)
		}
	})
	return db
}

// openNew opens a new store. It syncs by itself only at the end, which spares the tests' disk.
func openNew(t testing.TB, opts ...Option) *DB {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "store"), append([]Option{WithSyncNone()}, opts...)...)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantError fails unless err is want, both as errors.Is sees it and as an *Error of that status.
func wantError(t testing.TB, what string, err, want error) *Error {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("%s: got %v, want %v", what, err, want)
	}
	var failure *Error
	if !errors.As(err, &failure) {
		t.Fatalf("%s: %T is no *Error", what, err)
	}
	return failure
}

func wantValue(t testing.TB, db *DB, key, want string) {
	t.Helper()
	got, err := db.Get([]byte(key))
	if err != nil {
		t.Fatalf("Get(%q): %v", key, err)
	}
	if string(got) != want {
		t.Fatalf("Get(%q) = %q, want %q", key, got, want)
	}
}

func wantMissing(t testing.TB, db *DB, key string) {
	t.Helper()
	if got, err := db.Get([]byte(key)); err != ErrNotFound {
		t.Fatalf("Get(%q) = %q, %v, want ErrNotFound", key, got, err)
	}
}

func TestWhatIsWrittenIsThereAfterAReopen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	db := openAt(t, dir)
	must(t, db.Set([]byte("kept"), []byte("value")))
	must(t, db.Set([]byte("gone"), []byte("value")))
	must(t, db.SetTTL([]byte("lent"), []byte("value"), time.Hour))
	must(t, db.Delete([]byte("gone")))
	must(t, db.Close())

	db = openAt(t, dir)
	wantValue(t, db, "kept", "value")
	wantMissing(t, db, "gone")
	if ttl, err := db.TTL([]byte("lent")); err != nil || ttl > time.Hour || ttl < 59*time.Minute {
		t.Fatalf("TTL = %v, %v, want about an hour", ttl, err)
	}
}

func TestEveryOptionIsOneTheLibraryKnows(t *testing.T) {
	for name, opts := range map[string][]Option{
		"sync always":   {WithSyncAlways()},
		"sync interval": {WithSyncInterval(1500 * time.Microsecond)},
		"sync none":     {WithSyncNone()},
		"sizes":         {WithSegmentSize(1 << 20), WithMaxSize(64 << 20)},
		"verify copies": {WithVerifyReads(VerifyCopies)},
		"verify all":    {WithVerifyReads(VerifyAll)},
		"verify none":   {WithVerifyReads(VerifyNone)},
		"compaction":    {WithManualCompaction()},
		"by name":       {WithOption("compaction", "auto")},
	} {
		t.Run(name, func(t *testing.T) {
			db := openAt(t, filepath.Join(t.TempDir(), "store"), opts...)
			must(t, db.Set([]byte("k"), []byte("v")))
			wantValue(t, db, "k", "v")
		})
	}
}

func TestAMalformedOptionIsInvalid(t *testing.T) {
	for name, opt := range map[string]Option{
		"unknown name": WithOption("colour", "blue"),
		"zero bytes":   WithOption("sync", "always\x00"),
		"interval 0":   WithSyncInterval(0),
		"negative":     WithSyncInterval(-time.Second),
		"segment size": WithSegmentSize(1),
		"verify reads": WithVerifyReads("some"),
	} {
		dir := filepath.Join(t.TempDir(), "store")
		db, err := Open(dir, opt)
		if wantError(t, name, err, ErrInvalidArgument).Text == "" {
			t.Errorf("%s: the error says nothing", name)
		}
		if db != nil {
			t.Errorf("%s: there is a DB beside the error", name)
		}
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: the directory was made: %v", name, err)
		}
	}
	_, err := Open("a\x00b")
	wantError(t, "directory with a zero byte", err, ErrInvalidArgument)
}

func TestAConfigOpensWhatOptionsOpen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	_, err := OpenWithConfig(Config{DataDir: dir, MustExist: true})
	wantError(t, "a missing store", err, ErrNotFound)

	db, err := OpenWithConfig(Config{DataDir: dir, SyncWrites: true, SegmentSize: 1 << 20, MaxSize: 64 << 20, VerifyReads: VerifyAll,
		ManualCompaction: true})
	must(t, err)
	must(t, db.Set([]byte("k"), []byte("v")))
	must(t, db.Close())

	db, err = OpenWithConfig(Config{DataDir: dir, ReadOnly: true})
	must(t, err)
	wantValue(t, db, "k", "v")
	wantError(t, "Set", db.Set([]byte("k"), []byte("w")), ErrReadOnly)
	must(t, db.Close())

	_, err = OpenWithConfig(Config{DataDir: dir, Options: map[string]string{"colour": "blue"}})
	wantError(t, "an unknown option", err, ErrInvalidArgument)

	for want, config := range map[string]Config{
		"always":        {SyncWrites: true, SyncInterval: time.Minute},
		"interval:1000": {},
		"interval:2":    {SyncInterval: 1500 * time.Microsecond},
		"none":          {SyncInterval: -1},
	} {
		var got settings
		for _, opt := range config.options() {
			opt(&got)
		}
		if len(got) != 1 || got[0] != (setting{"sync", want}) {
			t.Errorf("%+v gives %v, want sync %s", config, got, want)
		}
	}
}

func TestASecondOpenerIsBusyAndToldByWhom(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	first := openAt(t, dir)
	began := time.Now()
	second, err := Open(dir)
	busy := wantError(t, "second Open", err, ErrBusy)
	if second != nil {
		t.Error("there is a DB beside the error")
	}
	if waited := time.Since(began); waited > time.Second {
		t.Errorf("the answer took %v", waited)
	}
	if pid := fmt.Sprint(os.Getpid()); !strings.Contains(busy.Text, pid) {
		t.Errorf("%q does not name process %s", busy.Text, pid)
	}
	must(t, first.Close())
	openAt(t, dir)
}

func TestAMissingParentIsTheSystemsError(t *testing.T) {
	_, err := Open(filepath.Join(t.TempDir(), "no", "store"))
	failure := wantError(t, "Open", err, ErrIO)
	if failure.Errno != syscall.ENOENT || failure.Status != StatusIO {
		t.Errorf("status %v, errno %v", failure.Status, failure.Errno)
	}
	if !errors.Is(err, fs.ErrNotExist) || !errors.Is(err, syscall.ENOENT) {
		t.Error("errors.Is does not find the errno")
	}
	if !strings.HasPrefix(err.Error(), "larder: ") {
		t.Errorf("text %q", err)
	}
}

func TestAReadOnlyStoreRefusesWritesAndStaysAsItWas(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	_, err := Open(dir, WithReadOnly())
	wantError(t, "Open of nothing", err, ErrNotFound)

	db := openAt(t, dir)
	must(t, db.Set([]byte("k"), []byte("v")))
	must(t, db.Close())

	db = openAt(t, dir, WithReadOnly())
	wantValue(t, db, "k", "v")
	wantError(t, "Set", db.Set([]byte("k"), []byte("w")), ErrReadOnly)
	wantError(t, "SetTTL", db.SetTTL([]byte("k"), nil, time.Second), ErrReadOnly)
	wantError(t, "Delete", db.Delete([]byte("k")), ErrReadOnly)
	wantError(t, "Expire", db.Expire([]byte("k"), 0), ErrReadOnly)
	wantError(t, "Compact", db.Compact(), ErrReadOnly)
	batch := db.Batch()
	batch.Set([]byte("k"), []byte("w"))
	wantError(t, "Write", batch.Write(), ErrReadOnly)
	must(t, db.Sync())
	wantValue(t, db, "k", "v")
}

// everyCall makes every call that can fail, and hands name and error to check.
func everyCall(db *DB, check func(name string, err error)) {
	key, value := []byte("k"), []byte("v")
	_, err := db.Get(key)
	check("Get", err)
	_, err = db.GetInto(key, make([]byte, 8))
	check("GetInto", err)
	check("View", db.View(key, func([]byte) error { return nil }))
	_, err = db.Has(key)
	check("Has", err)
	check("Set", db.Set(key, value))
	check("SetTTL", db.SetTTL(key, value, time.Minute))
	check("SetIfAbsent", db.SetIfAbsent(key, value))
	check("SetIfPresent", db.SetIfPresent(key, value))
	_, err = db.SetWith(key, value, SetOptions{})
	check("SetWith", err)
	check("Delete", db.Delete(key))
	_, err = db.TTL(key)
	check("TTL", err)
	check("Expire", db.Expire(key, time.Minute))
	check("Persist", db.Persist(key))
	_, err = db.Len()
	check("Len", err)
	_, err = db.Keys()
	check("Keys", err)
	for _, prefix := range []string{"", "k"} {
		entries, failed := db.Prefix([]byte(prefix))
		for range entries {
		}
		check("Prefix "+prefix, failed())
	}
	entries, failed := db.All()
	for range entries {
	}
	check("All", failed())
	batch := db.Batch()
	batch.Set(key, value)
	check("Write", batch.Write())
	batch.Delete(key)
	check("WriteSync", batch.WriteSync())
	check("Write of an empty batch", db.Batch().Write())
	_, err = db.GetMany([][]byte{key})
	check("GetMany", err)
	_, err = db.GetMany(nil)
	check("GetMany of nothing", err)
	check("Sync", db.Sync())
	check("Compact", db.Compact())
	check("Verify", db.Verify())
	_, err = db.Stats()
	check("Stats", err)
}

func TestUseAfterCloseIsErrClosed(t *testing.T) {
	closed := openNew(t)
	must(t, closed.Set([]byte("k"), []byte("v")))
	must(t, closed.Close())
	var never *DB
	for name, db := range map[string]*DB{"closed": closed, "nil": never, "zero": new(DB)} {
		everyCall(db, func(call string, err error) {
			if call == "GetMany of nothing" && name == "closed" {
				return // nothing is asked of the library
			}
			if err != ErrClosed {
				t.Errorf("%s of a %s DB: %v", call, name, err)
			}
		})
		if err := db.Close(); err != ErrClosed {
			t.Errorf("another Close of a %s DB: %v", name, err)
		}
	}
}

func TestCloseBesideEveryOtherCall(t *testing.T) {
	for range 5 {
		db := openNew(t)
		var calls sync.WaitGroup
		for range 4 {
			calls.Go(func() {
				for closed := false; !closed; {
					everyCall(db, func(call string, err error) {
						switch {
						case err == ErrClosed:
							closed = true
						case err == nil, err == ErrNotFound, err == ErrExists:
						default:
							t.Errorf("%s: %v", call, err)
						}
					})
				}
			})
		}
		time.Sleep(5 * time.Millisecond)
		if err := db.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		calls.Wait()
	}
}

func TestDamageIsReportedWithItsPlace(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	db := openAt(t, dir)
	value := strings.Repeat("recognise me ", 20)
	must(t, db.Set([]byte("damaged"), []byte(value)))
	must(t, db.Set([]byte("whole"), []byte("value")))
	must(t, db.Verify())
	must(t, db.Close())

	segments, err := filepath.Glob(filepath.Join(dir, "*.seg"))
	must(t, err)
	damaged := 0
	for _, segment := range segments {
		stored, err := os.ReadFile(segment)
		must(t, err)
		if at := strings.Index(string(stored), value); at >= 0 {
			file, err := os.OpenFile(segment, os.O_WRONLY, 0)
			must(t, err)
			_, err = file.WriteAt([]byte{stored[at] ^ 1}, int64(at))
			must(t, err)
			must(t, file.Close())
			damaged++
		}
	}
	if damaged != 1 {
		t.Fatalf("the value was found in %d files of %v", damaged, segments)
	}

	db = openAt(t, dir)
	_, err = db.Get([]byte("damaged"))
	failure := wantError(t, "Get", err, ErrCorrupt)
	if failure.Offset == 0 || !strings.Contains(failure.Text, ".seg") {
		t.Errorf("the place is missing: %+v", failure)
	}
	_, err = db.GetMany([][]byte{[]byte("whole"), []byte("damaged")})
	if many := wantError(t, "GetMany", err, ErrCorrupt); many.Offset != failure.Offset {
		t.Errorf("GetMany names offset %d, Get %d", many.Offset, failure.Offset)
	}
	entries, failed := db.All()
	for key := range entries {
		if string(key) == "damaged" {
			t.Error("the iterator handed the damaged value out")
		}
	}
	wantError(t, "All", failed(), ErrCorrupt)
	if found := wantError(t, "Verify", db.Verify(), ErrCorrupt); found.BadRecords != 1 || found.Offset == 0 {
		t.Errorf("Verify: %+v", found)
	}
	wantValue(t, db, "whole", "value")
}

func TestStatsCountWhatWasDone(t *testing.T) {
	db := openNew(t)
	for i := range 10 {
		must(t, db.Set(fmt.Appendf(nil, "key %d", i), make([]byte, 100)))
	}
	must(t, db.Delete([]byte("key 0")))
	must(t, db.View([]byte("key 1"), func([]byte) error {
		stats, err := db.Stats()
		if err == nil && stats.PinnedViews != 1 {
			err = fmt.Errorf("%d views are pinned within a View", stats.PinnedViews)
		}
		return err
	}))
	stats, err := db.Stats()
	must(t, err)
	if stats.Keys != 9 || stats.Sets != 10 || stats.Dels != 1 || stats.PinnedViews != 0 || stats.LiveBytes < 900 || stats.Segments == 0 {
		t.Errorf("%+v", stats)
	}
	if Version() == "" {
		t.Error("the library has no version")
	}
}
