package larder

import (
	"bytes"
	"fmt"
	"math"
	"testing"
	"time"
)

func TestGetManyTellsMissingFromEmpty(t *testing.T) {
	db := openNew(t)
	must(t, db.Set([]byte("value"), []byte("v")))
	must(t, db.Set([]byte("empty"), nil))
	must(t, db.Set(nil, []byte("of the empty key")))
	must(t, db.SetTTL([]byte("expired"), []byte("v"), time.Millisecond))
	time.Sleep(10 * time.Millisecond)

	values, err := db.GetMany([][]byte{[]byte("missing"), []byte("value"), []byte("empty"), nil, []byte("expired"), []byte("value")})
	must(t, err)
	if len(values) != 6 {
		t.Fatalf("%d values", len(values))
	}
	for i, want := range map[int]string{1: "v", 2: "", 3: "of the empty key", 5: "v"} {
		if values[i] == nil || string(values[i]) != want {
			t.Errorf("value %d is %q (nil: %v), want %q", i, values[i], values[i] == nil, want)
		}
	}
	for _, i := range []int{0, 4} {
		if values[i] != nil {
			t.Errorf("value %d is %q, want nil", i, values[i])
		}
	}
	if values, err := db.GetMany(nil); err != nil || len(values) != 0 {
		t.Errorf("GetMany of nothing: %v, %v", values, err)
	}
}

func TestGetManyOfMoreThanAnyBufferHolds(t *testing.T) {
	db := openNew(t)
	var keys [][]byte
	lengths := []int{0, 1, 7, 8, 9, 100, 5000, bulkLen - answerHeadLen, bulkLen - answerHeadLen + 1, 300 << 10}
	for i := range 3000 {
		key := fmt.Appendf(nil, "key %d %s", i, bytes.Repeat([]byte("k"), i%200))
		keys = append(keys, key)
		if i%5 == 0 {
			continue // missing
		}
		length := lengths[i%6]
		if i%100 == 1 {
			length = lengths[6+i/100%4]
		}
		must(t, db.Set(key, bytes.Repeat([]byte{byte(i)}, length)))
	}
	values, err := db.GetMany(keys)
	must(t, err)
	for i, key := range keys {
		want, err := db.Get(key)
		if (err == ErrNotFound) != (values[i] == nil) || !bytes.Equal(want, values[i]) {
			t.Fatalf("value %d: %d bytes, want %d (%v)", i, len(values[i]), len(want), err)
		}
	}
}

func TestAppendingToOneOfManyValuesLeavesTheOthers(t *testing.T) {
	db := openNew(t)
	must(t, db.Set([]byte("a"), []byte("aaa")))
	must(t, db.Set([]byte("b"), []byte("bbb")))
	values, err := db.GetMany([][]byte{[]byte("a"), []byte("b")})
	must(t, err)
	_ = append(values[0], "xxx"...)
	if string(values[1]) != "bbb" {
		t.Errorf("the other value is %q now", values[1])
	}
}

func TestGetManyRefusesAnOverlongKey(t *testing.T) {
	db := openNew(t)
	must(t, db.Set([]byte("a"), nil))
	values, err := db.GetMany([][]byte{[]byte("a"), make([]byte, math.MaxUint16+1)})
	wantError(t, "GetMany", err, ErrTooLarge)
	if values != nil {
		t.Errorf("there are values beside the error: %v", values)
	}
}
