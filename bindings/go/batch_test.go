package larder

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

func TestABatchIsCarriedOutWhole(t *testing.T) {
	db := openNew(t)
	must(t, db.Set([]byte("old"), []byte("value")))
	batch := db.Batch()
	batch.Set([]byte("a"), []byte("1"))
	batch.SetTTL([]byte("b"), []byte("2"), time.Hour)
	batch.Delete([]byte("old"))
	batch.Delete([]byte("never there"))
	batch.Set([]byte("twice"), []byte("first"))
	batch.Set([]byte("twice"), []byte("last"))
	batch.Set(nil, nil)
	if batch.Len() != 7 {
		t.Errorf("Len = %d", batch.Len())
	}
	wantMissing(t, db, "a")
	must(t, batch.Write())
	wantValue(t, db, "a", "1")
	wantValue(t, db, "b", "2")
	wantValue(t, db, "twice", "last")
	wantValue(t, db, "", "")
	wantMissing(t, db, "old")
	if ttl, err := db.TTL([]byte("b")); err != nil || ttl <= 0 || ttl > time.Hour {
		t.Errorf("TTL = %v, %v", ttl, err)
	}
	if ttl, err := db.TTL([]byte("a")); err != nil || ttl != NoExpiry {
		t.Errorf("TTL = %v, %v", ttl, err)
	}
}

func TestABatchIsEmptyAfterWriteAndUsableAgain(t *testing.T) {
	db := openNew(t)
	must(t, db.Batch().Write())
	batch := db.Batch()
	for round := range 3 {
		key := fmt.Sprint("round ", round)
		batch.Set([]byte(key), []byte("value"))
		must(t, batch.WriteSync())
		wantValue(t, db, key, "value")
		must(t, db.Delete([]byte(key)))
		if batch.Len() != 0 {
			t.Errorf("%d operations are left", batch.Len())
		}
		must(t, batch.Write())
		wantMissing(t, db, key)
	}
}

func TestABatchThatIsRefusedChangesNothing(t *testing.T) {
	db := openNew(t)
	must(t, db.Set([]byte("a"), []byte("before")))
	batch := db.Batch()
	batch.Set([]byte("a"), []byte("after"))
	batch.Set([]byte("b"), []byte("an odd length"))
	batch.Set(make([]byte, math.MaxUint16+1), []byte("value"))
	batch.Delete([]byte("a"))
	for range 2 {
		err := wantError(t, "Write", batch.Write(), ErrTooLarge)
		if !strings.Contains(err.Text, "operation 2") {
			t.Errorf("%q does not name operation 2", err.Text)
		}
		wantValue(t, db, "a", "before")
		wantMissing(t, db, "b")
	}
}

func TestABatchKeepsCopies(t *testing.T) {
	db := openNew(t)
	key, value := []byte("key"), []byte("value")
	batch := db.Batch()
	batch.Set(key, value)
	copy(key, "xxx")
	copy(value, "xxxxx")
	must(t, batch.Write())
	wantValue(t, db, "key", "value")
}

func TestABatchOfEveryLengthIsPaddedRight(t *testing.T) {
	db := openNew(t)
	batch := db.Batch()
	for keyLen := range 17 {
		for valueLen := range 17 {
			batch.Set([]byte(fmt.Sprintf("%02d%s", valueLen, strings.Repeat("k", keyLen))), []byte(strings.Repeat("v", valueLen)))
		}
	}
	must(t, batch.Write())
	var keys [][]byte
	for keyLen := range 17 {
		for valueLen := range 17 {
			keys = append(keys, []byte(fmt.Sprintf("%02d%s", valueLen, strings.Repeat("k", keyLen))))
		}
	}
	values, err := db.GetMany(keys)
	must(t, err)
	for i, key := range keys {
		if want := strings.Repeat("v", i%17); values[i] == nil || string(values[i]) != want {
			t.Errorf("%q holds %q, want %q", key, values[i], want)
		}
	}
}
