package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestEveryStoreKeepsWhatItIsGiven(t *testing.T) {
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			db := stores[name](t.TempDir())
			key, value, dst := make([]byte, keyLen), bytes.Repeat([]byte("v"), valueLen), make([]byte, valueLen)
			putKey(key, 1)
			if err := db.set(key, value); err != nil {
				t.Fatal(err)
			}
			group := make([]pair, groupLen)
			keys := make([][]byte, groupLen)
			for i := range group {
				putKey(group[i].key[:], uint64(i+2))
				putValue(group[i].value[:], uint64(i+2))
				keys[i] = group[i].key[:]
			}
			if err := db.batch(group); err != nil {
				t.Fatal(err)
			}
			if n, err := db.getInto(key, dst); err != nil || !bytes.Equal(dst[:n], value) {
				t.Fatalf("getInto: %v, %q", err, dst[:n])
			}
			found, err := db.getMany(keys)
			if err != nil {
				t.Fatal(err)
			}
			for i := range found {
				if !bytes.Equal(found[i], group[i].value[:]) {
					t.Errorf("value %d is %q", i, found[i])
				}
			}
			putKey(key, 1_000)
			if _, err := db.get(key); err == nil {
				t.Error("a key that was never set is there")
			}
			if err := db.close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// GetInto allocates nothing and goes to C once, in a run of thousands of calls as in the table.
func TestTheRowsCountAllocationsAndCgoCalls(t *testing.T) {
	rows := map[string]float64{}
	work("larder", openLarder(t.TempDir()), 2_000, 0, 200*time.Millisecond, func(m measured) { rows[m.Row] = m.Value })
	for _, row := range []string{"Set, new keys", "GetInto", "Get", "GetMany of 32, keys", "Set, overwriting", "Batch of 32, keys"} {
		if rows[row] <= 0 {
			t.Errorf("%s was not measured", row)
		}
		if calls := rows[row+", cgo calls per call"]; calls != 1 {
			t.Errorf("%s makes %v cgo calls", row, calls)
		}
	}
	// Others in the process may allocate now and then: the average is of many calls.
	if allocations := rows["GetInto, allocations per call"]; allocations > 0.01 {
		t.Errorf("GetInto allocates %v times", allocations)
	}
	for row := range rows {
		if strings.HasPrefix(row, "Get, allocations") && rows[row] < 0.99 {
			t.Errorf("Get allocates %v times: the count counts nothing", rows[row])
		}
	}
}
