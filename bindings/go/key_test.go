package larder

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestAnyBytesAreAKeyAndAValue(t *testing.T) {
	db := openNew(t)
	for _, key := range [][]byte{nil, {}, {0}, []byte("text"), {0xff, 0, 0xfe}, bytes.Repeat([]byte("k"), math.MaxUint16)} {
		for _, value := range [][]byte{nil, {}, {0}, []byte("text"), bytes.Repeat([]byte("0123456789"), 100_000)} {
			must(t, db.Set(key, value))
			got, err := db.Get(key)
			must(t, err)
			if got == nil || !bytes.Equal(got, value) {
				t.Fatalf("%d bytes in, %d out (nil: %v)", len(value), len(got), got == nil)
			}
			must(t, db.View(key, func(seen []byte) error {
				if seen == nil || !bytes.Equal(seen, value) || cap(seen) != len(seen) {
					t.Errorf("View shows %d bytes of %d, capacity %d", len(seen), len(value), cap(seen))
				}
				return nil
			}))
		}
	}
	wantError(t, "Set of an overlong key", db.Set(make([]byte, math.MaxUint16+1), nil), ErrTooLarge)
	_, err := db.Get(make([]byte, math.MaxUint16+1))
	wantError(t, "Get of an overlong key", err, ErrTooLarge)
}

func TestAMissingKeyIsErrNotFoundItself(t *testing.T) {
	db := openNew(t)
	key := []byte("missing")
	wantMissing(t, db, "missing")
	if n, err := db.GetInto(key, make([]byte, 8)); n != 0 || err != ErrNotFound {
		t.Errorf("GetInto: %d, %v", n, err)
	}
	if err := db.View(key, func([]byte) error { t.Error("fn was called"); return nil }); err != ErrNotFound {
		t.Errorf("View: %v", err)
	}
	if err := db.Delete(key); err != ErrNotFound {
		t.Errorf("Delete: %v", err)
	}
	if _, err := db.TTL(key); err != ErrNotFound {
		t.Errorf("TTL: %v", err)
	}
	if err := db.Expire(key, time.Second); err != ErrNotFound {
		t.Errorf("Expire: %v", err)
	}
	if has, err := db.Has(key); has || err != nil {
		t.Errorf("Has: %v, %v", has, err)
	}
}

func TestGetIntoNeedsRoomAndSaysHowMuch(t *testing.T) {
	db := openNew(t)
	key := []byte("key")
	must(t, db.Set(key, []byte("value")))

	dst := []byte("........")
	if n, err := db.GetInto(key, dst[:4]); n != 5 || err != ErrBufferTooSmall {
		t.Errorf("4 bytes of room: %d, %v", n, err)
	}
	if n, err := db.GetInto(key, nil); n != 5 || err != ErrBufferTooSmall {
		t.Errorf("no room: %d, %v", n, err)
	}
	if string(dst) != "........" {
		t.Errorf("what was too small was written to: %q", dst)
	}
	if n, err := db.GetInto(key, dst[:5]); n != 5 || err != nil || string(dst) != "value..." {
		t.Errorf("5 bytes of room: %d, %v, %q", n, err, dst)
	}
	must(t, db.Set(key, nil))
	if n, err := db.GetInto(key, nil); n != 0 || err != nil {
		t.Errorf("empty into nothing: %d, %v", n, err)
	}
}

func TestWhatGetReturnsIsTheCallers(t *testing.T) {
	db := openNew(t)
	for _, length := range []int{10, 8 << 10, 8<<10 + 1, 100 << 10} {
		value := bytes.Repeat([]byte("a"), length)
		must(t, db.Set([]byte("key"), value))
		first, err := db.Get([]byte("key"))
		must(t, err)
		for i := range first {
			first[i] = 'b'
		}
		wantValue(t, db, "key", string(value))
		must(t, db.Set([]byte("key"), []byte("another")))
		if string(first) != strings.Repeat("b", length) {
			t.Errorf("%d bytes that Get returned have changed", length)
		}
	}
}

func TestViewGivesItsPinBackHoweverItEnds(t *testing.T) {
	db := openNew(t)
	key := []byte("key")
	must(t, db.Set(key, []byte("value")))
	pinned := func() uint64 {
		stats, err := db.Stats()
		must(t, err)
		return stats.PinnedViews
	}

	mine := errors.New("mine")
	if err := db.View(key, func([]byte) error { return mine }); err != mine {
		t.Errorf("fn's error became %v", err)
	}
	if n := pinned(); n != 0 {
		t.Errorf("%d views are pinned after an error", n)
	}

	func() {
		defer func() {
			if recover() != "out" {
				t.Error("the panic did not come through")
			}
		}()
		db.View(key, func([]byte) error {
			if n := pinned(); n != 1 {
				t.Errorf("%d views are pinned within fn", n)
			}
			panic("out")
		})
	}()
	if n := pinned(); n != 0 {
		t.Errorf("%d views are pinned after a panic", n)
	}
}

func TestAViewStaysReadableThroughEverything(t *testing.T) {
	db := openNew(t, WithSegmentSize(64<<10))
	key, value := []byte("key"), bytes.Repeat([]byte("value"), 1000)
	must(t, db.Set(key, value))
	must(t, db.View(key, func(seen []byte) error {
		must(t, db.Set(key, []byte("overwritten")))
		for range 100 {
			must(t, db.Set([]byte("other"), value))
		}
		must(t, db.Delete(key))
		must(t, db.Compact())
		if !bytes.Equal(seen, value) {
			t.Error("the view changed")
		}
		must(t, db.Close())
		if !bytes.Equal(seen, value) {
			t.Error("the view changed with Close")
		}
		return nil
	}))
}

func TestATimeToLiveEnds(t *testing.T) {
	db := openNew(t)
	key := []byte("key")
	must(t, db.SetTTL(key, []byte("value"), 40*time.Millisecond))
	if ttl, err := db.TTL(key); err != nil || ttl <= 0 || ttl > 40*time.Millisecond {
		t.Errorf("TTL at once: %v, %v", ttl, err)
	}
	time.Sleep(60 * time.Millisecond)
	wantMissing(t, db, "key")
	if has, err := db.Has(key); has || err != nil {
		t.Errorf("Has: %v, %v", has, err)
	}
	if _, err := db.TTL(key); err != ErrExpired && err != ErrNotFound {
		t.Errorf("TTL of what has expired: %v", err)
	}
	if err := db.Delete(key); err != ErrNotFound {
		t.Errorf("Delete of what has expired: %v", err)
	}
	// It is absent for conditions too.
	must(t, db.SetIfAbsent(key, []byte("again")))
	wantValue(t, db, "key", "again")
}

func TestALongTimeToLiveComesBackAsItWasGiven(t *testing.T) {
	db := openNew(t)
	key := []byte("key")
	for _, ttl := range []time.Duration{time.Second, time.Hour, 24 * 365 * time.Hour, 200 * 365 * 24 * time.Hour} {
		must(t, db.SetTTL(key, nil, ttl))
		if got, err := db.TTL(key); err != nil || got > ttl || got < ttl-time.Second {
			t.Errorf("%v came back as %v, %v", ttl, got, err)
		}
	}
}

func TestNoExpiryIsNoExpiryEverywhere(t *testing.T) {
	db := openNew(t)
	key := []byte("key")
	wantForever := func(how string, err error) {
		t.Helper()
		must(t, err)
		if ttl, err := db.TTL(key); err != nil || ttl != NoExpiry {
			t.Errorf("%s: TTL = %v, %v", how, ttl, err)
		}
		must(t, db.Expire(key, time.Hour))
	}
	wantForever("Set", db.Set(key, nil))
	wantForever("Set again", db.Set(key, nil))
	wantForever("SetTTL 0", db.SetTTL(key, nil, 0))
	wantForever("SetTTL NoExpiry", db.SetTTL(key, nil, NoExpiry))
	wantForever("SetIfPresent", db.SetIfPresent(key, nil))
	wantForever("Persist", db.Persist(key))
	wantForever("Expire NoExpiry", db.Expire(key, NoExpiry))
	batch := db.Batch()
	batch.SetTTL(key, nil, NoExpiry)
	wantForever("Batch", batch.Write())
}

func TestATinyTimeToLiveIsNotForever(t *testing.T) {
	db := openNew(t)
	must(t, db.SetTTL([]byte("key"), nil, time.Nanosecond))
	if ttl, err := db.TTL([]byte("key")); err == nil && ttl == NoExpiry {
		t.Error("a nanosecond became for ever")
	}
	for d, want := range map[time.Duration]int64{0: 0, 1: 1, time.Millisecond: 1, time.Millisecond + 1: 2, math.MaxInt64: 9223372036855} {
		if got := millisUp(d); got != want {
			t.Errorf("%d ns are %d ms, want %d", d, got, want)
		}
	}
}

func TestANegativeTimeToLiveIsInvalid(t *testing.T) {
	db := openNew(t)
	key := []byte("key")
	must(t, db.Set(key, []byte("value")))
	wantError(t, "SetTTL", db.SetTTL(key, nil, -time.Second), ErrInvalidArgument)
	wantError(t, "Expire", db.Expire(key, -time.Second), ErrInvalidArgument)
	batch := db.Batch()
	batch.Set(key, []byte("other"))
	batch.SetTTL(key, nil, -time.Second)
	if err := wantError(t, "Batch", batch.Write(), ErrInvalidArgument); !strings.Contains(err.Text, "operation 1") {
		t.Errorf("%q does not say which operation", err.Text)
	}
	wantValue(t, db, "key", "value")
	batch.Reset()
	batch.Set(key, []byte("after Reset"))
	must(t, batch.Write())
	wantValue(t, db, "key", "after Reset")
}

func TestExpireAtOnce(t *testing.T) {
	db := openNew(t)
	must(t, db.Set([]byte("key"), []byte("value")))
	must(t, db.Expire([]byte("key"), 0))
	wantMissing(t, db, "key")
}

func TestConditionalSets(t *testing.T) {
	db := openNew(t)
	key := []byte("key")
	if err := db.SetIfPresent(key, []byte("1")); err != ErrNotFound {
		t.Errorf("SetIfPresent of nothing: %v", err)
	}
	wantMissing(t, db, "key")
	must(t, db.SetIfAbsent(key, []byte("2")))
	if err := db.SetIfAbsent(key, []byte("3")); err != ErrExists {
		t.Errorf("SetIfAbsent twice: %v", err)
	}
	wantValue(t, db, "key", "2")
	must(t, db.SetIfPresent(key, []byte("4")))
	wantValue(t, db, "key", "4")

	_, err := db.SetWith(key, nil, SetOptions{IfAbsent: true, IfPresent: true})
	wantError(t, "both conditions", err, ErrInvalidArgument)
	_, err = db.SetWith(key, nil, SetOptions{TTL: time.Second, KeepTTL: true})
	wantError(t, "TTL and KeepTTL", err, ErrInvalidArgument)
	wantValue(t, db, "key", "4")
}

func TestSetWithKeepsTheTimeToLiveAndRaisesTheVersion(t *testing.T) {
	db := openNew(t)
	key := []byte("key")
	first, err := db.SetWith(key, []byte("1"), SetOptions{TTL: time.Hour, Sync: true})
	must(t, err)
	second, err := db.SetWith(key, []byte("2"), SetOptions{KeepTTL: true})
	must(t, err)
	if second <= first {
		t.Errorf("version %d after %d", second, first)
	}
	wantValue(t, db, "key", "2")
	if ttl, err := db.TTL(key); err != nil || ttl <= 0 || ttl > time.Hour {
		t.Errorf("TTL = %v, %v", ttl, err)
	}
}

func TestKeysAndLenAgree(t *testing.T) {
	db := openNew(t)
	if keys, err := db.Keys(); err != nil || keys == nil || len(keys) != 0 {
		t.Errorf("Keys of nothing: %v, %v", keys, err)
	}
	want := []string{""}
	must(t, db.Set(nil, nil))
	for i := range 5000 {
		want = append(want, fmt.Sprintf("key %d", i))
		must(t, db.Set([]byte(want[i+1]), []byte("value")))
	}
	keys, err := db.Keys()
	must(t, err)
	var got []string
	for _, key := range keys {
		got = append(got, string(key))
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("%d keys, want %d", len(got), len(want))
	}
	if n, err := db.Len(); err != nil || n != 5001 {
		t.Errorf("Len = %d, %v", n, err)
	}
}

func TestManyGoroutinesOnFewKeys(t *testing.T) {
	db := openNew(t, WithSegmentSize(64<<10))
	// Values of one letter, of lengths that take Get both of its ways.
	value := func(i int) []byte { return bytes.Repeat([]byte{'a' + byte(i%26)}, 1<<(i%16)) }
	whole := func(what string, got []byte) {
		if len(got) == 0 || len(got)&(len(got)-1) != 0 || bytes.Count(got, got[:1]) != len(got) {
			t.Errorf("%s: a value of %d bytes was never written", what, len(got))
		}
	}
	var workers sync.WaitGroup
	for worker := range 4 {
		workers.Go(func() {
			keys := [][]byte{[]byte("0"), []byte("1"), []byte("2")}
			for i := range 400 {
				key := keys[i%len(keys)]
				switch (i + worker) % 7 {
				case 0, 1:
					must(t, db.Set(key, value(i+worker)))
				case 2:
					got, err := db.Get(key)
					if err == nil {
						whole("Get", got)
					} else if err != ErrNotFound {
						t.Errorf("Get: %v", err)
					}
				case 3:
					values, err := db.GetMany(keys)
					must(t, err)
					for _, got := range values {
						if got != nil {
							whole("GetMany", got)
						}
					}
				case 4:
					if err := db.View(key, func(got []byte) error { whole("View", got); return nil }); err != nil && err != ErrNotFound {
						t.Errorf("View: %v", err)
					}
				case 5:
					entries, failed := db.All()
					for _, got := range entries {
						whole("All", got)
					}
					must(t, failed())
				case 6:
					if err := db.Delete(key); err != nil && err != ErrNotFound {
						t.Errorf("Delete: %v", err)
					}
				}
			}
		})
	}
	workers.Wait()
}
